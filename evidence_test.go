package dynamicdns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// inSync asks the running app whether all is in sync.
func (l *lab) inSync() bool {
	l.t.Helper()
	app, err := activeApp()
	if err != nil {
		l.t.Fatal(err)
	}
	s := app.status(time.Now())
	return s.InSync != nil && *s.InSync
}

// watch waits, and reports an error if all is ever called in sync while the
// name holds something else than it should.
func (l *lab) watch(d time.Duration, z *standin.Zones) {
	l.t.Helper()
	for range d / time.Second {
		l.wait(time.Second)
		if !l.inSync() {
			continue
		}
		app, _ := activeApp()
		for _, r := range app.status(time.Now()).Zones[0].Records {
			if want, got := join(r.Desired), strings.Join(z.Values(zoneName, r.Name, r.Type), " "); got != want {
				l.t.Fatalf("called in sync with %s instead of %s", got, want)
			}
		}
	}
}

func join(addrs []netip.Addr) string { return status.Addresses(addrs).String() }

// expect reports an error if the name does not hold just the address.
func (l *lab) expect(z *standin.Zones, addrs ...string) {
	l.t.Helper()
	if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, addrs) {
		l.t.Errorf("DNS has %v, want %v", got, addrs)
	}
}

// TestThereAndBack: the newest evidence is that of a write, not of the read
// before it.
func TestThereAndBack(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		readsFail bool
	}{
		"while reads fail": {standin.Character{}, true},
		"while reads lag":  {standin.Character{ReadsLag: 20 * time.Minute}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				l.address(addr1)
				config := strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"check_interval": "10s",`, 1)
				l.load(config)
				l.wait(30 * time.Minute)
				l.expect(z, addr1)
				if test.readsFail {
					z.Fail(func(c standin.Call) standin.Fault {
						if c.Method == standin.Get {
							return standin.Fault{Err: errNetwork}
						}
						return standin.Fault{}
					})
				}
				l.address(addr2)
				l.watch(2*time.Minute, z)
				l.expect(z, addr2)
				l.address(addr1)
				l.watch(2*time.Minute, z)
				l.expect(z, addr1)
				l.wait(6 * time.Hour)
				l.expect(z, addr1)
			})
		})
	}
}

// TestLostWrite: where writes have shown at once, one that does not was lost.
func TestLostWrite(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"check_interval": "1s",`, 1))
		l.wait(5 * time.Minute)
		l.expect(z, addr1)
		z.Fail(standin.OnCall(standin.Set, standin.Fault{Lost: true}, 2))
		l.address(addr2)
		l.wait(5 * time.Second)
		l.expect(z, addr1)
		l.watch(time.Minute, z)
		l.expect(z, addr2)
		if !l.inSync() {
			t.Error("not in sync")
		}
	})
}

// TestHungRead: a read that does not return holds up no update, not even over
// a reload, and none is begun beside it.
func TestHungRead(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"check_interval": "10s",`, 1)
		l.load(config)
		l.wait(5 * time.Minute)
		release := make(chan struct{})
		z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.Get {
				return standin.Fault{Do: func() { <-release }}
			}
			return standin.Fault{}
		})
		reads := z.Count(standin.Get, "")
		l.address(addr2)
		l.wait(2 * time.Minute)
		l.expect(z, addr2)
		l.load(strings.Replace(config, "{", `{"ttl": "10m",`, 1))
		l.address(addr3)
		l.wait(2 * time.Minute)
		l.expect(z, addr3)
		if n := z.Count(standin.Get, "") - reads; n != 1 {
			t.Errorf("%d reads at a provider whose reads hang", n)
		}
		if l.inSync() {
			t.Error("called in sync, and nothing can be read")
		}
		close(release)
		z.Fail(nil)
		l.wait(15 * time.Minute)
		if !l.inSync() {
			t.Error("not in sync, and all can be read again")
		}
	})
}

// TestUnseenAppends: of what we have appended unseen, the newest stays.
func TestUnseenAppends(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{NoSet: true, ReadsFail: true}, zoneName)
		z.Put(zoneName, record("www", "A", "192.0.2.66"))
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		for _, addr := range []string{addr2, addr3} {
			l.wait(3 * time.Hour)
			l.address(addr)
		}
		l.wait(3 * time.Hour)
		// The stranger's is not ours to delete.
		l.expect(z, "192.0.2.66", addr3)
	})
}

// TestReloadTellsWhatCameTrue: what comes true after a reload is told all the same.
func TestReloadTellsWhatCameTrue(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: 30 * time.Second}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.loadRecording(config)
		l.wait(5*time.Minute - 20*time.Second)
		takeEvents()
		l.address(addr2)
		l.wait(time.Minute)
		if calls := z.Calls(); calls[len(calls)-1].Method != standin.Set || !calls[len(calls)-1].Ended.IsZero() {
			t.Fatalf("no write is under way: %+v", calls[len(calls)-1])
		}
		l.loadRecording(strings.Replace(config, "{", `{"verify_interval": "2h",`, 1))
		l.wait(10 * time.Minute)
		l.expect(z, addr2)
		if lines := l.logged("info", "updated DNS record"); len(lines) != 1 {
			t.Errorf("want one line for the update, got %v", lines)
		}
		if events := takeEvents("records_changed"); len(events) != 1 || !strings.Contains(events[0], addr2) {
			t.Errorf("want one event for the update, got %v", events)
		}
	})
}

// TestFailuresAreCountedOn: another address is no reason to begin to count
// anew.
func TestFailuresAreCountedOn(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		failures := func() int {
			app, err := activeApp()
			if err != nil {
				t.Fatal(err)
			}
			return app.status(time.Now()).Zones[0].Failures
		}
		l.wait(3 * time.Hour)
		before := failures()
		l.address(addr2)
		l.wait(30 * time.Minute)
		if after := failures(); before < 5 || after <= before {
			t.Errorf("%d failures in a row, and %d after the address has changed", before, after)
		}
	})
}

// TestTwoTokens: two configurations of one provider may lead to one zone.
func TestTwoTokens(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{RewritesZone: true, Latency: 5 * time.Second}, zoneName)
		name := z.Register()
		l.address(addr1)
		l.load(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "check_interval": "10s",
			"providers": [
				{"dns_provider": {"name": "` + name + `", "token": "one-token"}, "domains": {"example.com": ["www", "a"]}},
				{"dns_provider": {"name": "` + name + `", "token": "another-token"}, "domains": {"example.com": ["b", "c"]}}
			]
		}`)
		for _, addr := range []string{addr2, addr3, addr1, addr2} {
			l.wait(5 * time.Minute)
			l.address(addr)
		}
		l.wait(5 * time.Minute)
		for _, name := range []string{"www", "a", "b", "c"} {
			if got := z.Values(zoneName, name, "A"); !slices.Equal(got, []string{addr2}) {
				t.Errorf("%s has %v", name, got)
			}
		}
		if overlaps := z.Overlaps(); len(overlaps) > 0 {
			t.Errorf("writes overlap: %v", overlaps)
		}
	})
}
