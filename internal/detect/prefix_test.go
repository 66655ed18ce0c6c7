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

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// knowing is a script that knows the prefix, too.
type knowing struct {
	script
	prefix netip.Prefix
	err    error
	hangs  bool
}

func (k *knowing) Prefix(ctx context.Context, settings ipsources.IPSettings) (netip.Prefix, error) {
	if !settings.IPVersions.V6Enabled() || settings.IPVersions.V4Enabled() {
		return netip.Prefix{}, errors.New("asked for more than IPv6")
	}
	if k.hangs {
		<-ctx.Done()
		time.Sleep(time.Hour)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.prefix, k.err
}

func (k *knowing) know(prefix string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.prefix = netip.MustParsePrefix(prefix)
}

func (k *knowing) Configured() {}

// source makes a source from a text such as "2600::1 knows 2600::/56": addresses,
// and what it knows or how it fails to.
func source(text string) ipsources.IPSource {
	addr, knows, knowing6 := strings.Cut(text, " knows ")
	k := new(knowing)
	if addr != "nothing" {
		k.say(ipaddr.V6, nil, netip.MustParseAddr(addr))
	}
	if !knowing6 {
		return &k.script
	}
	switch knows {
	case "no prefix":
	case "failing":
		k.err = errors.New("it is busy")
	case "hanging":
		k.hangs = true
	default:
		k.prefix = netip.MustParsePrefix(knows)
	}
	return k
}

func TestPrefix(t *testing.T) {
	const (
		own = "2606:2800:220:1::1"
		box = "2606:4700:0:ff00::/56"
	)
	for _, tc := range []struct {
		sources  string
		onlyThis bool // no address is wanted
		prefix   string
		addr     string
		problem  string
	}{
		{sources: own, prefix: own + "/128", addr: own},
		{sources: "nothing, " + own, prefix: own + "/128", addr: own},
		{sources: "nothing", problem: "knows no address"},
		{sources: own + " knows " + box, prefix: box, addr: own},
		{sources: own + " knows no prefix", prefix: own + "/128", addr: own},
		{sources: "nothing knows 2606:4700:0:ffab::1/56, " + own, prefix: box, addr: own},
		{sources: own + ", nothing knows " + box, prefix: own + "/128", addr: own},
		{sources: "nothing knows " + box, prefix: box, problem: "knows no address"},
		{sources: "nothing knows " + box, onlyThis: true, prefix: box},
		{sources: "nothing knows failing, nothing knows " + box, onlyThis: true, prefix: box},
		{sources: "nothing knows hanging, nothing knows " + box, onlyThis: true, prefix: box},
		{sources: "nothing knows failing", onlyThis: true, problem: "it is busy"},
		{sources: "nothing knows failing, " + own, prefix: own + "/128", addr: own},
		// The address of a source that knows prefixes may be in another one.
		{sources: own + " knows failing, 2606:2800:220:2::2", addr: own},
		{sources: own + " knows ::/0", addr: own},
		{sources: own + " knows 2606:2800:220:1::/128", addr: own},
		{sources: own + " knows 192.0.2.0/24", addr: own},
		{sources: own + " knows ::ffff:192.0.2.0/120", addr: own},
		{sources: own + " knows 2600::/16", onlyThis: true, prefix: "2600::/16"},
		{sources: own, onlyThis: true, prefix: own + "/128", addr: own},
	} {
		name := tc.sources
		if tc.onlyThis {
			name += ", only the prefix"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				m.d.Sources = nil
				for i, text := range strings.Split(tc.sources, ", ") {
					m.d.Sources = append(m.d.Sources, NewSource(fmt.Sprint("source ", i), source(text)))
				}
				m.d.Families, m.d.Prefix = [ipaddr.Families]bool{false, !tc.onlyThis}, true
				m.d.detect(t.Context(), ipaddr.V6)
				known := m.d.Known.Family(ipaddr.V6)
				var prefix, addr string
				for _, p := range known.Network.Prefixes {
					prefix += p.String()
				}
				for _, a := range known.Addrs {
					addr += a.String()
				}
				if prefix != tc.prefix || addr != tc.addr {
					t.Errorf("prefix %q, address %q, want %q, %q", prefix, addr, tc.prefix, tc.addr)
				}
				if known.Failing != (tc.problem != "") || !strings.Contains(known.Failure, tc.problem) {
					t.Errorf("failing %t: %s, want %q", known.Failing, known.Failure, tc.problem)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// TestPrefixIsFiltered: a prefix that nobody can reach is left for that of the
// next source, which is said once.
func TestPrefixIsFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		inner := &struct {
			ipsources.IPSource
			ipsources.Prefixer
		}{new(script), &knowing{prefix: netip.MustParsePrefix("fd00::/48")}}
		m.d.Sources = []*Source{NewSource("ula", inner), NewSource("box", source("nothing knows 2606:4700::/56"))}
		m.d.Families, m.d.Prefix = [ipaddr.Families]bool{}, true
		m.expect(time.Hour, "warn not publishing an address|ula|fd00::|unique-local", "info IPv6 prefix changed|2606:4700::/56|box")
	})
}

// TestPrefixFails: what fails for long is said, and does not take the prefix
// away.
func TestPrefixFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		box := &knowing{prefix: netip.MustParsePrefix("2606:4700:0:ff00::/56")}
		box.say(ipaddr.V6, nil, good6)
		m.d.Sources = []*Source{NewSource("box", box)}
		m.d.Families, m.d.Prefix = [ipaddr.Families]bool{ipaddr.V6: true}, true
		m.expect(time.Hour, "info IPv6 prefix changed|to:[2606:4700:0:ff00::/56]", "info address changed")
		box.err = errors.New("it is busy")
		m.expect(10 * time.Minute)
		m.expect(50*time.Minute, "warn IPv6 prefix unknown; leaving the records of devices as they are|box: it is busy|for:10m")
		if p := m.d.Known.Prefix(); !p.Lost || p.Failure != "box: it is busy" {
			t.Errorf("known: %+v", p)
		}
		if n := m.d.Known.Family(ipaddr.V6).Network; !n.Known() {
			t.Error("the prefix is gone")
		}
		box.err = nil
		m.expect(time.Hour, "info IPv6 prefix known again|after:1h")
		box.know("2606:4700:0:ee00::/56")
		m.expect(time.Hour, "info IPv6 prefix changed|from:[2606:4700:0:ff00::/56]|to:[2606:4700:0:ee00::/56]")

		// Without an address to find, it is the family that fails.
		m.d.Families = [ipaddr.Families]bool{}
		box.say(ipaddr.V6, nil)
		box.err = errors.New("it is off")
		m.expect(time.Hour, "warn address unknown; leaving DNS as it is|ipv6|it is off")
		box.err = nil
		m.expect(time.Hour, "info IPv6 prefix known again")
		if m.d.Known.Family(ipaddr.V6).Failing {
			t.Error("still failing")
		}
	})
}

// TestPrefixIsPublished: a prefix without an address is worth publishing, and
// one that a reload brings the first use of is looked for at once.
func TestPrefixIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		box := &knowing{prefix: netip.MustParsePrefix("2606:4700:0:ff00::/56")}
		box.say(ipaddr.V4, nil, good4)
		m.d.Sources = []*Source{NewSource("box", box)}
		var (
			mu        sync.Mutex
			published []string
		)
		run := func() context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			s := NewSchedule([]*Detector{m.anew()}, time.Hour, func(_ *Detector, f ipaddr.Family, found Found) {
				mu.Lock()
				defer mu.Unlock()
				if f == ipaddr.V6 {
					published = append(published, fmt.Sprint(found.Addrs, found.Network.Prefixes))
				}
			}, zap.NewNop())
			go s.Run(ctx)
			synctest.Wait()
			return cancel
		}
		run()()
		if len(published) > 0 {
			t.Errorf("published %v without a device", published)
		}
		m.d.Prefix = true
		stop := run()
		box.know("2606:4700:0:ee00::/56")
		time.Sleep(time.Hour)
		stop()
		synctest.Wait()
		if got, want := fmt.Sprint(published), "[[] [2606:4700:0:ff00::/56] [] [2606:4700:0:ee00::/56]]"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// TestPrefixIsForgotten: how the prefix fared before devices left the
// configuration is no matter once there are some again.
func TestPrefixIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		told := new(notes)
		box := &knowing{prefix: netip.MustParsePrefix("2606:4700:0:ff00::/56")}
		box.say(ipaddr.V4, nil, good4)
		m.d.Sources, m.d.Observer = []*Source{NewSource("box", box)}, told
		m.d.Families, m.d.Prefix = [ipaddr.Families]bool{ipaddr.V4: true}, true
		runFor := func(duration time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), duration)
			defer cancel()
			NewSchedule([]*Detector{m.anew()}, 5*time.Minute, func(*Detector, ipaddr.Family, Found) {}, zap.NewNop()).Run(ctx)
		}
		runFor(time.Hour)
		box.err = errors.New("it is off")
		runFor(time.Hour)
		if got := told.take(); len(got) != 1 || !strings.HasPrefix(got[0], "lost ipv6") {
			t.Fatalf("told of %q", got)
		}
		m.d.Prefix = false
		runFor(time.Hour)
		m.d.Prefix, box.err = true, nil
		runFor(time.Hour)
		if got := told.take(); len(got) > 0 {
			t.Errorf("told of %q, which was nobody's business meanwhile", got)
		}
	})
}
