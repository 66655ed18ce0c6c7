package dynamicdns

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// withdrawTimeout is how long addresses are waited for to be taken away. What
// is not done then is done by the next start.
const withdrawTimeout = 5 * time.Second

// exiting is a variable for tests.
var exiting = caddy.Exiting

// keepLedgers finds the ledgers of zones of which something is to be withdrawn,
// now or since an older configuration.
func (m *managed) keepLedgers(ledgers *conf.Ledgers) error {
	m.ledgers = ledgers
	for _, z := range m.zones {
		wanted := z.member != nil || slices.ContainsFunc(z.sets, func(s *nameSet) bool { return s.group.withdraw() })
		ledger, err := ledgers.Of(z.backend.Provider.Name, z.zone.Name, wanted)
		if err != nil {
			return err
		}
		z.backend.Ledger = ledger
	}
	return nil
}

// attach takes the zones over from the configuration before, unless they were
// given back meanwhile.
func (m *managed) attach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return
	}
	// Whatever is attached may write at once.
	m.ledgers.Use()
	for _, z := range m.zones {
		z.holder = z.zone.Attach(z.backend, m.wants(z), func(h *zone.Holder) {
			if m.rejoin != nil {
				m.rejoin()
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if !m.left {
				h.Claim(m.wants(z))
			}
		})
		z.unsubscribe = z.backend.Provider.NotifyChanged(z.zone.Name, func() { z.zone.Verify() })
	}
	m.withdrawGone()
}

// detach gives the zones back to the configuration that had them before, if
// that one goes on running. From those that no other one has, what is to be
// withdrawn is taken away: before the process ends, but a reload does not wait.
func (m *managed) detach(logger *zap.Logger) {
	if m.letGo(logger); exiting() {
		m.ending.Wait()
	}
}

// letGo is detach that waits for nothing.
func (m *managed) letGo(logger *zap.Logger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = true
	var leaving []*managedZone
	for _, z := range m.zones {
		if z.holder == nil {
			continue
		}
		z.unsubscribe()
		last := z.member == nil || z.member.Last(z.zoneID())
		if last && z.backend.Ledger != nil && (exiting() || m.ledgers.Sole(z.backend.Provider.Name, z.zone.Name)) {
			leaving = append(leaving, z)
		} else {
			z.holder.Release()
		}
	}
	if len(leaving) == 0 {
		return
	}
	m.withdrawing = true
	m.ending.Go(m.withdraw(leaving, logger))
}

// release lets the zones end that no other configuration has.
func (m *managed) release() {
	if m.released {
		return
	}
	// The zones stay listed, for somebody may be asking for the status.
	m.released = true
	release := func() {
		for _, z := range m.zones {
			zone.Shared.Release(z.zone)
		}
		if m.ledgers != nil {
			m.ledgers.Release()
		}
	}
	if !m.withdrawing {
		release()
		return
	}
	go func() {
		m.ending.Wait()
		release()
	}()
}

// withdrawGone takes away what was published of names that are no longer
// managed. The caller has the lock.
func (m *managed) withdrawGone() {
	for _, z := range m.zones {
		if z.holder != nil && z.backend.Ledger != nil && z.member == nil {
			_, gone := m.published(z)
			z.holder.Withdraw(gone...)
		}
	}
}

// published returns of which RRsets of the zone something was published, and of
// which that are no longer managed, if it is for this zone to take that away: a
// host that clients may update by now is theirs.
func (m *managed) published(z *managedZone) (own, gone []plan.Key) {
	keys := z.backend.Ledger.Keys()
	has := make(map[plan.Key]*managedZone)
	var first *managedZone
	for _, other := range m.zones {
		if other.backend.Ledger != z.backend.Ledger {
			continue
		}
		if first == nil {
			first = other
		}
		other.each(func(_ *nameSet, key plan.Key) { has[key] = other })
	}
	var others map[plan.Key]bool
	if z.member != nil {
		others = z.member.Has(z.zoneID())
	}
	for _, key := range keys {
		fqdn := dnsname.Absolute(key.Name, z.zone.Name)
		switch {
		case has[key] == z:
			own = append(own, key)
		case has[key] == nil && !others[key] && first == z && !m.names.awaited[fqdn] && !m.served(strings.TrimSuffix(fqdn, ".")):
			gone = append(gone, key)
		}
	}
	return own, gone
}

// recall takes up what earlier processes have left to be withdrawn.
func (m *managed) recall(ctx context.Context, logger *zap.Logger) {
	for _, ledger := range m.ledgers.All() {
		if err := ledger.Load(ctx); err != nil {
			logger.Warn("cannot tell what was published before; it may stay in DNS", zap.Error(err))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.left {
		m.withdrawGone()
	}
}

// takeLedger takes up what others have published of a zone that this instance
// has begun to write, of which some may be nobody's by now.
func (m *managed) takeLedger(z *managedZone) {
	if err := z.backend.Ledger.Load(context.Background()); err != nil {
		z.backend.Logger.Warn("cannot tell what other instances have published; it may stay in DNS", zap.String("zone", dnsname.Display(z.zone.Name)), zap.Error(err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if z.holder != nil && !m.left {
		z.holder.Claim(m.wants(z))
	}
}

// withdraw begins to take away all that was published of the zones, save what is
// published again once its zone is found. The function that it returns waits for
// that, for a short time, and gives the zones back.
func (m *managed) withdraw(leaving []*managedZone, logger *zap.Logger) (finish func()) {
	var handles []*zone.Handle
	var names []string
	for _, z := range leaving {
		handles = append(handles, z.holder.Leave(func() []plan.Key {
			own, gone := m.published(z)
			return slices.DeleteFunc(slices.Concat(own, gone), func(key plan.Key) bool {
				return m.awaited(dnsname.Absolute(key.Name, z.zone.Name))
			})
		})...)
		names = append(names, dnsname.Display(z.zone.Name))
	}
	return func() { giveBack(leaving, names, handles, logger) }
}

func giveBack(leaving []*managedZone, names []string, handles []*zone.Handle, logger *zap.Logger) {
	if missing := zone.Await(handles, withdrawTimeout); missing > 0 {
		logger.Warn("not all addresses could be withdrawn in time; what is left and no longer managed is taken away by the next start that has the zone",
			zap.Strings("zones", names), zap.Int("records", missing))
	}
	for _, z := range leaving {
		if err := z.backend.Ledger.Store(context.Background()); err != nil {
			logger.Warn("cannot remember what was withdrawn", zap.Error(err))
		}
		z.holder.Release()
	}
}

// shared is what this instance would publish, for the others to know.
func (m *managed) shared() []lease.Set {
	var sets []lease.Set
	for _, z := range m.zones {
		for _, set := range z.sets {
			s := lease.Set{ZoneID: z.zoneID(), Names: set.names, TTL: time.Duration(set.group.TTL).Seconds(), UpdateOnly: set.group.updateOnly(), Withdraw: set.group.withdraw()}
			if set.ids != nil {
				prefix := set.group.detector.Known.Prefix()
				for _, name := range set.names {
					addrs, _ := set.group.deviceAddrs(set.ids[name], prefix.Network)
					s.Names = []string{name}
					s.Found[ipaddr.V6] = &lease.Found{Addrs: addrs, Source: prefix.Source, Lost: prefix.Failing}
					sets = append(sets, s)
				}
				continue
			}
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if set.families[f] {
					known := set.group.detector.Known.Family(f)
					s.Found[f] = &lease.Found{Addrs: known.Addrs, Source: known.Source, Lost: known.Failing}
				}
			}
			sets = append(sets, s)
		}
	}
	for _, z := range m.clients.all() {
		sets = append(sets, lease.Set{ZoneID: z.ID, Clients: true})
	}
	return sets
}

// report says how a zone is doing that this instance writes, and for how long
// its provider has refused it.
func (m *managed) report(id lease.ZoneID) (inSync *bool, refusedFor time.Duration) {
	now := time.Now()
	inSync = new(true)
	note := func(well *bool, refused time.Duration) {
		inSync, refusedFor = status.BothInSync(inSync, well), max(refusedFor, refused)
	}
	for _, z := range m.zones {
		if z.zoneID() == id {
			known := z.zone.Snapshot()
			note(z.ownStatus(known, now).InSync, known.FailingFor(now))
		}
	}
	for _, z := range m.clients.all() {
		if z.ID == id {
			note(z.Report())
		}
	}
	return inSync, refusedFor
}

// republish has the zones hold what all instances have for them.
func (m *managed) republish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, z := range m.zones {
		if z.holder != nil && !m.left {
			z.holder.Claim(m.wants(z))
		}
	}
}

// wants is all that a zone should hold. Where several share it, that is also what
// is to be taken away, for they may change their minds at any time.
func (m *managed) wants(z *managedZone) map[plan.Key]*plan.Desired {
	desired := z.desired()
	if z.member == nil {
		return desired
	}
	// The same zone may be managed by two accounts, each with names of its own.
	at := make(map[plan.Key]*managedZone)
	var first *managedZone
	for _, other := range m.zones {
		if other.zoneID() == z.zoneID() {
			first = cmp.Or(first, other)
			other.each(func(_ *nameSet, key plan.Key) { at[key] = other })
		}
	}
	maps.DeleteFunc(desired, func(key plan.Key, _ *plan.Desired) bool { return cmp.Or(at[key], first) != z })
	if !z.member.Writes(z.zoneID()) {
		return desired
	}
	_, gone := m.published(z)
	for _, key := range gone {
		desired[key] = &plan.Desired{State: plan.None, Withdraw: true, Addrs: z.backend.Ledger.Published(key)}
	}
	return desired
}

// begin has a zone read that this instance begins to write.
func (m *managed) begin(id lease.ZoneID) (begun func()) {
	var after []func()
	for _, z := range m.zones {
		if z.zoneID() == id {
			z.zone.Estrange()
			z.backend.Ledger.Forget()
			after = append(after, func() {
				z.zone.Verify()
				go m.takeLedger(z)
			})
		}
	}
	for _, z := range m.clients.all() {
		if z.ID == id {
			after = append(after, z.Begin())
		}
	}
	return func() {
		for _, do := range after {
			do()
		}
	}
}
