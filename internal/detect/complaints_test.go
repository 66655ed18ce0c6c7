package detect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

var (
	good4 = netip.MustParseAddr("93.184.216.34")
	new4  = netip.MustParseAddr("93.184.216.35")
	good6 = netip.MustParseAddr("2606:2800:220:1::1")
)

// script is a source that says of each family what the test wants.
type script struct {
	mu    sync.Mutex
	addrs [ipaddr.Families][]netip.Addr
	errs  [ipaddr.Families]error
	asked [ipaddr.Families]int
}

func (s *script) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := ipaddr.V4
	if settings.IPVersions.V6Enabled() {
		f = ipaddr.V6
	}
	s.asked[f]++
	return s.addrs[f], s.errs[f]
}

func (s *script) say(f ipaddr.Family, err error, addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs[f], s.errs[f] = addrs, err
}

// times returns how often each family was asked for.
func (s *script) times() [ipaddr.Families]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// machine is a detector with a scripted source, whose families are asked in
// turn every five minutes.
type machine struct {
	script
	t    *testing.T
	d    *Detector
	logs *observer.ObservedLogs
}

func newMachine(t *testing.T, modules ...ipsources.IPSource) *machine {
	core, logs := observer.New(zapcore.InfoLevel)
	m := &machine{t: t, logs: logs}
	filter, _ := ipaddr.NewFilter(nil, nil)
	m.d = &Detector{
		Families: [ipaddr.Families]bool{true, true}, Filter: filter,
		Known: new(Known), Logger: zap.New(core),
	}
	m.d.Sources = []*Source{NewSource("script", &m.script)}
	for _, module := range modules {
		m.d.Sources = append(m.d.Sources, NewSource("other", module))
	}
	return m
}

// anew is the detector of a further configuration.
func (m *machine) anew() *Detector {
	d := *m.d
	d.Sources = nil
	for _, s := range m.d.Sources {
		d.Sources = append(d.Sources, NewSource(s.Name, s.IPSource))
	}
	return &d
}

// expect checks for the duration, and wants lines that hold the texts.
func (m *machine) expect(during time.Duration, want ...string) {
	m.t.Helper()
	for passed := time.Duration(0); passed < during; passed += 5 * time.Minute {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			m.d.detect(m.t.Context(), f)
		}
		time.Sleep(5 * time.Minute)
	}
	var got []string
	for _, entry := range m.logs.TakeAll() {
		got = append(got, fmt.Sprint(entry.Level, " ", entry.Message, " ", entry.ContextMap()))
	}
	ok := len(got) == len(want)
	for i := range want {
		for part := range strings.SplitSeq(want[i], "|") {
			ok = ok && strings.Contains(got[i], part)
		}
	}
	if !ok {
		m.t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const day = 24 * time.Hour

func TestComplaints(t *testing.T) {
	down, broken := errors.New("network is down"), errors.New("no such interface")
	absent := &ipsources.NoFamilyError{Err: errors.New("no route")}
	detailed := func(i int) error {
		return &ipsources.DetailedError{Err: errors.New("nobody answers"), Details: strings.Repeat("x", i)}
	}
	doubt := &ipsources.DoubtError{Err: errors.New("they disagree")}
	for name, play := range map[string]func(m *machine){
		"a machine without IPv6 is well": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, absent)
			m.expect(3*day, "info address changed|ipv4")
		},
		"a source that cannot know IPv6 is well": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.expect(3*day, "info address changed|ipv4")
		},
		"IPv6 that was never known fails": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, down)
			m.expect(3*day, "info address changed|ipv4",
				"warn address unknown|ipv6|for:24h|leave it out", "warn address unknown|ipv6|for:48h")
			m.say(ipaddr.V4, down)
			m.expect(time.Hour, "warn address unknown|ipv4", "warn address unknown|ipv6|for:72h")
		},
		"nothing is known at boot": func(m *machine) {
			m.say(ipaddr.V4, absent)
			m.say(ipaddr.V6, absent)
			m.expect(day, "warn address unknown|ipv6|no route")
			m.say(ipaddr.V4, nil, good4)
			m.expect(day, "info address changed|ipv4")
		},
		"another reason is news, and the first one again is not": func(m *machine) {
			for range 3 {
				m.say(ipaddr.V4, down)
				m.say(ipaddr.V6, down)
				if m.d.Known.Family(ipaddr.V4).Checked.IsZero() {
					m.expect(time.Hour, "warn address unknown|network is down")
				} else {
					m.expect(time.Hour)
				}
				m.say(ipaddr.V6, broken)
				if m.d.Known.families[ipaddr.V6].causes["script: no such interface"].IsZero() {
					m.expect(time.Hour, "warn address unknown|no such interface")
				} else {
					m.expect(time.Hour)
				}
			}
		},
		"details are no news": func(m *machine) {
			for i := range 12 {
				m.say(ipaddr.V4, detailed(i))
				m.say(ipaddr.V6, detailed(i))
				if i == 0 {
					m.expect(5*time.Minute, "warn address unknown|nobody answers")
				} else {
					m.expect(5 * time.Minute)
				}
			}
		},
		"all is lost and comes back": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address changed|ipv4", "info address changed|ipv6")
			m.say(ipaddr.V4, down)
			m.say(ipaddr.V6, down)
			m.expect(5*time.Minute, "warn address unknown|ipv6")
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address known again|ipv6|after:5m")
		},
		"one family is lost": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address changed|ipv4", "info address changed|ipv6")
			m.say(ipaddr.V6, absent)
			m.expect(5 * time.Minute)
			m.say(ipaddr.V6, nil, good6)
			m.expect(5 * time.Minute)
			m.say(ipaddr.V6, absent)
			m.expect(2*day, "warn address lost|ipv6|2606:2800:220:1::1|no route|for:10m")
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address known again|ipv6|after:48h")
			m.say(ipaddr.V6, absent)
			m.expect(time.Hour, "warn address lost|ipv6|for:10m")
		},
		"all is lost": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address changed|ipv4", "info address changed|ipv6")
			m.say(ipaddr.V4, down)
			m.say(ipaddr.V6, down)
			m.expect(time.Hour, "warn address unknown|ipv6", "warn address lost|ipv4|for:10m")
		},
		"a changed address says that it is known again": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.expect(time.Hour, "info address changed|ipv4")
			m.say(ipaddr.V4, down)
			m.expect(time.Hour, "warn address unknown|ipv4")
			m.say(ipaddr.V4, nil, new4)
			m.expect(time.Hour, "info address changed|ipv4")
		},
		"doubt is worth a line whatever else is known": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			m.say(ipaddr.V6, doubt)
			m.expect(day+time.Hour, "info address changed|ipv4", "warn address unknown|ipv6|they disagree", "warn address unknown|ipv6|they disagree")
			m.say(ipaddr.V6, nil, good6)
			m.expect(time.Hour, "info address changed|ipv6")
			m.say(ipaddr.V6, doubt)
			m.expect(time.Hour, "warn address unknown|ipv6|they disagree")
		},
		"an address in spite of doubt": func(m *machine) {
			m.say(ipaddr.V4, doubt, good4)
			m.expect(day, "warn publishing an address in spite of doubts|they disagree", "info address changed|ipv4")
			m.expect(time.Hour, "warn publishing an address in spite of doubts")
			m.say(ipaddr.V4, nil, good4)
			m.expect(time.Hour)
		},
		"doubt is worth a line although a later source knows": func(m *machine) {
			later := new(script)
			later.say(ipaddr.V4, nil, good4)
			later.say(ipaddr.V6, nil, good6)
			m.d.Sources = append(m.d.Sources, NewSource("later", later))
			m.say(ipaddr.V4, doubt)
			m.expect(day, "warn publishing an address in spite of doubts|error:script: they disagree|source:later", "info address changed|ipv4", "info address changed|ipv6")
			m.expect(time.Hour, "warn publishing an address in spite of doubts")
			m.say(ipaddr.V4, errors.New("no answer"))
			m.expect(day)
		},
		"a voter settles what voters before it have left open": func(m *machine) {
			vote := ipsources.Vote{Addr: good4, Voter: "x", Operator: "x"}
			m.say(ipaddr.V4, &ipsources.DoubtError{Err: &ipsources.UnsettledError{Votes: []ipsources.Vote{vote}, Err: errors.New("they disagree")}})
			m.d.Sources = append(m.d.Sources, NewSource("voter", &voting{name: "y", says: good4.String()}))
			m.d.Families[ipaddr.V6] = false
			m.d.detect(m.t.Context(), ipaddr.V4)
			m.expect(0, "info address changed|ipv4|source:voter")
		},
		"hold": func(m *machine) {
			m.say(ipaddr.V4, nil, good4)
			later := new(script)
			later.say(ipaddr.V4, nil, new4)
			later.say(ipaddr.V6, nil, good6)
			m.d.Sources = append(m.d.Sources, NewSource("later", later))
			m.expect(5*time.Minute, "info address changed|ipv4", "info address changed|ipv6")
			m.say(ipaddr.V4, &ipsources.HoldError{Err: errors.New("being replaced")})
			m.expect(15*time.Minute, "warn address lost; leaving DNS as it is|being replaced")
			if asked := later.times()[ipaddr.V4]; asked != 0 {
				m.t.Errorf("asked the source after it %d times", asked)
			}
			m.say(ipaddr.V4, nil)
			m.expect(5*time.Minute, "info address changed|"+new4.String())
		},
		"an error about the other family is no doubt": func(m *machine) {
			m.say(ipaddr.V4, down, good4)
			m.expect(day, "info address changed|ipv4")
		},
		"what is settled soon is no news yet": func(m *machine) {
			m.say(ipaddr.V4, &ipsources.SoonError{After: time.Second, Err: down})
			m.expect(10 * time.Minute)
			m.expect(time.Hour, "warn address unknown|ipv4|for:10m")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(newMachine(t)) })
		})
	}
}

// TestManyCauses: a source that never says the same twice fills neither the
// log nor the memory.
func TestManyCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		for i := range 200 {
			m.say(ipaddr.V4, errors.New(strings.Repeat("x", i)))
			m.d.detect(t.Context(), ipaddr.V4)
			m.d.detect(t.Context(), ipaddr.V6)
			time.Sleep(time.Minute)
		}
		if n := m.logs.Len(); n > 32 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.say(ipaddr.V4, nil, netip.MustParseAddr("192.168.1.1"), good4)
		m.expect(day, "warn not publishing an address|192.168.1.1|private", "info address changed")
		m.say(ipaddr.V4, nil, good4)
		m.expect(time.Hour)
		m.say(ipaddr.V4, nil, netip.MustParseAddr("192.168.1.1"), good4)
		m.expect(time.Hour, "warn not publishing an address|192.168.1.1")
	})
}

// TestRefusalsInAStorm: a check that is put off has refused nothing, and what the
// next one refuses is no news.
func TestRefusalsInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.say(ipaddr.V4, nil, netip.MustParseAddr("192.168.1.1"))
		for range 10 {
			m.d.detect(t.Context(), ipaddr.V4)
		}
		if m.times()[ipaddr.V4] == 10 {
			t.Fatal("no check was put off")
		}
		time.Sleep(time.Minute)
		m.d.detect(t.Context(), ipaddr.V4)
		if n := m.logs.FilterMessage("not publishing an address").Len(); n != 1 {
			t.Errorf("refused %d times", n)
		}
	})
}
