package dyndns

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// verifyEvery is how often what the providers hold is read and compared.
const verifyEvery = time.Hour

// keeper keeps the zones of a configuration.
type keeper struct {
	storage  certmagic.Storage
	logger   *zap.Logger
	observer *observe.Observer
	shared   *shared
	// exact are the services of hosts by full name, and below those of any
	// one label below a name.
	exact, below map[string]*service
	// zones are those that are kept, to which further ones are added where they
	// are found.
	zones   map[zone.Key]*keptZone
	zonesMu sync.RWMutex
	// searches look for zones, by the provider's configuration, and placed is
	// where they have found hosts to be.
	searches map[string]*finder.Search
	placed   map[string]zone.Key
	// memory has where earlier processes have found hosts, and runCtx lasts from
	// Start to Stop.
	memory *finder.Memory
	runCtx context.Context
	// attached is closed once this configuration keeps its zones.
	attached chan struct{}
	// mu guards the holders of the zones, and left, which is set once they
	// are given back.
	mu   sync.Mutex
	left bool
	// services are those of the handlers, other is the dynamic_dns app, or nil.
	services []*service
	other    dynamicDNS
}

// shared outlives configurations.
type shared struct {
	ledger *ledger.Ledger
	guard  *auth.Guard
	counts *counts
	seen   *seen
	*follower
	// keepers are those that keep zones, the newest last. The ledger's lock
	// guards them.
	keepers []*keeper
}

// Destruct implements caddy.Destructor.
func (*shared) Destruct() error { return nil }

// newest returns the one that keeps the zones now, or nil.
func (s *shared) newest() *keeper {
	if len(s.keepers) == 0 {
		return nil
	}
	return s.keepers[len(s.keepers)-1]
}

// newWriter names this process among those that share a storage.
func newWriter() string { return fmt.Sprintf("%016x", rand.Uint64()) }

func newShared() caddy.Destructor {
	return &shared{
		ledger: ledger.New(newWriter()), guard: auth.NewGuard(time.Now),
		counts: newCounts(), seen: newSeen(), follower: newFollower(),
	}
}

// dynamicDNS is the dynamic_dns app, as far as this one is concerned.
type dynamicDNS interface {
	// DNSProvider is the provider that others may use, if there is one.
	DNSProvider() json.RawMessage
	// ZoneNames are the zones in which the app manages names.
	ZoneNames() []string
	// Manages calls fn for each full name that the app manages.
	Manages(fn func(host string))
	// Keeps reports whether the app manages the host, be it that of a site.
	// It is known once the app has started.
	Keeps(host string) bool
	// Share has one instance at a time write a zone in which clients have
	// hosts, and returns this one's part, or nil if it is on its own.
	Share(cluster.Zone) *cluster.Member
}

// kept are the zones that are kept.
func (k *keeper) kept() []*keptZone {
	k.zonesMu.RLock()
	defer k.zonesMu.RUnlock()
	return slices.Collect(maps.Values(k.zones))
}

func (k *keeper) keptAt(key zone.Key) *keptZone {
	k.zonesMu.RLock()
	defer k.zonesMu.RUnlock()
	return k.zones[key]
}

func (k *keeper) keep(key zone.Key, z *keptZone) {
	k.zonesMu.Lock()
	defer k.zonesMu.Unlock()
	k.zones[key] = z
}

// follower is what this process knows of following others. It outlives
// configurations.
type follower struct {
	// hurried has something when there is something to tell.
	hurried chan struct{}
	// waiting counts clients that wait for what another process does.
	waiting atomic.Int32
	mu      sync.Mutex
	// caught are the terms in which this instance writes zones for all and
	// knows what others have taken in before.
	caught map[lease.ZoneID]uint64
	// vouched are the terms in which this instance has last seen that DNS
	// holds what is on record.
	vouched map[voucher]uint64
}

type voucher struct {
	host   string
	family int
}

func newFollower() *follower {
	return &follower{hurried: make(chan struct{}, 1), caught: make(map[lease.ZoneID]uint64), vouched: make(map[voucher]uint64)}
}

// hasCaught reports whether a term is one of those.
func (f *follower) hasCaught(id lease.ZoneID, term uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caught[id] == term
}

func (f *follower) catch(id lease.ZoneID, term uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caught[id] = term
}

// vouch returns what this instance says of whether DNS holds what is on record,
// from what it sees. What it cannot see is as it was, but not as the one has
// told that wrote the zone before.
func (f *follower) vouch(of voucher, term uint64, holds *bool) *bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if holds != nil && *holds {
		f.vouched[of] = term
	}
	if holds == nil && f.vouched[of] != term {
		return new(false)
	}
	return holds
}

func (f *follower) hurry() {
	select {
	case f.hurried <- struct{}{}:
	default:
	}
}
