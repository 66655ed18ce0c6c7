package simplehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
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
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
)

// An echoScript plays echo services in a bubble: what each host says, and
// after how long.
type echoScript struct {
	mu    sync.Mutex
	says  map[string]string // "198.51.100.7", "error", or "" for no answer
	takes map[string]time.Duration
	asked []string // "<host>"
	over  []string // "<network> <host>"
}

func (p *echoScript) ask(ctx context.Context, network string, u *url.URL) (netip.Addr, error) {
	host := strings.TrimSuffix(u.Hostname(), ".example")
	p.mu.Lock()
	p.asked = append(p.asked, host)
	p.over = append(p.over, network+" "+host)
	says, takes := p.says[host], p.takes[host]
	if says == "" {
		takes = time.Hour
	}
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return netip.Addr{}, ctx.Err()
	}
	if says == "error" {
		return netip.Addr{}, errors.New("status is 503, not 200")
	}
	return netip.ParseAddr(says)
}

// An echoCheck is one check of IPv4 and what comes of it.
type echoCheck struct {
	known string
	heard string // "<address>@<operator>", the vote of another source's
	says  string // "a=… b=…"; hosts not named do not answer
	takes map[string]time.Duration
	asked string // in order
	took  time.Duration
	want  string // the address, or ""
	err   string
	votes string // of an UnsettledError, "<host> …"
	doubt bool
}

func TestSimpleHTTPChecks(t *testing.T) {
	const old, changed, other = "198.51.100.1", "198.51.100.2", "198.51.100.3"
	const ms = time.Millisecond
	all := func(addr string) string {
		return fmt.Sprintf("a=%[1]s b=%[1]s c=%[1]s d=%[1]s e=%[1]s", addr)
	}
	for _, tc := range []struct {
		name   string
		hosts  string // default "a b c d e"
		quorum int
		checks []echoCheck
	}{
		{name: "first check asks a quorum", checks: []echoCheck{
			{says: all(changed), asked: "a b", want: changed},
		}},
		{name: "first check with one endpoint", hosts: "a", checks: []echoCheck{
			{says: all(changed), asked: "a", want: changed},
		}},
		{name: "first check with two endpoints", hosts: "a b", checks: []echoCheck{
			{says: all(changed), asked: "a b", want: changed},
		}},
		{name: "steady state asks one, each in turn", checks: []echoCheck{
			{known: old, says: all(old), asked: "a", want: old},
			{known: old, says: all(old), asked: "b", want: old},
			{known: old, says: all(old), asked: "c", want: old},
			{known: old, says: all(old), asked: "d", want: old},
			{known: old, says: all(old), asked: "e", want: old},
			{known: old, says: all(old), asked: "a", want: old},
		}},
		{name: "change needs a second opinion", checks: []echoCheck{
			{known: old, says: all(changed), asked: "a b", want: changed},
		}},
		{name: "change with quorum 3", quorum: 3, checks: []echoCheck{
			{known: old, says: all(changed), asked: "a b c", want: changed},
		}},
		{name: "dead first endpoint costs a quarter of a second", checks: []echoCheck{
			{known: old, says: "b=" + old, asked: "a b", took: 250 * ms, want: old},
		}},
		{name: "dead first two", checks: []echoCheck{
			{known: old, says: "c=" + old, asked: "a b c", took: 500 * ms, want: old},
		}},
		{name: "failing first endpoint costs nothing", checks: []echoCheck{
			{known: old, says: "a=error b=" + old, asked: "a b", want: old},
		}},
		{name: "slow endpoint may still win", checks: []echoCheck{
			{known: old, says: all(old), takes: map[string]time.Duration{"a": 300 * ms, "b": 200 * ms}, asked: "a b", took: 300 * ms, want: old},
		}},
		{name: "a quorum hedges both", checks: []echoCheck{
			{says: "c=" + old + " d=" + old, asked: "a b c d", took: 250 * ms, want: old},
		}},
		{name: "a quorum replaces the one that fails", checks: []echoCheck{
			{says: "a=" + old + " b=error c=" + old, asked: "a b c", want: old},
		}},
		{name: "one rogue answer moves nothing", checks: []echoCheck{
			{known: old, says: "a=" + changed + " b=" + old + " c=" + old, asked: "a b", want: old},
		}},
		{name: "one rogue answer does not hold a change up", checks: []echoCheck{
			{known: old, says: "a=" + other + " b=" + changed + " c=" + changed, asked: "a b c d e", want: changed},
		}},
		{name: "disagreement leaves the family unknown", hosts: "a b c", checks: []echoCheck{
			{known: old, says: "a=" + changed + " b=" + other, asked: "a b c", took: 10 * time.Second,
				err:   "IPv4: the endpoints disagree, and no 2 operators say the same: a.example says 198.51.100.2; b.example says 198.51.100.3; c.example: no answer within 10s",
				votes: "a.example b.example", doubt: true},
			{known: old, says: "a=" + changed + " b=" + other + " c=error", asked: "b c a", err: "disagree", votes: "a.example b.example", doubt: true},
			{known: old, says: "a=" + old, asked: "c a", took: 250 * ms, want: old},
			{known: old, says: "a=" + changed + " b=" + other + " c=error", asked: "a b c", err: "disagree", votes: "a.example b.example", doubt: true},
		}},
		{name: "a lone answer is a vote", hosts: "a b c", checks: []echoCheck{
			{known: old, says: "b=" + changed, asked: "a b c", took: 10 * time.Second, votes: "b.example",
				err: "IPv4: 2 operators must agree on a changed address, but too few answer: b.example says 198.51.100.2; a.example: no answer within 10s; c.example: no answer within 10s"},
			{says: "a=error b=" + changed + " c=error", asked: "b c a", err: "too few answer", votes: "b.example"},
			{known: changed, says: "a=error b=" + changed + " c=error", asked: "b c a", want: changed},
		}},
		{name: "two of which one is down", hosts: "a b", checks: []echoCheck{
			{says: "a=error b=" + changed, asked: "a b", err: "too few answer", votes: "b.example"},
		}},
		{name: "quorum 1 is a choice", hosts: "a b c", quorum: 1, checks: []echoCheck{
			{known: old, says: all(changed), asked: "a", want: changed},
		}},
		{name: "hosts of one operator count once", hosts: "a icanhazip.com one.one.one.one b.example c.b.example", checks: []echoCheck{
			{known: old, says: "a=error icanhazip.com=" + changed + " b=" + changed, asked: "a icanhazip.com b", want: changed},
			{known: old, says: "a=error icanhazip.com=" + changed + " one.one.one.one=" + changed + " b=error c.b=error", asked: "icanhazip.com b c.b a", err: "too few answer", votes: "icanhazip.com"},
		}},
		{name: "what other sources were told counts", hosts: "a b c", checks: []echoCheck{
			{known: old, heard: changed + "@x", says: all(changed), asked: "a", want: changed},
			{known: old, heard: changed + "@b.example", says: all(changed), asked: "c", want: changed},
			{known: old, heard: other + "@x", says: "c=" + changed + " a=error b=" + changed, asked: "c a b", want: changed},
			{known: old, heard: other + "@x", says: "a=" + changed + " b=error c=error", asked: "a b c", err: "disagree", votes: "a.example", doubt: true},
			{known: old, heard: changed + "@x", says: "a=error b=error c=error", asked: "a b c", err: "no endpoint gave an address"},
		}},
		{name: "nothing at all", hosts: "a b", checks: []echoCheck{
			{says: "a=error", asked: "a b", took: 10 * time.Second,
				err: "IPv4: no endpoint gave an address: a.example: status is 503, not 200; b.example: no answer within 10s"},
			{says: "a=error b=error", asked: "b a", err: "no endpoint gave an address"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tc.hosts == "" {
					tc.hosts = "a b c d e"
				}
				s := SimpleHTTP{Options: remote.Options{Quorum: tc.quorum}}
				for _, host := range strings.Fields(tc.hosts) {
					if !strings.Contains(host, ".") {
						host += ".example"
					}
					s.Endpoints = append(s.Endpoints, "https://"+host)
				}
				runEchoChecks(t, newTestEcho(t, s), tc.checks)
			})
		})
	}
}

func runEchoChecks(t *testing.T, s *SimpleHTTP, checks []echoCheck) {
	core, logs := observer.New(zapcore.WarnLevel)
	s.services.Logger = zap.New(core)
	for i, check := range checks {
		script := &echoScript{says: make(map[string]string), takes: check.takes}
		for _, say := range strings.Fields(check.says) {
			host, what, _ := strings.Cut(say, "=")
			script.says[host] = what
		}
		s.ask = script.ask
		settings := ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4)}
		if check.known != "" {
			settings.Known = []netip.Addr{netip.MustParseAddr(check.known)}
		}

		if addr, operator, ok := strings.Cut(check.heard, "@"); ok {
			settings.Votes = []ipsources.Vote{{Addr: netip.MustParseAddr(addr), Voter: operator, Operator: operator}}
		}

		start := time.Now()
		got, err := s.GetIPs(t.Context(), settings)
		took := time.Since(start)
		synctest.Wait()

		what := fmt.Sprintf("check %d", i+1)
		sourcetest.CheckErr(t, what, err, check.err)
		var voters []string
		if u, ok := errors.AsType[*ipsources.UnsettledError](err); ok {
			for _, v := range u.Votes {
				voters = append(voters, v.Voter)
			}
		}
		slices.Sort(voters)
		if strings.Join(voters, " ") != check.votes {
			t.Errorf("%s: votes of %q, want %q", what, voters, check.votes)
		}
		if addrs := strings.Trim(fmt.Sprint(got), "[]"); addrs != check.want {
			t.Errorf("%s: got %q, want %q", what, addrs, check.want)
		}
		if check.want != "" && len(s.ConfirmedBy(got[0])) == 0 {
			t.Errorf("%s: nobody confirms %s", what, got[0])
		}
		if took != check.took {
			t.Errorf("%s: took %s, want %s", what, took, check.took)
		}
		// Those who are asked at one moment may come in any order.
		want := strings.Fields(check.asked)
		slices.Sort(want)
		slices.Sort(script.asked)
		if !slices.Equal(script.asked, want) {
			t.Errorf("%s: asked %q, want %q", what, script.asked, want)
		}
		if _, doubt := errors.AsType[*ipsources.DoubtError](err); doubt != check.doubt {
			t.Errorf("%s: doubt is %v, want %v", what, doubt, check.doubt)
		}
		if n := logs.Len(); n > 0 {
			t.Errorf("%s: logged %v", what, logs.TakeAll())
		}
	}
}

func TestSimpleHTTPFamiliesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestEcho(t, SimpleHTTP{Endpoints: []string{
			"https://a.example", "https://b.example", "https://198.51.100.53", "https://[2001:db8::53]",
		}})
		script := &echoScript{}
		s.ask = func(ctx context.Context, network string, u *url.URL) (netip.Addr, error) {
			script.ask(ctx, network, mustURL("https://"+u.Host))
			return netip.Addr{}, errors.New("down")
		}
		start := time.Now()
		if _, err := s.GetIPs(t.Context(), ipsources.IPSettings{}); err == nil || strings.Count(err.Error(), "no answer within 10s") != 6 {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("both families took %s", took)
		}
		synctest.Wait()
		slices.Sort(script.over)
		want := []string{"tcp4 198.51.100.53", "tcp4 a", "tcp4 b", "tcp6 2001:db8::53", "tcp6 a", "tcp6 b"}
		if !slices.Equal(script.over, want) {
			t.Errorf("asked %q, want %q", script.over, want)
		}
	})
}

func TestSimpleHTTPUnroutableFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestEcho(t, SimpleHTTP{Endpoints: []string{"https://a.example", "https://[2001:db8::53]"}})
		s.services.Routable = func(to netip.Addr) bool { return to.Is4() }
		core, logs := observer.New(zapcore.InfoLevel)
		s.services.Logger = zap.New(core)
		script := &echoScript{says: map[string]string{"a": "198.51.100.7"}}
		s.ask = script.ask

		got, err := s.GetIPs(t.Context(), ipsources.IPSettings{})
		if err != nil || len(got) != 1 || !slices.Equal(script.over, []string{"tcp4 a"}) {
			t.Errorf("got %v, %v after asking %q", got, err, script.over)
		}
		_, err = s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
		if _, ok := errors.AsType[*ipsources.NoFamilyError](err); !ok {
			t.Errorf("got %v", err)
		}
		if logs.Len() > 0 {
			t.Errorf("logged %v", logs.All())
		}
	})
}

func TestSimpleHTTPConfirmedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestEcho(t, SimpleHTTP{Endpoints: []string{"https://a.example", "https://b.example", "https://c.example"}})
		addr := netip.MustParseAddr("198.51.100.7")
		s.ask = func(context.Context, string, *url.URL) (netip.Addr, error) { return addr, nil }
		settings := ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4)}
		for _, want := range []string{"a.example b.example", "a.example b.example", "a.example b.example c.example"} {
			if _, err := s.GetIPs(t.Context(), settings); err != nil {
				t.Fatal(err)
			}
			settings.Known = []netip.Addr{addr}
			if got := strings.Join(s.ConfirmedBy(addr), " "); got != want {
				t.Errorf("confirmed by %s, want %s", got, want)
			}
		}
		if got := s.ConfirmedBy(netip.MustParseAddr("198.51.100.8")); got != nil {
			t.Errorf("%v confirm another address", got)
		}
	})
}

func TestSimpleHTTPRespectsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestEcho(t, SimpleHTTP{})
		s.ask = (&echoScript{}).ask
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := s.GetIPs(ctx, ipsources.IPSettings{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

// A thousand checks with an endpoint that never answers leave nothing behind,
// whether it is silent while dialed, in the handshake, or after the request.
func TestSimpleHTTPLeaksNoGoroutines(t *testing.T) {
	silent := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		return ours, nil
	}
	blackHole := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, tc := range []struct {
		name, endpoint string
		dial           func(context.Context, string, string) (net.Conn, error)
	}{
		{"dial", "https://a.example", blackHole},
		{"handshake", "https://a.example", silent},
		{"request", "http://a.example", silent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestEcho(t, SimpleHTTP{Endpoints: []string{tc.endpoint}})
				s.ask = (&client{dial: tc.dial}).ask
				synctest.Wait()
				before, _ := bubbleGoroutines()
				for range 1000 {
					if _, err := s.GetIPs(t.Context(), ipsources.IPSettings{}); err == nil {
						t.Fatal("got an answer")
					}
				}
				synctest.Wait()
				if after, dump := bubbleGoroutines(); after != before {
					t.Errorf("%d goroutines became %d:\n%s", before, after, dump)
				}
			})
		})
	}
}

// bubbleGoroutines counts the goroutines of synctest bubbles, for others come
// and go with the runtime and with earlier tests.
func bubbleGoroutines() (n int, dump string) {
	buf := make([]byte, 1<<20)
	dump = string(buf[:runtime.Stack(buf, true)])
	return strings.Count(dump, ", synctest bubble "), dump
}
