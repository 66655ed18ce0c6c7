// Package cluster is this instance's part among several Caddys that share
// names: it keeps an entry in the storage that they share, reads those of the
// others, and says what the zones should hold and who writes them.
package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const (
	// look is how often the others' entries are read at least, so that one
	// that was stopped is missed soon, however long its lease.
	look = 4 * time.Second
	// together is how long others are waited for after one has joined.
	together = 2 * time.Second
	// pause is between two entries of which the first was not due.
	pause = 250 * time.Millisecond
)

// Observer is told of others. Its methods return at once.
type Observer interface {
	InstanceJoined(name, host string)
	InstanceGone(name string)
	// ZoneTakenOver is told when another instance than before writes a zone.
	ZoneTakenOver(zone, provider, by string)
}

// Settings are what a configuration wants.
type Settings struct {
	Storage certmagic.Storage
	Share   lease.Share
	Lease   time.Duration
	// Sets returns what this instance would publish. Found.Lost is set where
	// the last check found nothing.
	Sets func() []lease.Set
	// Report returns how a zone is doing that this instance writes, and for
	// how long the provider has refused.
	Report func(lease.ZoneID) (inSync *bool, refusedFor time.Duration)
	// Changed is called when zones should hold something else. It must not
	// block.
	Changed func()
	// Begin is called before this instance begins to write a zone, after
	// Changed. What was read of it before is old. What it returns is called
	// once the zone may be written.
	Begin    func(lease.ZoneID) (begun func())
	Observer Observer
	Logger   *zap.Logger
}

// Member is this instance. It outlives configurations.
type Member struct {
	// Name is the instance's.
	Name string

	process string
	// running is held by the configuration that has the member.
	running sync.Mutex
	poked   chan struct{}
	storage calls

	mu       sync.Mutex
	roster   *lease.Roster
	settings Settings
	// lost is since when addresses have not been found.
	lost map[lostKey]time.Time
	// mine are the zones that this instance writes and that know it, each with
	// the number of its term.
	mine map[lease.ZoneID]uint64
	// writers are those that people were last told of.
	writers map[lease.ZoneID]string
	alive   map[string]string
	// unstored and unread are why the entry could not be stored last, and why
	// those of the others could not be read.
	unstored, unread error
	// unlocks is how often the storage is still asked to take a lock back, 0 if
	// this instance has none.
	unlocks int
	said    string
	// due is when the entry is to be stored, dirty is set if it is at once.
	due   time.Time
	dirty bool
	// hold is until when changes by others wait for more of them.
	hold    time.Time
	pending bool
}

// terms counts those of all members of the process: what outlives one, as after
// a change of its name, may not take those of the next for the same.
var terms atomic.Uint64

// New makes the member of a process. The word of the process must be another
// one after each start.
func New(name, process, host string) *Member {
	return &Member{
		Name: name, process: process, poked: make(chan struct{}, 1), roster: lease.New(name, process, host),
		lost: make(map[lostKey]time.Time), writers: make(map[lease.ZoneID]string), alive: make(map[string]string),
	}
}

// Destruct implements caddy.Destructor.
func (*Member) Destruct() error { return nil }

// Configure takes over settings before Run, so that nothing is written in the
// name of the ones before.
func (m *Member) Configure(s Settings) {
	sets := s.Sets()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = s
	m.roster.Configure(s.Share, s.Lease)
	m.roster.Publish(m.markLost(sets, time.Now()))
	m.dirty = true
}

type lostKey struct {
	id     lease.ZoneID
	name   string
	family ipaddr.Family
}

// markLost marks as lost only what has not been found for a lease.
func (m *Member) markLost(sets []lease.Set, now time.Time) []lease.Set {
	lost := make(map[lostKey]time.Time)
	for i := range sets {
		for f, found := range sets[i].Found {
			if found == nil || !found.Lost || len(sets[i].Names) == 0 {
				continue
			}
			key := lostKey{sets[i].ZoneID, sets[i].Names[0], ipaddr.Family(f)}
			since, ok := m.lost[key]
			if !ok {
				since = now
			}
			lost[key] = since
			found.Lost = now.Sub(since) >= m.settings.Lease
		}
	}
	m.lost = lost
	return sets
}

// Poke says that this instance's addresses may have changed.
func (m *Member) Poke() {
	select {
	case m.poked <- struct{}{}:
	default:
	}
}

// Writes reports whether this instance is to write the zone, and may now. It
// is asked before each write: the lease may have ended while this process was
// not running.
func (m *Member) Writes(id lease.ZoneID) bool { return m.Term(id) != 0 }

// Term returns a number that is another one each time that this instance
// begins to write the zone, or 0 while it may not.
func (m *Member) Term(id lease.ZoneID) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mine[id] == 0 || !m.roster.Writes(id, time.Now()) {
		return 0
	}
	return m.mine[id]
}

// Desired returns what the names of a zone should hold.
func (m *Member) Desired(id lease.ZoneID) map[plan.Key]*plan.Desired {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.Desired(id, time.Now())
}

// Has returns the RRsets of a zone that somebody has who has not left.
func (m *Member) Has(id lease.ZoneID) map[plan.Key]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.Has(id)
}

// Last reports whether no other instance that is alive has names in the zone.
func (m *Member) Last(id lease.ZoneID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.Last(id, time.Now())
}
