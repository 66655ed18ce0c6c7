package cluster

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// Run takes part until ctx ends. The lease lasts beyond that, for a
// configuration that follows.
func (m *Member) Run(ctx context.Context) {
	m.running.Lock()
	defer m.running.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-m.poked:
		}
		m.round(ctx)
		timer.Reset(m.wait())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (m *Member) wait() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := min(m.settings.Lease/4, look)
	if m.pending {
		wait = min(wait, max(0, time.Until(m.hold)))
	}
	return wait
}

// round looks at the others, renews this instance's lease, and takes zones
// over that nobody writes.
func (m *Member) round(ctx context.Context) {
	m.prepare()
	m.look(ctx)
	m.renew(ctx)
	m.unlock(context.WithoutCancel(ctx))
	m.takeOver(ctx)
	m.settle()
	m.sweep(ctx)
}

// prepare brings this instance's own entry up to date. What it has found is
// published at once, before others know.
func (m *Member) prepare() {
	m.mu.Lock()
	s, ids := m.settings, m.roster.Writing()
	m.mu.Unlock()
	// Both may wait for zones, which ask whether they may write.
	sets, reports := s.Sets(), make([]report, len(ids))
	for i, w := range ids {
		reports[i].inSync, reports[i].refusedFor = s.Report(w.ZoneID)
	}
	m.mu.Lock()
	now := time.Now()
	changed := m.roster.Publish(m.markLost(sets, now))
	for i, w := range ids {
		m.roster.Report(w.ZoneID, reports[i].inSync, reports[i].refusedFor, now)
	}
	m.dirty = m.dirty || changed
	m.mu.Unlock()
	m.settle()
	if changed {
		s.Changed()
	}
}

type report struct {
	inSync     *bool
	refusedFor time.Duration
}

// renew stores the entry if that is due.
func (m *Member) renew(ctx context.Context) {
	m.mu.Lock()
	began := time.Now()
	if !m.dirty && began.Before(m.due) {
		m.mu.Unlock()
		return
	}
	m.roster.Rejoin()
	entry, s := m.roster.Next(), m.settings
	m.mu.Unlock()
	err := m.store(ctx, s, &entry)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unstored = err
	if err == nil {
		m.stored(began)
	}
}

func (m *Member) stored(began time.Time) {
	m.roster.Stored(began)
	m.dirty, m.due = false, began.Add(m.settings.Lease/4-pause)
}

// look reads the others' entries.
func (m *Member) look(ctx context.Context) {
	m.mu.Lock()
	s := m.settings
	m.mu.Unlock()
	began := time.Now()
	entries, err := m.read(ctx, s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unread = err; err != nil {
		return
	}
	joined, changed := m.roster.Observe(began, entries)
	if changed {
		m.pending = true
	}
	if len(joined) > 0 && m.hold.Before(began) {
		m.hold = began.Add(together)
	}
}

// Look looks at the others without taking part.
func (m *Member) Look(ctx context.Context) {
	m.prepare()
	m.look(ctx)
	m.mu.Lock()
	changed := m.settings.Changed
	m.mu.Unlock()
	changed()
}

// takeOver claims zones that nobody writes. The lock keeps two from doing so
// at a time. A lock may outlive its holder, so it is not waited for longer
// than a lease; two who then both claim a zone see it, and one stops.
func (m *Member) takeOver(ctx context.Context) {
	ids, longest := m.vacant()
	if len(ids) == 0 {
		return
	}
	m.mu.Lock()
	s := m.settings
	m.mu.Unlock()
	err := m.lock(ctx, s)
	switch {
	case err == nil:
		defer m.unlock(context.WithoutCancel(ctx))
		m.look(ctx)
		if ids, _ = m.vacant(); len(ids) == 0 {
			return
		}
	case longest < s.Lease || ctx.Err() != nil:
		s.Logger.Debug("waiting for the lock under which zones are taken over", zap.Error(err))
		return
	}
	m.mu.Lock()
	began := time.Now()
	entry := m.roster.Claiming(ids)
	m.mu.Unlock()
	if m.store(ctx, s, &entry) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored(began)
	m.roster.Claimed(ids)
}

func (m *Member) vacant() ([]lease.ZoneID, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.Vacant(time.Now())
}

// settle says what has changed: to the zones, unless more is expected, and to
// people. A zone that this instance begins to write is let go on only once it
// knows what it should hold by now.
func (m *Member) settle() {
	m.mu.Lock()
	now := time.Now()
	wrote := len(m.roster.Writing())
	m.roster.Settle(now)
	if len(m.roster.Writing()) != wrote {
		m.dirty = true
	}
	m.tellPeople(now)
	var begun []lease.ZoneID
	mine := make(map[lease.ZoneID]uint64)
	for _, id := range m.roster.Zones() {
		switch {
		case !m.roster.Writes(id, now):
		case m.mine[id] != 0:
			mine[id] = m.mine[id]
		default:
			begun = append(begun, id)
		}
	}
	m.mine = mine
	m.pending = m.pending || len(begun) > 0
	tell := m.pending && !now.Before(m.hold)
	if tell {
		m.pending = false
	}
	s := m.settings
	m.mu.Unlock()
	if !tell {
		return
	}
	s.Changed()
	var after []func()
	for _, id := range begun {
		after = append(after, s.Begin(id))
	}
	m.mu.Lock()
	for _, id := range begun {
		m.mine[id] = terms.Add(1)
	}
	m.mu.Unlock()
	for _, do := range after {
		do()
	}
}

// Leave gives the lease up, so that the others need not wait for its end.
func (m *Member) Leave(ctx context.Context) {
	m.running.Lock()
	defer m.running.Unlock()
	m.mu.Lock()
	s := m.settings
	entry := m.roster.Leave()
	clear(m.writers)
	clear(m.mine)
	m.mu.Unlock()
	if err := m.store(ctx, s, &entry); err != nil {
		m.sayLeaving(s, err)
	}
	m.unlock(ctx)
}
