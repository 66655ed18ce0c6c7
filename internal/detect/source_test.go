package detect

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestNextQuestionAtOnce: a source that has answered is not busy. If it seemed
// so, the next source would have its say.
func TestNextQuestionAtOnce(t *testing.T) {
	m := newMachine(t)
	m.say(ipaddr.V4, nil, good4)
	for i := range 50_000 {
		if _, err := m.d.Sources[0].ask(t.Context(), ipaddr.V4, ipsources.IPSettings{IPVersions: only(ipaddr.V4)}, zap.NewNop()); err != nil {
			t.Fatalf("question %d: %v", i+1, err)
		}
	}
}

// TestAnswerIsTheSources: a source may give the same slice to everybody, and have
// made it of a net.IP, which does not tell IPv4 from IPv4-mapped.
func TestAnswerIsTheSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		answer := []netip.Addr{netip.AddrFrom16(good4.As16()), good6}
		m.say(ipaddr.V4, nil, answer...)
		m.say(ipaddr.V6, nil, answer...)
		for range 2 {
			for f, want := range [ipaddr.Families]netip.Addr{good4, good6} {
				m.d.detect(t.Context(), ipaddr.Family(f))
				if got := m.d.Known.Family(ipaddr.Family(f)); !slices.Equal(got.Addrs, []netip.Addr{want}) || got.Failing {
					t.Errorf("found %v, want %s", got.Addrs, want)
				}
			}
		}
	})
}

// chooser is a source that has a choice, and chosen one whose addresses a person
// wrote.
type (
	chooser struct{}
	chosen  struct{ chooser }
)

func (chooser) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	for _, addr := range []netip.Addr{netip.MustParseAddr("192.168.1.1"), good4} {
		if settings.Accepts(addr) {
			return []netip.Addr{addr}, nil
		}
	}
	return nil, nil
}

func (chosen) Configured() {}

// TestAccepts: a source is told which addresses it may choose.
func TestAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, source := range map[string]ipsources.IPSource{good4.String(): chooser{}, "192.168.1.1": chosen{}} {
			m := newMachine(t)
			m.d.Sources = []*Source{NewSource("chooser", source)}
			m.d.detect(t.Context(), ipaddr.V4)
			if got := m.d.Known.Family(ipaddr.V4).Addrs; len(got) != 1 || got[0].String() != want {
				t.Errorf("found %v, want %s", got, want)
			}
		}
	})
}
