package detect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// notes are what an observer was told of losses.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

func (*notes) Checked(string, ipaddr.Family, Result)                            {}
func (*notes) AddressChanged(ipaddr.Family, []netip.Addr, []netip.Addr, string) {}
func (n *notes) AddressLost(f ipaddr.Family, addrs []netip.Addr, err string) {
	n.add("lost %s %s: %s", f, addrs, err)
}
func (n *notes) AddressFound(f ipaddr.Family, a []netip.Addr, s string, d time.Duration) {
	n.add("found %s %s from %s after %s", f, a, s, d.Round(time.Minute))
}

// TestLoss: a family that was known and is missed in three checks in a row is
// lost, across reloads too, and however many events come.
func TestLoss(t *testing.T) {
	down := errors.New("network is down")
	const interval = 10 * time.Minute
	for name, play := range map[string]func(m *machine, kick func(), reload func(), expect func(string, ...string)){
		"three in a row": func(m *machine, kick, reload func(), expect func(string, ...string)) {
			m.say(ipaddr.V6, down)
			time.Sleep(interval + interval/2)
			expect("two misses at most")
			time.Sleep(2 * interval)
			expect("three misses", "lost ipv6 [2606:2800:220:1::1]: script: network is down")
			time.Sleep(day)
			expect("a day of it")
			m.say(ipaddr.V6, nil, good6)
			time.Sleep(interval)
			expect("the address is back", "found ipv6 [2606:2800:220:1::1] from script after 24h")
		},
		"not in a row": func(m *machine, kick, reload func(), expect func(string, ...string)) {
			for range 5 {
				m.say(ipaddr.V6, down)
				time.Sleep(interval + interval/2)
				m.say(ipaddr.V6, nil, good6)
				time.Sleep(interval + time.Minute)
			}
			expect("two misses, again and again")
		},
		"events": func(m *machine, kick, reload func(), expect func(string, ...string)) {
			m.say(ipaddr.V6, down)
			for range 8 {
				kick()
				time.Sleep(30 * time.Second)
			}
			expect("many misses in quick succession")
			for range 60 {
				kick()
				time.Sleep(30 * time.Second)
			}
			expect("and for long", "lost ipv6 [2606:2800:220:1::1]: script: network is down")
		},
		"a reload forgets nothing": func(m *machine, kick, reload func(), expect func(string, ...string)) {
			m.say(ipaddr.V6, &ipsources.NoFamilyError{Err: down})
			time.Sleep(interval + time.Minute)
			reload()
			time.Sleep(2 * interval)
			expect("three misses", "lost ipv6 [2606:2800:220:1::1]: script: network is down")
			reload()
			time.Sleep(time.Hour)
			expect("a reload of a lost family")
			m.say(ipaddr.V6, nil, netip.MustParseAddr("2606:2800:220:1::2"))
			time.Sleep(interval)
			expect("another address", "found ipv6 [2606:2800:220:1::2] from script after")
		},
		"never known": func(m *machine, kick, reload func(), expect func(string, ...string)) {
			m.d.Known = new(Known)
			m.say(ipaddr.V6, down)
			reload()
			time.Sleep(day)
			m.say(ipaddr.V6, nil, good6)
			time.Sleep(interval)
			expect("a family that was never known")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				told := new(notes)
				m.d.Observer = told
				m.say(ipaddr.V4, nil, good4)
				m.say(ipaddr.V6, nil, good6)
				var s *Schedule
				stop := func() {}
				reload := func() {
					stop()
					var ctx context.Context
					ctx, stop = context.WithCancel(t.Context())
					s = NewSchedule([]*Detector{m.anew()}, interval, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
					go s.Run(ctx)
					synctest.Wait()
				}
				reload()
				time.Sleep(time.Hour)
				play(m, func() { s.Kick() }, reload, func(when string, want ...string) {
					t.Helper()
					synctest.Wait()
					if got := told.take(); !slices.EqualFunc(got, want, strings.HasPrefix) {
						t.Errorf("%s: told %q, want %q", when, got, want)
					}
				})
				stop()
			})
		})
	}
}

// TestTurned: since when a family is found, or is not.
func TestTurned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		since := func(when string, want time.Duration) {
			t.Helper()
			if got := time.Since(m.d.Known.Family(ipaddr.V4).Turned); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		m.d.Known.begin(ipaddr.V4, time.Now())
		time.Sleep(time.Minute)
		m.expect(20*time.Minute, "warn address unknown")
		since("never found", 21*time.Minute)
		m.say(ipaddr.V4, nil, good4)
		m.expect(20*time.Minute, "info address changed")
		since("found", 20*time.Minute)
		m.d.Known.begin(ipaddr.V4, time.Now())
		since("found before a reload", 20*time.Minute)
		m.say(ipaddr.V4, nil)
		m.expect(5*time.Minute, "warn address unknown")
		since("not found", 5*time.Minute)
	})
}
