package dynamicdns

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

func withdrawing(config string) string { return strings.Replace(config, "{", `{"withdraw": true,`, 1) }

// exit ends Caddy as at the end of its process.
func (l *lab) exit() (took time.Duration) {
	begin := time.Now()
	exiting = func() bool { return true }
	defer func() { exiting = func() bool { return false } }()
	l.stop()
	return time.Since(begin)
}

func hasA(t *testing.T, z *standin.Zones, name string, want ...string) {
	t.Helper()
	if got := z.Values(zoneName, name, "A"); !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", name, got, want)
	}
}

// ledgers are the files that know what is to be withdrawn.
func (l *lab) ledgers() []string {
	files, _ := filepath.Glob(filepath.Join(l.storage, "dynamic_dns/published/*/*/*.json"))
	return files
}

// TestWithdrawAtTheEnd: what was published is taken away when Caddy ends, and
// at no reload; what others have there stays, as does all without the option.
func TestWithdrawAtTheEnd(t *testing.T) {
	for name, withdraws := range map[string]bool{"withdraw": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{Latency: 200 * time.Millisecond}, zoneName)
				z.Put(zoneName, record("right", "A", addr1), record("other", "A", addr3), record("www", "TXT", "hello"))
				config := appConfig(z.Register(), `{"example.com": ["www", "@", "right"]}`)
				if withdraws {
					config = withdrawing(config)
				}
				l.address(addr1)
				l.load(config)
				l.wait(10 * time.Minute)
				l.load(config)
				l.wait(time.Minute)
				hasA(t, z, "www", addr1)
				l.address(addr2)
				l.wait(10 * time.Minute)
				hasA(t, z, "www", addr2)
				z.Put(zoneName, record("www", "A", addr3))

				if took := l.exit(); took > withdrawTimeout {
					t.Errorf("took %s", took)
				}
				if !withdraws {
					hasA(t, z, "www", addr2, addr3)
					hasA(t, z, "@", addr2)
					return
				}
				hasA(t, z, "www", addr3)
				hasA(t, z, "@")
				hasA(t, z, "right")
				hasA(t, z, "other", addr3)
				if got := z.Values(zoneName, "www", "TXT"); len(got) != 1 {
					t.Error("a text is gone")
				}
				if files := l.ledgers(); len(files) > 0 {
					b, _ := os.ReadFile(files[0])
					t.Errorf("left in the storage: %v %s", files, b)
				}
				if lines := l.logged("warn", ""); len(lines) > 0 {
					t.Errorf("trouble in the log: %v", lines)
				}
				lines := l.logged("info", "removed DNS record")
				for _, line := range lines {
					if _, ok := line["source"]; ok {
						t.Errorf("what is removed has a source: %v", line)
					}
				}
				if len(lines) == 0 {
					t.Error("nothing is said of what is removed")
				}
			})
		})
	}
}

// TestWithdrawOnlyWhatWasPublished: an address that was there before, and was
// never written, is nobody's to take away.
func TestWithdrawOnlyWhatWasPublished(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr1)
		l.load(withdrawing(appConfig(z.Register(), `{"example.com": ["www", "new"]}`)))
		l.wait(time.Minute)
		l.exit()
		hasA(t, z, "www", addr1)
		hasA(t, z, "new")
	})
}

// TestWithdrawNamesThatLeave: of names that leave the configuration, and of
// zones that do as a whole, while the rest goes on.
func TestWithdrawNamesThatLeave(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		after     string
		without   bool
	}{
		"a name":                 {standin.Character{}, `{"example.com": ["www"]}`, false},
		"a name, and the option": {standin.Character{}, `{"example.com": ["www"]}`, true},
		"a zone":                 {standin.Character{}, `{"example.net": ["www"]}`, false},
		"appends and deletes":    {standin.Character{NoSet: true}, `{"example.com": ["www"]}`, false},
		"one by one":             {standin.Character{PerRecord: true}, `{"example.com": ["www"]}`, false},
		"reads that lag":         {standin.Character{ReadsLag: time.Minute}, `{"example.com": ["www"]}`, false},
		"no reads":               {standin.Character{NoGet: true}, `{"example.com": ["www"]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName, "example.net.")
				provider := z.Register()
				l.address(addr1)
				l.load(withdrawing(appConfig(provider, `{"example.com": ["www", "blog"]}`)))
				l.wait(10 * time.Minute)
				if !test.character.NoGet {
					z.Put(zoneName, record("blog", "A", addr3))
				}
				config := withdrawing(appConfig(provider, test.after))
				if test.without {
					config = appConfig(provider, test.after)
				}
				begin := time.Now()
				l.load(config)
				if took := time.Since(begin); took > 0 {
					t.Errorf("the reload waited for %s", took)
				}
				l.wait(withdrawTimeout)
				if test.character.NoGet {
					hasA(t, z, "blog")
				} else {
					hasA(t, z, "blog", addr3)
				}
				if strings.Contains(test.after, "net") {
					hasA(t, z, "www")
				} else {
					hasA(t, z, "www", addr1)
				}
				l.wait(12 * time.Hour)
				writes := z.Count(standin.Delete, "")
				l.wait(12 * time.Hour)
				if n := z.Count(standin.Delete, "") - writes; n > 0 {
					t.Errorf("%d more deletions", n)
				}
			})
		})
	}
}

// TestWithdrawMoved: a name that only moves to another group is not withdrawn.
func TestWithdrawMoved(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		provider := z.Register()
		groups := func(one, two string) string {
			return `{"check_interval": "5m", "watch": false, "withdraw": true, "ip_sources": [{"source": "fake"}], "versions": {"ipv6": false}, "providers": [
				{"dns_provider": {"name": "` + provider + `", "token": "one"}, "domains": {"example.com": [` + one + `]}},
				{"dns_provider": {"name": "` + provider + `", "token": "two"}, "domains": {"example.com": [` + two + `]}}]}`
		}
		l.address(addr1)
		l.load(groups(`"a", "b", "c"`, `"d"`))
		l.wait(time.Minute)
		l.load(groups(`"a"`, `"b", "d"`))
		l.wait(time.Minute)
		for _, name := range []string{"a", "b", "d"} {
			hasA(t, z, name, addr1)
		}
		hasA(t, z, "c")
		if n := z.Count(standin.Delete, ""); n != 1 {
			t.Errorf("%d deletions, want one", n)
		}
		l.exit()
		for _, name := range []string{"a", "b", "d"} {
			hasA(t, z, name)
		}
	})
}

// TestWithdrawIsFinished: what is not done by the end is by the next start, if
// the names are not managed again; and a crash forgets nothing, for what is
// published is known to the storage before the provider is asked.
func TestWithdrawIsFinished(t *testing.T) {
	for _, crash := range []bool{false, true} {
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{}, zoneName)
			provider := z.Register()
			z.Fail(func(c standin.Call) standin.Fault {
				if c.Method == standin.Set || c.Method == standin.Append {
					if files := l.ledgers(); len(files) != 1 {
						t.Errorf("written before the ledger: %v", files)
					} else if data, _ := os.ReadFile(files[0]); !strings.Contains(string(data), addr1) {
						t.Errorf("the ledger has %s", data)
					}
				}
				return standin.Fault{}
			})
			l.address(addr1)
			l.load(withdrawing(appConfig(provider, `{"example.com": ["www", "blog"]}`)))
			l.wait(time.Minute)
			z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errors.New("503 service unavailable")} })
			if crash {
				// A process that ends at once says nothing to anybody.
				ledger, err := os.ReadFile(l.ledgers()[0])
				if err != nil {
					t.Fatal(err)
				}
				file := l.ledgers()[0]
				l.stop()
				l.wait(time.Hour)
				if err := os.WriteFile(file, ledger, 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				l.exit()
			}
			if lines := l.logged("warn", "not all addresses could be withdrawn"); len(lines) != 1 {
				t.Errorf("want one word of it: %v", lines)
			}
			l.wait(time.Hour)
			z.Fail(nil)
			hasA(t, z, "blog", addr1)
			l.load(withdrawing(appConfig(provider, `{"example.com": ["www"]}`)))
			l.wait(time.Minute)
			hasA(t, z, "www", addr1)
			hasA(t, z, "blog")
			l.exit()
			hasA(t, z, "www")
		})
	}
}

// TestWithdrawWhileWriting: whenever it happens that a zone leaves the configuration
// or Caddy ends, nothing is published after that, and what is being published then
// is taken away.
func TestWithdrawWhileWriting(t *testing.T) {
	for name, end := range map[string]func(l *lab, provider string){
		"a zone leaves": func(l *lab, provider string) {
			l.load(withdrawing(appConfig(provider, `{"example.net": ["www"]}`)))
		},
		"the end": func(l *lab, _ string) { l.exit() },
	} {
		for _, character := range []standin.Character{{Latency: time.Second}, {Latency: time.Second, NoSet: true}} {
			for at := time.Duration(0); at < 3*time.Second; at += 600 * time.Millisecond {
				bubble(t, func(l *lab) {
					z := standin.New(character, zoneName, "example.net.")
					provider := z.Register()
					l.address(addr1)
					l.load(withdrawing(appConfig(provider, `{"example.com": ["www"]}`)))
					l.wait(time.Minute)
					l.load(withdrawing(appConfig(provider, `{"example.com": ["www", "blog"]}`)))
					time.Sleep(at)
					end(l, provider)
					l.wait(time.Minute)
					if got := z.Snapshot(zoneName); len(got) > 0 {
						t.Errorf("%s after %s, NoSet=%t: there is still %v", name, at, character.NoSet, got)
					}
				})
			}
		}
	}
}

// TestWithdrawNothingLate: an address that is found while it is being withdrawn does
// not come back.
func TestWithdrawNothingLate(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: time.Second}, zoneName)
		l.address(addr1)
		l.load(withdrawing(appConfig(z.Register(), `{"example.com": ["www"]}`)))
		l.wait(time.Minute)
		app, err := activeApp()
		if err != nil {
			t.Fatal(err)
		}
		d := app.groups[0].detector
		late := time.AfterFunc(500*time.Millisecond, func() { app.feed(d, ipaddr.V4, d.Known.Family(ipaddr.V4)) })
		defer late.Stop()
		l.exit()
		hasA(t, z, "www")
		if lines := l.logged("warn", ""); len(lines) > 0 {
			t.Errorf("trouble in the log: %v", lines)
		}
	})
}

// TestWithdrawDoesNotHang: a provider that does not answer holds up the end of
// Caddy for a few seconds, and a reload not at all.
func TestWithdrawDoesNotHang(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName, "example.net.")
		provider := z.Register()
		l.address(addr1)
		l.load(withdrawing(appConfig(provider, `{"example.com": ["www"], "example.net": ["www"]}`)))
		l.wait(time.Minute)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Do: func() { time.Sleep(10 * time.Minute) }} })
		begin := time.Now()
		l.load(withdrawing(appConfig(provider, `{"example.net": ["www"]}`)))
		if took := time.Since(begin); took > 0 {
			t.Errorf("a reload took %s", took)
		}
		l.wait(time.Second)
		if took := l.exit(); took < withdrawTimeout || took > withdrawTimeout+time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

// TestWithdrawNeedsDelete: an option that could do nothing is refused.
func TestWithdrawNeedsDelete(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{NoDelete: true}, zoneName)
		err := l.tryLoad(withdrawing(appConfig(z.Register(), `{"example.com": ["www"]}`)))
		if err == nil || !strings.Contains(err.Error(), "cannot delete records") || !strings.Contains(err.Error(), "leave withdraw out") {
			t.Errorf("got %v", err)
		}
	})
}
