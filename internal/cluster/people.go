package cluster

import (
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// tellPeople logs what has changed since the last time, and tells the
// observer.
func (m *Member) tellPeople(now time.Time) {
	s := m.settings
	cut := m.roster.CutOff(now)
	m.tellCutOff(cut)
	if cut == nil {
		alive := m.aliveNow(now)
		for _, name := range slices.Sorted(maps.Keys(alive)) {
			if _, ok := m.alive[name]; !ok {
				s.Logger.Info("another instance has joined", zap.String("instance", name), zap.String("host", alive[name]))
				s.Observer.InstanceJoined(name, alive[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.alive)) {
			if _, ok := alive[name]; !ok {
				s.Logger.Warn("another instance is gone", zap.String("instance", name))
				s.Observer.InstanceGone(name)
			}
		}
		m.alive = alive
	}
	writers := m.writersNow(now)
	for id, by := range writers {
		if m.writers[id] == by {
			continue
		}
		if by == m.Name {
			s.Logger.Info("writing the zone for all instances", zap.String("zone", dnsname.Display(id.Zone)), zap.String("provider", id.Provider))
		}
		if m.writers[id] != "" {
			s.Observer.ZoneTakenOver(dnsname.Display(id.Zone), id.Provider, by)
		}
		m.writers[id] = by
	}
}

// tellCutOff says once that this instance is cut off, and once that it is
// back. Joining takes a moment, which is not worth a line.
func (m *Member) tellCutOff(cut error) {
	now, trouble := "", m.trouble()
	if cut != nil && len(m.writers)+len(m.alive) > 0 || trouble != nil || m.roster.Namesake() != nil {
		now = "trouble"
	}
	if now == m.said {
		return
	}
	m.said = now
	switch namesake := m.roster.Namesake(); {
	case now == "":
		m.settings.Logger.Info("taking part among the instances again")
	case namesake != nil:
		m.settings.Logger.Error("another instance has the same name; give each its own with `cluster {\n\tname box1\n}`",
			zap.String("instance", m.Name), zap.String("host", namesake.Host))
	case cut != nil:
		m.settings.Logger.Error("cut off from the other instances; writing nothing until that is over", zap.NamedError("reason", cut), zap.Error(trouble))
	default:
		m.settings.Logger.Error("cannot use the storage that the instances share; writing nothing once the lease is over", zap.Error(trouble), zap.Duration("lease", m.settings.Lease))
	}
}

// trouble is the last error of the storage, unless that is over. The caller has
// the lock.
func (m *Member) trouble() error {
	if m.unstored != nil {
		return m.unstored
	}
	return m.unread
}

func (m *Member) sayLeaving(s Settings, err error) {
	s.Logger.Warn("cannot tell the other instances that this one ends; they will notice once its lease is over", zap.Error(err), zap.Duration("lease", s.Lease))
}

// Status is what people see of the instances.
type Status struct {
	// CutOff is why this instance writes nothing.
	CutOff error
	// Trouble is the last error of the storage.
	Trouble error
	Self    lease.Entry
	Members []lease.Member
	Writers map[lease.ZoneID]string
}

// Status returns what is known now.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	return Status{
		CutOff: m.roster.CutOff(now), Trouble: m.trouble(), Self: m.roster.Self(),
		Members: m.roster.Members(), Writers: m.writersNow(now),
	}
}

// Part is what an instance knows of a zone that several share.
type Part struct {
	// Writer is the instance that writes the zone, if there is one, and Own is
	// set if that is this one.
	Writer string
	Own    bool
	// InSync is how the zone is doing, as its writer says.
	InSync *bool
	// CutOff is why this instance writes nothing.
	CutOff error
}

// Zone returns who writes a zone and how it is doing, as its writer says.
func (m *Member) Zone(id lease.ZoneID) Part {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	p := Part{InSync: m.roster.InSync(id, now), CutOff: m.roster.CutOff(now)}
	if e := m.roster.Writer(id, now); e != nil {
		p.Writer, p.Own = e.Name, e.Name == m.Name
	}
	return p
}

// Elsewhere reports whether another instance writes the zone, and is known to
// be alive.
func (m *Member) Elsewhere(id lease.ZoneID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.Elsewhere(id, time.Now())
}

// aliveNow returns the hosts of the others who are alive, by name.
func (m *Member) aliveNow(now time.Time) map[string]string {
	alive := make(map[string]string)
	for _, e := range m.roster.Alive(now) {
		if e.Name != m.Name {
			alive[e.Name] = e.Host
		}
	}
	return alive
}

// writersNow returns who writes the zones that this instance has names in.
func (m *Member) writersNow(now time.Time) map[lease.ZoneID]string {
	writers := make(map[lease.ZoneID]string)
	for _, id := range m.roster.Zones() {
		if by := m.roster.Writer(id, now); by != nil {
			writers[id] = by.Name
		}
	}
	return writers
}
