package zone

import (
	"context"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// box is a storage in memory that counts what it is asked for, and may be slow.
type box struct {
	certmagic.Storage
	files map[string]string
	asked []string
	slow  time.Duration
}

func (b *box) ask(what string) {
	time.Sleep(b.slow)
	b.asked = append(b.asked, what)
}

func (b *box) Load(_ context.Context, key string) ([]byte, error) {
	b.ask("load")
	if data, ok := b.files[key]; ok {
		return []byte(data), nil
	}
	return nil, fs.ErrNotExist
}

func (b *box) Store(_ context.Context, key string, value []byte) error {
	b.ask("store")
	b.files[key] = string(value)
	return nil
}

func (b *box) Delete(_ context.Context, key string) error {
	b.ask("delete")
	delete(b.files, key)
	return nil
}

var (
	ledgerKey  = plan.Key{Name: "www", Family: ipaddr.V4}
	ledgerKey6 = plan.Key{Name: "*", Family: ipaddr.V6}
	one        = netip.MustParseAddr("93.184.216.34")
	two        = netip.MustParseAddr("93.184.216.35")
	six        = netip.MustParseAddr("2606:2800:220:1::1")
)

func writes(key plan.Key, addrs ...netip.Addr) []plan.Write {
	return []plan.Write{{Key: key, Addrs: addrs}}
}

// publishing does what comes before a write.
func publishing(ctx context.Context, l *Ledger, writes []plan.Write) error {
	l.note(writes)
	return l.publish(ctx)
}

// TestLedger: what is published is in the storage before the provider has it,
// and what stays the same costs nothing.
func TestLedger(t *testing.T) {
	b := &box{files: make(map[string]string)}
	l := NewLedger("dynamic_dns-here", "cloudflare", "example.com.")
	l.Use(b)
	publish := func(ws []plan.Write) {
		t.Helper()
		if err := publishing(t.Context(), l, ws); err != nil {
			t.Fatal(err)
		}
	}
	publish(writes(ledgerKey, one))
	publish(writes(ledgerKey, one))
	publish(writes(ledgerKey, two))
	l.holds(ledgerKey, []netip.Addr{two})
	if got := l.Published(ledgerKey); !slices.Equal(got, []netip.Addr{two}) {
		t.Errorf("seen to hold the second, the ledger has %v", got)
	}
	publish(writes(ledgerKey6, six))
	if want := []string{"load", "store", "store", "store"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %v, want %v", b.asked, want)
	}
	if keys := slices.Collect(maps.Keys(b.files)); !slices.Equal(keys, []string{"dynamic_dns/published/dynamic_dns-here/cloudflare/example.com.json"}) {
		t.Errorf("kept at %v", keys)
	}

	// As after a crash.
	l = NewLedger("dynamic_dns-here", "cloudflare", "example.com.")
	l.Use(b)
	publish(writes(ledgerKey, one))
	if got := l.Published(ledgerKey); !slices.Equal(got, []netip.Addr{one, two}) {
		t.Errorf("with what was published before, the ledger has %v", got)
	}
	if got := l.Keys(); !slices.Equal(got, []plan.Key{ledgerKey6, ledgerKey}) {
		t.Errorf("keys %v", got)
	}
	l.holds(ledgerKey, nil)
	l.holds(ledgerKey6, nil)
	if err := l.Store(t.Context()); err != nil || len(b.files) > 0 {
		t.Errorf("once all is gone, the storage has %v, %v", b.files, err)
	}
	if err := l.Store(t.Context()); err != nil || b.asked[len(b.asked)-2] == "delete" {
		t.Errorf("deleted twice: %v, %v", b.asked, err)
	}
}

// TestLedgerWithoutStorage: a storage that is slow or away keeps nothing from
// being written to a provider for long, and loses nothing that is noted.
func TestLedgerWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{files: make(map[string]string), slow: time.Minute}
		l := NewLedger("dynamic_dns", "cloudflare", "example.com.")
		l.Use(b)
		for range 2 {
			begin := time.Now()
			if err := publishing(t.Context(), l, writes(ledgerKey, one)); err == nil || time.Since(begin) != ledgerTimeout {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		b.slow = 0
		if err := l.Store(t.Context()); err != nil || len(b.files) != 1 {
			t.Errorf("kept %v, %v", b.files, err)
		}
	})
}

// TestLedgerDamaged: what cannot be understood is told once, and is no reason
// to stop.
func TestLedgerDamaged(t *testing.T) {
	l := NewLedger("dynamic_dns", "cloudflare", "example.com.")
	b := &box{files: map[string]string{l.path: "{"}}
	l.Use(b)
	if err := l.Load(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := publishing(t.Context(), l, writes(ledgerKey, one)); err != nil || b.files[l.path] == "{" {
		t.Errorf("kept %v, %v", b.files, err)
	}
}
