package zone

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

const (
	origin = "example.com."
	addr1  = "93.184.216.34"
	addr2  = "93.184.216.35"
	theirs = "192.0.2.66"
)

var www, mail = plan.Key{Name: "www"}, plan.Key{Name: "mail"}

// deaf is an observer that keeps nothing.
type deaf struct{}

func (deaf) Called(string, string, bool, time.Duration)        {}
func (deaf) RecordsChanged(string, string, []plan.Change)      {}
func (deaf) UpdateFailed(string, string, []string, error, int) {}
func (deaf) Recovered(string, string, []string, time.Duration) {}

// bench is one zone at a stand-in of a provider, in fake time.
type bench struct {
	t        *testing.T
	z        *standin.Zones
	registry Registry
	zone     *Zone
	holder   *Holder
}

func inBubble(t *testing.T, character standin.Character, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, z: standin.New(character, origin)}
		b.zone = b.registry.Acquire(Key{Config: "c", Module: "standin", Zone: origin})
		b.holder = b.attach(nil)
		test(b)
		b.holder.Release()
		b.registry.Release(b.zone)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(b.registry.zones) + len(b.registry.turns); n > 0 {
			t.Errorf("%d entries are left in the registry", n)
		}
	})
}

func (b *bench) attach(desired map[plan.Key]*plan.Desired) *Holder {
	b.t.Helper()
	return b.attachClass(plan.Own, desired)
}

func (b *bench) attachClass(class plan.Class, desired map[plan.Key]*plan.Desired) *Holder {
	b.t.Helper()
	p, err := provider.New("standin", b.z.Provider(), provider.NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.zone.Attach(&Backend{Provider: p, VerifyEvery: time.Hour, Observer: deaf{}, Logger: zap.NewNop(), Class: class}, desired, nil)
}

func (b *bench) set(key plan.Key, addrs ...string) *Handle {
	return b.holder.Set(set(addrs...), key)[0]
}

func set(addrs ...string) *plan.Desired {
	d := &plan.Desired{State: plan.Set}
	for _, s := range addrs {
		d.Addrs = append(d.Addrs, netip.MustParseAddr(s))
	}
	d.Addrs = ipaddr.Sort(d.Addrs)
	return d
}

func (b *bench) expect(key plan.Key, addrs ...string) {
	b.t.Helper()
	got := b.z.Values(origin, key.Name, key.Family.RRType())
	slices.Sort(got)
	if !slices.Equal(got, addrs) {
		b.t.Errorf("%s is %v, want %v", key, got, addrs)
	}
}

// outcome waits for a handle, and reports an error if it takes longer.
func (b *bench) outcome(h *Handle, within time.Duration) error {
	b.t.Helper()
	select {
	case <-h.Done():
		return h.Err()
	case <-time.After(within):
		b.t.Fatalf("nothing is known after %s", within)
		return nil
	}
}

func put(b *bench, name, addr string) {
	b.z.Put(origin, libdns.RR{Name: name, Type: "A", Data: addr, TTL: time.Hour})
}

// TestSetAtAnyTime: a name that was not known before is set without its
// neighbours being written again, and the handle tells when it is confirmed.
func TestSetAtAnyTime(t *testing.T) {
	inBubble(t, standin.Character{Latency: time.Second}, func(b *bench) {
		if err := b.outcome(b.set(www, addr1), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		b.expect(www, addr1)
		time.Sleep(10 * time.Minute)
		before := len(b.z.Calls())
		h := b.set(mail, addr2)
		select {
		case <-h.Done():
			t.Error("confirmed before anything was written")
		default:
		}
		if err := b.outcome(h, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		b.expect(mail, addr2)
		b.expect(www, addr1)
		for _, c := range b.z.Calls()[before:] {
			for _, rr := range c.Records {
				if rr.Name != "mail" {
					t.Errorf("%s wrote %s", c.Method, rr.Name)
				}
			}
		}
		// What is as desired already is confirmed at once.
		calls := len(b.z.Calls())
		if err := b.outcome(b.set(mail, addr2), time.Second); err != nil || len(b.z.Calls()) != calls {
			t.Errorf("%v, with %d calls", err, len(b.z.Calls())-calls)
		}
	})
}

func TestHandleTellsWhyNot(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.z.Put(origin, libdns.RR{Name: "mail", Type: "CNAME", Data: "elsewhere.example.net.", TTL: time.Hour})
		if err := b.outcome(b.set(mail, addr1), 10*time.Second); err == nil || !strings.Contains(err.Error(), "CNAME record to elsewhere.example.net. is in the way") {
			t.Errorf("beside a CNAME: %v", err)
		}
		b.z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.Set {
				return standin.Fault{Err: errors.New("quota exceeded")}
			}
			return standin.Fault{}
		})
		if err := b.outcome(b.set(www, addr1), 10*time.Second); err == nil || !strings.Contains(err.Error(), "quota exceeded") {
			t.Errorf("at a provider that refuses: %v", err)
		}
		newer := b.set(www, addr2)
		b.holder.Release()
		if err := b.outcome(newer, time.Hour); err == nil {
			t.Error("confirmed, and the holder has gone")
		}
		if err := b.outcome(b.set(www, addr1), time.Second); !errors.Is(err, ErrReleased) {
			t.Errorf("set by a holder that has gone: %v", err)
		}
	})
}

// TestNone takes away what was published, and only that.
func TestNone(t *testing.T) {
	for name, character := range map[string]standin.Character{
		"strict":                    {},
		"deletes by data":           {Delete: standin.DeleteByData},
		"set appends":               {Set: standin.SetAppends, Delete: standin.DeleteByData},
		"appends and deletes only":  {NoSet: true},
		"record by record":          {PerRecord: true},
		"reads show writes later":   {ReadsLag: time.Minute},
		"the last of several stays": {Set: standin.SetLastWins, Delete: standin.DeleteByData},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, character, func(b *bench) {
				put(b, "other", theirs)
				b.set(www, addr1)
				time.Sleep(10 * time.Minute)
				b.expect(www, addr1)
				b.z.Put(origin, libdns.RR{Name: "www", Type: "TXT", Data: "hello", TTL: time.Hour})
				h := b.holder.Set(&plan.Desired{State: plan.None}, www)[0]
				if err := b.outcome(h, time.Hour); err != nil {
					t.Fatal(err)
				}
				b.expect(www)
				b.expect(plan.Key{Name: "other"}, theirs)
				if len(b.z.RRset(origin, "www", "TXT")) != 1 {
					t.Error("the TXT record is gone")
				}
				// It may be set again.
				if err := b.outcome(b.set(www, addr2), time.Hour); err != nil {
					t.Fatal(err)
				}
				b.expect(www, addr2)
			})
		})
	}
}

func TestNoneLeavesWhatOthersHaveThere(t *testing.T) {
	inBubble(t, standin.Character{Delete: standin.DeleteByData}, func(b *bench) {
		put(b, "mail", theirs)
		b.set(www, addr1)
		time.Sleep(time.Minute)
		put(b, "www", theirs)
		// Nothing was published at mail, and at www just one of the two.
		for _, h := range b.holder.Set(&plan.Desired{State: plan.None}, mail, www) {
			if err := b.outcome(h, time.Hour); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(3 * time.Hour)
		b.expect(mail, theirs)
		b.expect(www, theirs)
		if n := b.z.Count(standin.Delete, "") + b.z.Count(standin.Set, ""); n > 3 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestUnknownIsLeftAlone(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		put(b, "www", theirs)
		b.set(mail, addr1)
		b.holder.Set(&plan.Desired{}, www)
		time.Sleep(24 * time.Hour)
		b.expect(www, theirs)
		for _, key := range b.z.Touched(origin) {
			if key.Name != "mail" {
				t.Errorf("touched %v", key)
			}
		}
	})
}

// TestNewerHolderWins: what an older configuration says is ignored once a
// newer one holds the zone, and holds again if that goes.
func TestNewerHolderWins(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.set(www, addr1)
		time.Sleep(time.Minute)
		older := b.holder
		reclaimed := make(chan struct{})
		older.reclaim = func(*Holder) { close(reclaimed) }
		newer := b.attach(map[plan.Key]*plan.Desired{www: set(addr2)})
		time.Sleep(time.Minute)
		b.expect(www, addr2)
		if err := b.outcome(b.set(www, addr1), time.Minute); !errors.Is(err, ErrSuperseded) {
			t.Errorf("set by the older holder: %v", err)
		}
		time.Sleep(time.Minute)
		b.expect(www, addr2)
		newer.Release()
		<-reclaimed
		older.Claim(map[plan.Key]*plan.Desired{www: set(addr1)})
		time.Sleep(time.Minute)
		b.expect(www, addr1)
	})
}

func TestVerify(t *testing.T) {
	inBubble(t, standin.Character{Latency: time.Second}, func(b *bench) {
		<-b.zone.Verify() // of nothing
		b.set(www, addr1)
		time.Sleep(time.Minute)
		b.z.Drop(origin, "www", "A")
		<-b.zone.Verify()
		b.expect(www, addr1)
		if s := b.zone.Snapshot(); len(s.Records) != 1 || s.Records[0].State != reconcile.InSync {
			t.Errorf("snapshot %+v", s)
		}
	})
}

// TestDryRun sees what is there, and leaves the machine unaware of it.
func TestDryRun(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.set(www, addr1)
		time.Sleep(time.Minute)
		b.z.Drop(origin, "www", "A")
		put(b, "www", theirs)
		observed, known, err := b.zone.DryRun(context.Background())
		if err != nil || len(observed.Sets[www].Addrs) != 1 || observed.Sets[www].Addrs[0].String() != theirs {
			t.Errorf("dry run: %v, %v", observed, err)
		}
		if known.Records[0].State != reconcile.InSync {
			t.Errorf("the dry run was no secret: %+v", known.Records[0])
		}
		b.expect(www, theirs)
	})
}
