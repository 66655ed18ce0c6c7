package detect

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// voting is a source whose one service says what the test wants, and that
// believes it if somebody else says the same.
type voting struct {
	name, says string // "" does not answer
	others     []string
	refuses    error
}

func (v *voting) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	if v.says == "" {
		return nil, errors.New("no answer")
	}
	addr := netip.MustParseAddr(v.says)
	for _, known := range settings.Known {
		if known == addr {
			return []netip.Addr{addr}, nil
		}
	}
	for _, vote := range settings.Votes {
		if vote.Addr == addr && vote.Operator != v.name {
			return []netip.Addr{addr}, nil
		}
	}
	return nil, &ipsources.UnsettledError{
		Votes: []ipsources.Vote{{Addr: addr, Voter: v.name, Operator: v.name}}, Err: errors.New("too few answer"),
	}
}

func (v *voting) Operators(bool) []string { return []string{v.name} }

func (v *voting) VoteWith(others func(v6 bool) []string) error {
	v.others = others(false)
	return v.refuses
}

func (v *voting) ConfirmedBy(netip.Addr) []string { return []string{v.name} }

func TestVotes(t *testing.T) {
	const old, changed, other = "93.184.216.34", "93.184.216.35", "93.184.216.36"
	type check struct{ a, b, want, by string }
	for name, checks := range map[string][]check{
		"one may vote for the other": {{changed, changed, changed, "b"}, {changed, "", changed, "a"}, {"", changed, changed, "b"}},
		"one rogue answer moves nothing": {
			{old, old, old, "b"},
			{other, old, old, "b"}, {other, old, old, "b"}, {other, old, old, "b"}, {other, old, old, "b"},
			{old, other, old, "a"},
		},
		"those who contradict settle nothing": {{changed, other, "", ""}, {changed, other, "", ""}, {changed, other, "", ""}, {changed, other, "", ""}},
		"a lone answer is believed at the third check": {
			{old, old, old, "b"},
			{changed, "", old, ""}, {changed, "", old, ""}, {changed, "", changed, "a"}, {changed, "", changed, "a"},
		},
		"not in a row": {
			{changed, "", "", ""}, {changed, "", "", ""}, {"", changed, "", ""}, {"", "", "", ""},
			{changed, "", "", ""}, {changed, "", "", ""}, {other, "", "", ""}, {other, "", "", ""}, {other, "", other, "a"},
		},
		"what may not be published": {{"10.0.0.1", "", "", ""}, {"10.0.0.1", "", "", ""}, {"10.0.0.1", "", "", ""}, {"10.0.0.1", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &voting{name: "a"}, &voting{name: "b"}
				m := newMachine(t)
				m.d.Sources = []*Source{NewSource("first", a), NewSource("second", b)}
				for i, check := range checks {
					time.Sleep(repeatAfter)
					a.says, b.says = check.a, check.b
					soon, _ := m.d.detect(t.Context(), ipaddr.V4)
					found := m.d.Known.Family(ipaddr.V4)
					got := ""
					if len(found.Addrs) > 0 {
						got = found.Addrs[0].String()
					}
					if got != check.want {
						t.Fatalf("check %d: got %q, want %q", i+1, got, check.want)
					}
					if by := strings.Join(found.ConfirmedBy, " "); check.by != "" && (found.Failing || by != check.by) {
						t.Errorf("check %d: failing %t, confirmed by %s, want %s", i+1, found.Failing, by, check.by)
					}
					if check.by == "" && !found.Failing {
						t.Errorf("check %d: not failing", i+1)
					}
					lone := (check.a == "") != (check.b == "") && found.Failing && check.a != "10.0.0.1"
					if (soon == 10*time.Second) != lone {
						t.Errorf("check %d: wants to come back in %v", i+1, soon)
					}
				}
			})
		})
	}
}

// TestLoneVoteIsWarnedOf: what two operators should confirm is published with a
// warning that says who did not answer, and not before anything is said.
func TestLoneVoteIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.d.Sources = []*Source{NewSource("first", &voting{name: "a", says: good4.String()}), NewSource("second", &voting{name: "b"})}
		m.d.Families[ipaddr.V6] = false
		for range quorum.Repeats {
			m.d.detect(t.Context(), ipaddr.V4)
			time.Sleep(repeatAfter)
		}
		lines := m.logs.TakeAll()
		if len(lines) != 2 || lines[0].Message != "publishing an address in spite of doubts" || lines[1].Message != "address changed" {
			t.Fatalf("logged %v", lines)
		}
		if text := lines[0].ContextMap()["error"].(string); !strings.Contains(text, "a repeated it in 3 checks") || !strings.Contains(text, "second: no answer") {
			t.Errorf("the warning says %q", text)
		}
	})
}

// TestLoneVoteInAStorm: checks that follow each other because much happens here
// are no evidence that the others are gone for good.
func TestLoneVoteInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		a, b := &voting{name: "a", says: good4.String()}, &voting{name: "b", says: good4.String()}
		m.d.Sources = []*Source{NewSource("first", a), NewSource("second", b)}
		m.d.Families[ipaddr.V6] = false
		s := NewSchedule([]*Detector{m.d}, 5*time.Minute, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		synctest.Wait()
		a.says, b.says = new4.String(), ""
		began := time.Now()
		for range quorum.Repeats {
			s.Kick()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if got := m.d.Known.Family(ipaddr.V4).Addrs[0]; got != good4 {
			t.Errorf("believes %s after %s", got, time.Since(began))
		}
		time.Sleep(2*repeatAfter + time.Second)
		synctest.Wait()
		if got := m.d.Known.Family(ipaddr.V4).Addrs[0]; got != new4 {
			t.Errorf("still believes %s after %s", got, time.Since(began))
		}
	})
}

func TestJoinVoters(t *testing.T) {
	a, b := &voting{name: "a"}, &voting{name: "b"}
	sources := []*Source{NewSource("a", a), NewSource("script", new(script)), NewSource("b", b)}
	if _, err := JoinVoters(sources); err != nil || strings.Join(a.others, " ") != "b" || strings.Join(b.others, " ") != "a" {
		t.Errorf("got %v, %v, %v", err, a.others, b.others)
	}
	b.refuses = errors.New("quorum 3 cannot be reached")
	if at, err := JoinVoters(sources); at != 2 || err == nil {
		t.Errorf("got %d, %v", at, err)
	}
}
