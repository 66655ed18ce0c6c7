package detect

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestPace: however often somebody wants to ask, there are at most 12 questions
// in any minute, and the next one is never far.
func TestPace(t *testing.T) {
	for name, wish := range map[string]func(i int) time.Duration{
		"all the time":   func(int) time.Duration { return time.Millisecond },
		"every second":   func(int) time.Duration { return time.Second },
		"every 6s":       func(int) time.Duration { return 6 * time.Second },
		"in long bursts": func(i int) time.Duration { return time.Duration(i%100/99) * 40 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			var asked []time.Time
			now := time.Unix(0, 0)
			for i := range 100_000 {
				wait := p.take(forOthers, now)
				if wait == 0 {
					asked = append(asked, now)
				} else if wait > forOthers.every {
					t.Fatalf("has to wait for %s", wait)
				}
				now = now.Add(wish(i))
			}
			for i := 12; i < len(asked); i++ {
				if in := asked[i].Sub(asked[i-12]); in < time.Minute {
					t.Fatalf("13 questions within %s", in)
				}
			}
		})
	}
}

// TestPaceOfLocal: an address of this machine that changes three times a second
// is never waited for, though each change has one look at it at once and one
// when all is quiet.
func TestPaceOfLocal(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for i := range 1000 {
		for range 2 {
			if wait := p.take(forLocal, now); wait > 0 {
				t.Fatalf("change %d has to wait for %s", i, wait)
			}
		}
		now = now.Add(time.Second / 3)
	}
}

// crier is a source that notices changes, and is asked for IPv4.
type crier struct {
	script
	notices chan struct{}
	ended   chan struct{}
}

func (c *crier) Notify(ctx context.Context, changed func()) {
	defer close(c.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-c.notices:
			if !ok {
				panic("no more notices")
			}
			changed()
		}
	}
}

// localCrier asks nobody.
type localCrier struct{ crier }

func (*localCrier) Local() {}

// TestStorm: while events keep coming, a source is asked at most 12 times a
// minute for each family, whoever brings them, and soon after the last one what
// is true is known.
func TestStorm(t *testing.T) {
	addr := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{93, 184, byte(i >> 8), byte(i)})
	}
	for name, test := range map[string]struct {
		local    bool
		interval time.Duration
		events   func(s *Schedule, c *crier) func()
		within   time.Duration
	}{
		"of the system's events": {false, 5 * time.Minute, func(s *Schedule, _ *crier) func() {
			events := make(chan struct{})
			s.Events = events
			return func() { events <- struct{}{} }
		}, 10 * time.Second},
		"of notices":                 {false, 5 * time.Minute, func(_ *Schedule, c *crier) func() { return func() { c.notices <- struct{}{} } }, 10 * time.Second},
		"of kicks":                   {false, 5 * time.Minute, func(s *Schedule, _ *crier) func() { return s.Kick }, 10 * time.Second},
		"of notices, of local truth": {true, 5 * time.Minute, func(_ *Schedule, c *crier) func() { return func() { c.notices <- struct{}{} } }, 250 * time.Millisecond},
		"with an impatient interval": {false, 2 * time.Second, func(s *Schedule, _ *crier) func() { return s.Kick }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &localCrier{crier{notices: make(chan struct{}), ended: make(chan struct{})}}
				m := newMachine(t)
				m.d.Sources = []*Source{NewSource("crier", &c.crier)}
				if test.local {
					m.d.Sources = []*Source{NewSource("crier", c)}
				}
				s := NewSchedule([]*Detector{m.anew()}, test.interval, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
				s.Notices = true
				ctx, cancel := context.WithCancel(t.Context())
				send := test.events(s, &c.crier)
				c.say(ipaddr.V4, nil, addr(0))
				go s.Run(ctx)
				const events, gap = 6000, 20 * time.Millisecond
				last := c.times()
				for i := range events {
					c.say(ipaddr.V4, nil, addr(i))
					send()
					time.Sleep(gap)
					if at := time.Duration(i+1) * gap; at%time.Minute == 0 {
						for f, n := range c.times() {
							if asked := n - last[f]; asked > 12 && !test.local && test.interval > time.Minute || asked > 12*60 {
								t.Errorf("asked %d times for %s in a minute", asked, ipaddr.Family(f))
							}
						}
						last = c.times()
					}
				}
				c.say(ipaddr.V4, nil, new4)
				send()
				time.Sleep(test.within)
				synctest.Wait()
				if got := m.d.Known.Family(ipaddr.V4).Addrs; len(got) != 1 || got[0] != new4 {
					t.Errorf("%s after the storm, %v is known", test.within, got)
				}
				if err := s.Check(ctx); err != nil {
					t.Error(err)
				}
				cancel()
				<-c.ended
			})
		})
	}
}

// TestStormAcrossReloads: what a source may be asked, what it has asked for and
// what has happened is no matter of one configuration.
func TestStormAcrossReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.say(ipaddr.V4, nil, good4)
		run := func() (*Schedule, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			s := NewSchedule([]*Detector{m.anew()}, 5*time.Minute, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
			go s.Run(ctx)
			synctest.Wait()
			return s, cancel
		}
		for range 60 {
			s, stop := run()
			s.Kick()
			time.Sleep(time.Second)
			stop()
		}
		if n := m.times()[ipaddr.V4]; n > 12 {
			t.Errorf("asked %d times in a minute of reloads", n)
		}
		s, stop := run()
		m.say(ipaddr.V4, nil, new4)
		s.Kick()
		synctest.Wait()
		stop()
		_, stop = run()
		time.Sleep(10 * time.Second)
		if got := m.d.Known.Family(ipaddr.V4).Addrs; len(got) != 1 || got[0] != new4 {
			t.Errorf("the reload lost an event: %v is known", got)
		}
		stop()

		m.say(ipaddr.V4, &ipsources.SoonError{After: 30 * time.Second, Err: errors.New("not sure yet")})
		time.Sleep(5 * time.Minute)
		_, stop = run()
		before := m.times()[ipaddr.V4]
		for range 29 {
			stop()
			_, stop = run()
			time.Sleep(time.Second)
		}
		if n := m.times()[ipaddr.V4] - before; n != 0 {
			t.Errorf("asked %d times within the pause that the source wanted", n)
		}
		time.Sleep(2 * time.Second)
		if n := m.times()[ipaddr.V4] - before; n != 1 {
			t.Errorf("asked %d times after the pause that the source wanted", n)
		}
		stop()
	})
}

// TestDeafSource: a source whose listening breaks is asked all the same.
func TestDeafSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crier{notices: make(chan struct{}), ended: make(chan struct{})}
		m := newMachine(t)
		m.d.Sources = []*Source{NewSource("crier", c)}
		s := NewSchedule([]*Detector{m.anew()}, 5*time.Minute, func(*Detector, ipaddr.Family, Found) {}, m.d.Logger)
		s.Notices = true
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		close(c.notices)
		<-c.ended
		c.say(ipaddr.V4, nil, good4)
		time.Sleep(5 * time.Minute)
		if m.logs.FilterMessageSnippet("panicked").Len() != 1 || m.d.Known.Family(ipaddr.V4).Addrs == nil {
			t.Errorf("got %v", m.logs.All())
		}
	})
}
