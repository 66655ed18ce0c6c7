package detect

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// TestTellsChangesOnly: a steady round costs nobody anything.
func TestTellsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		var published []string
		sink := func(_ *Detector, f ipaddr.Family, found Found) {
			m.mu.Lock()
			defer m.mu.Unlock()
			published = append(published, f.String()+" "+found.Addrs[0].String())
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			slices.Sort(published)
			if !slices.Equal(published, want) {
				t.Errorf("published %q, want %q", published, want)
			}
			published = nil
		}
		run := func() context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go NewSchedule([]*Detector{m.anew()}, 5*time.Minute, sink, zap.NewNop()).Run(ctx)
			return cancel
		}
		m.say(ipaddr.V4, nil, good4)
		m.say(ipaddr.V6, nil, good6)
		stopFirst := run()
		time.Sleep(day)
		expect("ipv4 "+good4.String(), "ipv6 "+good6.String())

		// During a reload, the first schedule finds what the second must publish.
		stopSecond := run()
		expect("ipv4 "+good4.String(), "ipv6 "+good6.String())
		m.say(ipaddr.V4, nil, new4)
		time.Sleep(time.Hour)
		expect("ipv4 "+new4.String(), "ipv4 "+new4.String())
		stopFirst()
		stopSecond()
	})
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.say(ipaddr.V4, nil, good4)
		s := NewSchedule([]*Detector{m.anew()}, time.Hour, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.Check(ctx) == nil {
			t.Error("checked though the schedule does not run")
		}
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		time.Sleep(time.Minute)
		before := m.times()
		err := s.Check(ctx)
		if after := m.times(); err != nil || after[ipaddr.V4] != before[ipaddr.V4]+1 || after[ipaddr.V6] != before[ipaddr.V6]+1 {
			t.Errorf("%v, asked %v times after %v", err, after, before)
		}
		if next := time.Until(s.Next()); next < 57*time.Minute || next > time.Hour {
			t.Errorf("next check in %s", next)
		}
	})
}

// TestRepeatable: what a round draws depends on itself alone.
func TestRepeatable(t *testing.T) {
	history := func() (times [ipaddr.Families][]time.Time) {
		synctest.Test(t, func(t *testing.T) {
			m := newMachine(t)
			m.say(ipaddr.V4, nil, good4)
			s := NewSchedule([]*Detector{m.anew()}, time.Hour, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
			s.Randomize(func(round int) func() float64 { return rand.New(rand.NewPCG(1, uint64(round))).Float64 })
			ctx, cancel := context.WithTimeout(t.Context(), day)
			defer cancel()
			go s.Run(ctx)
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				for f := range times {
					if checked := m.d.Known.Family(ipaddr.Family(f)).Checked; len(times[f]) == 0 || checked != times[f][len(times[f])-1] {
						times[f] = append(times[f], checked)
					}
				}
			}
		})
		return times
	}
	first := history()
	for range 3 {
		again := history()
		for f := range first {
			if !slices.EqualFunc(first[f], again[f], time.Time.Equal) || len(again[f]) < 20 {
				t.Errorf("checks of %s differ: %d and %d", ipaddr.Family(f), len(first[f]), len(again[f]))
			}
		}
	}
}
