package dynamicdns

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// failing makes calls of the provider fail.
func failing(z *standin.Zones, methods ...string) {
	z.Fail(func(c standin.Call) standin.Fault {
		if slices.Contains(methods, c.Method) {
			return standin.Fault{Err: errors.New("503 service unavailable")}
		}
		return standin.Fault{}
	})
}

// foundFile is what remembers found zones.
func (l *lab) foundFile() string {
	l.t.Helper()
	files, _ := filepath.Glob(filepath.Join(l.storage, "dynamic_dns/found/*.json"))
	if len(files) != 1 {
		l.t.Fatalf("found zones are in the files %v", files)
	}
	return files[0]
}

// TestFoundZonesOutliveRestart: a start where the provider cannot list its zones,
// and no name server answers, has the names in the zones of the process before.
func TestFoundZonesOutliveRestart(t *testing.T) {
	for name, test := range map[string]struct {
		lists   bool
		members string
		methods []string
	}{
		"hosts":                 {true, `"hosts": ["www.example.com"]`, []string{standin.List}},
		"sites":                 {true, `"dynamic_domains": true`, []string{standin.List}},
		"of DNS":                {false, `"hosts": ["www.example.com"]`, nil},
		"of DNS, no reads, too": {false, `"hosts": ["www.example.com"]`, []string{standin.Get}},
	} {
		t.Run(name, func(t *testing.T) {
			inDNS(t, zoneName)
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{ListsZones: test.lists}, zoneName)
				config, site := hostsConfig(z.Register(), test.members), sites(t, "www.example.com")
				start := func() {
					t.Helper()
					if err := l.tryLoad(config, site); err != nil {
						t.Fatal(err)
					}
					l.wait(time.Second)
				}
				l.address(addr1)
				start()
				hasA(t, z, "www", addr1)
				if data, _ := os.ReadFile(l.foundFile()); !strings.Contains(string(data), `"host":"www.example.com","zone":"example.com"`) {
					t.Errorf("remembers %s", data)
				}
				l.stop()
				l.wait(time.Hour)

				inDNS(t)
				failing(z, test.methods...)
				l.address(addr2)
				start()
				hasA(t, z, "www", addr2)
				if got := withoutZone(t); len(got) > 0 {
					t.Errorf("without a zone: %v", got)
				}
				l.wait(time.Hour)
				hasA(t, z, "www", addr2)
				if lines := l.logged("error", "no zone was found"); len(lines) > 0 {
					t.Errorf("said: %v", lines)
				}
				// What cannot be confirmed stays known for one start more.
				l.stop()
				l.address(addr3)
				start()
				hasA(t, z, "www", addr3)
			})
		})
	}
}

// TestFoundZoneIsWrongByNow: what is remembered is looked up again, and gives way
// to what the provider and name servers say.
func TestFoundZoneIsWrongByNow(t *testing.T) {
	for name, test := range map[string]struct {
		lists, unlisted bool
	}{
		"listed": {true, false}, "listed, and no more lists": {true, true}, "of DNS": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inDNS(t, "sub.example.com.")
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{ListsZones: test.lists}, "sub.example.com.", zoneName)
				config := hostsConfig(z.Register(), `"hosts": ["www.sub.example.com"]`)
				l.address(addr1)
				l.load(config)
				l.wait(time.Second)
				wantHolds(t, z, "sub.example.com.", at(addr1, "www.sub.example.com")...)
				l.stop()

				z.RemoveZone("sub.example.com.")
				inDNS(t, zoneName)
				if test.unlisted {
					failing(z, standin.List)
				}
				l.load(config)
				l.wait(10 * time.Minute)
				wantHolds(t, z, zoneName, at(addr1, "www.sub.example.com")...)
				if data, _ := os.ReadFile(l.foundFile()); !strings.Contains(string(data), `"zone":"example.com"`) {
					t.Errorf("remembers %s", data)
				}
			})
		})
	}
}

// TestLongerZoneSince: a zone that has been made since has the name once the
// provider lists it.
func TestLongerZoneSince(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true, Latency: 300 * time.Millisecond}, zoneName)
		config := withdrawing(hostsConfig(z.Register(), `"hosts": ["www.sub.example.com"]`))
		l.address(addr1)
		l.load(config)
		l.wait(time.Minute)
		l.stop()
		z.Put("sub.example.com.")
		l.load(config)
		l.wait(time.Minute)
		wantHolds(t, z, "sub.example.com.", at(addr1, "www.sub.example.com")...)
		wantHolds(t, z, zoneName)
	})
}

// TestFoundZoneIsDamaged: what cannot be read counts as missing, which is said,
// and is made anew.
func TestFoundZoneIsDamaged(t *testing.T) {
	inDNS(t)
	for damage, said := range map[string]int{
		`[{"provider"`: 1,
		`{}`:           1,
		`[null, {"provider": "PROVIDER", "host": "www.example.com", "zone": "example.org"}, {"provider": "PROVIDER", "host": "www.example.com", "zone": "a..b"}]`: 0,
	} {
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{ListsZones: true}, zoneName)
			module := z.Register()
			config := hostsConfig(module, `"hosts": ["www.example.com"]`)
			l.address(addr1)
			l.load(config)
			l.wait(time.Second)
			good, err := os.ReadFile(l.foundFile())
			if err != nil {
				t.Fatal(err)
			}
			l.stop()
			if err := os.WriteFile(l.foundFile(), []byte(strings.ReplaceAll(damage, "PROVIDER", module)), 0o600); err != nil {
				t.Fatal(err)
			}
			failing(z, standin.List)
			l.address(addr2)
			l.load(config)
			l.wait(time.Second)
			hasA(t, z, "www", addr1)
			if lines := l.logged("warn", "is damaged, and counts as missing"); len(lines) != said {
				t.Errorf("%s: said: %v", damage, lines)
			}
			z.Fail(nil)
			l.wait(10 * time.Minute)
			hasA(t, z, "www", addr2)
			if again, _ := os.ReadFile(l.foundFile()); string(again) != string(good) {
				t.Errorf("%s: remembers %s, want %s", damage, again, good)
			}
		})
	}
}

// TestConfiguredZoneOutranksFound: a zone that is written has the names in it,
// whatever is remembered, and so do names that are written in it.
func TestConfiguredZoneOutranksFound(t *testing.T) {
	inDNS(t)
	for _, members := range []string{`"hosts": ["www.sub.example.com"]`, `"dynamic_domains": true`} {
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{ListsZones: true}, zoneName)
			module, site := z.Register(), sites(t, "www.sub.example.com")
			load := func(members string) {
				t.Helper()
				if err := l.tryLoad(hostsConfig(module, members), site); err != nil {
					t.Fatal(err)
				}
				l.wait(time.Minute)
			}
			l.address(addr1)
			load(members)
			wantHolds(t, z, zoneName, at(addr1, "www.sub.example.com")...)
			l.stop()
			z.Put("sub.example.com.")
			failing(z, standin.List)
			l.address(addr2)
			load(`"domains": {"sub.example.com": []}, ` + members)
			wantHolds(t, z, "sub.example.com.", append(at(addr2, "www.sub.example.com"), map[bool][]string{true: at(addr2, "sub.example.com")}[strings.Contains(members, "hosts")]...)...)
			wantHolds(t, z, zoneName, at(addr1, "www.sub.example.com")...)
		})
	}
}

// TestFoundZonesOfTwoAccounts: of two accounts at one provider, each of which may
// have a site's zone, it is not remembered which.
func TestFoundZonesOfTwoAccounts(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		module := z.Register()
		config := `{"ip_sources": [{"source": "fake"}], "watch": false, "versions": {"ipv6": false}, "providers": [
			{"dns_provider": {"name": "` + module + `", "token": "very-secret-one"}, "dynamic_domains": true, "hosts": ["vpn.example.com"]},
			{"dns_provider": {"name": "` + module + `", "token": "very-secret-two"}, "dynamic_domains": true}]}`
		l.address(addr1)
		if err := l.tryLoad(config, sites(t, "www.example.com")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		hasA(t, z, "www", addr1)
		want := `[{"provider":"` + module + `","host":"vpn.example.com","zone":"example.com","listed":true}]`
		if data, _ := os.ReadFile(l.foundFile()); string(data) != want {
			t.Errorf("remembers %s, want %s", data, want)
		}
	})
}

// TestStorageOfFoundZonesFails: names are found without, and that is said once.
func TestStorageOfFoundZonesFails(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		if err := os.MkdirAll(filepath.Join(l.storage, "dynamic_dns"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(l.storage, "dynamic_dns/found"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l.address(addr1)
		l.load(hostsConfig(z.Register(), `"hosts": ["www.example.com", "www.example.org"]`))
		l.wait(3 * time.Hour)
		hasA(t, z, "www", addr1)
		if lines := l.logged("warn", "cannot remember beyond a restart"); len(lines) != 1 {
			t.Errorf("said: %v", lines)
		}
	})
}

// TestFoundZonesOfInstance: one that is started again has its names from its first
// entry on, so that others do not take its addresses away meanwhile.
func TestFoundZonesOfInstance(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		config := strings.Replace(clusterConfig(z.Register()), `"domains": {"example.com": ["www"]}`, `"hosts": ["www.example.com"]`, 1)
		entries := func() []string {
			files, _ := filepath.Glob(filepath.Join(l.storage, "dynamic_dns/cluster/*"))
			return files
		}
		l.address(addr1)
		l.load(config)
		l.wait(time.Minute)
		hasA(t, z, "www", addr1)
		l.stop()
		for _, file := range entries() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		failing(z, standin.List)
		l.load(config)
		for range 100 {
			if l.wait(50 * time.Millisecond); len(entries()) > 0 {
				break
			}
		}
		if len(entries()) != 1 {
			t.Fatalf("entries: %v", entries())
		}
		if data, _ := os.ReadFile(entries()[0]); !strings.Contains(string(data), `"www"`) {
			t.Errorf("the first entry is %s", data)
		}
	})
}
