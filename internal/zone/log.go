package zone

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/errkind"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// tell passes on what the machine reports.
func (z *Zone) tell() {
	b := z.backend()
	var confirmed []reconcile.Confirmed
	reports := z.machine.Reports()
	if b != nil && b.Ledger != nil {
		z.account(z.own(b), reports)
	}
	for _, report := range reports {
		switch r := report.(type) {
		case reconcile.Confirmed:
			z.resolve(r.Key, func(h *Handle) error {
				h.confirmed = r.Desired
				if h.desired.State != r.Desired.State || !slices.Equal(h.desired.Addrs, r.Desired.Addrs) {
					return ErrSuperseded
				}
				return nil
			})
			confirmed = append(confirmed, r)
		case reconcile.Failed:
			z.resolve(r.Key, always(r.Err))
		case reconcile.LeftAlone:
			z.resolve(r.Key, always(fmt.Errorf("%s is left alone: %s", r.Key, r.Reason)))
			if b != nil && r.New {
				z.logLeftAlone(b, r)
			}
		case reconcile.Superseded:
			z.supersede(r.Key, r.Holder)
		case reconcile.Verified:
			for _, done := range z.verifiers {
				close(done)
			}
			z.verifiers = nil
		default:
			if b != nil {
				z.logZone(b, r)
			}
		}
	}
	if b != nil {
		z.tellConfirmed(b, confirmed)
	}
}

// resolve ends the handles of an RRset.
func (z *Zone) resolve(key plan.Key, err func(*Handle) error) {
	for _, h := range z.handles[key] {
		h.resolve(err(h))
	}
	delete(z.handles, key)
}

// supersede ends the handles of an RRset that a holder has lost.
func (z *Zone) supersede(key plan.Key, holder reconcile.Holder) {
	z.handles[key] = slices.DeleteFunc(z.handles[key], func(h *Handle) bool {
		if h.holder != holder {
			return false
		}
		h.resolve(ErrSuperseded)
		return true
	})
	if len(z.handles[key]) == 0 {
		delete(z.handles, key)
	}
}

func always(err error) func(*Handle) error { return func(*Handle) error { return err } }

// tellConfirmed logs what came true, and tells the observer.
func (z *Zone) tellConfirmed(b *Backend, confirmed []reconcile.Confirmed) {
	for class, b := range z.backends() {
		if b.Confirmed != nil && slices.ContainsFunc(confirmed, func(c reconcile.Confirmed) bool { return c.Desired.Class == class }) {
			b.Confirmed()
		}
	}
	slices.SortFunc(confirmed, func(a, b reconcile.Confirmed) int { return a.Key.Compare(b.Key) })
	changes := make(map[plan.Class][]plan.Change)
	for _, c := range confirmed {
		if !c.Changed && !c.Drifted && !c.OnlyTTL && !c.OtherTTL {
			continue
		}
		logger := z.logger(b).With(zap.String("name", c.Key.Name), zap.String("type", c.Key.Family.RRType()))
		switch {
		case c.OtherTTL:
			logger.Info("the provider keeps a TTL of its own", zap.Duration("ttl", c.TTL), zap.Duration("asked", c.Desired.TTL))
			continue
		case c.OnlyTTL:
			logger.Info("updated TTL of DNS record", zap.Duration("ttl", c.TTL))
		default:
			message := "updated DNS record"
			switch {
			case c.Late:
				message = "DNS record shows the change that was accepted before"
			case c.Drifted:
				message = "repaired drift: the DNS record had been changed"
			case len(c.From) == 0:
				message = "created DNS record"
			case len(c.To) == 0:
				message = "removed DNS record"
			}
			source := zap.Skip()
			// What is taken away comes from nowhere.
			if c.Desired.Source != "" {
				source = zap.String("source", c.Desired.Source)
			}
			logger.Info(message, zap.Stringers("from", c.From), zap.Stringers("to", c.To), source)
		}
		changes[c.Desired.Class] = append(changes[c.Desired.Class], plan.Change{
			Key: c.Key, From: c.From, To: c.To, TTL: c.TTL, Source: c.Desired.Source, OnlyTTL: c.OnlyTTL,
		})
	}
	backends := z.backends()
	for class, changes := range changes {
		of := b
		if backends[class] != nil {
			of = backends[class]
		}
		of.Observer.RecordsChanged(z.Name, of.Provider.Name, changes)
	}
}

func (z *Zone) logLeftAlone(b *Backend, l reconcile.LeftAlone) {
	log := z.logger(b).Info
	if l.Blocked {
		log = z.logger(b).Error
	}
	log("leaving DNS record alone: "+l.Reason, zap.String("name", l.Key.Name), zap.String("type", l.Key.Family.RRType()))
}

// logZone logs what is about the zone as a whole. A failure that repeats is
// logged at growing distance.
func (z *Zone) logZone(b *Backend, report reconcile.Report) {
	switch r := report.(type) {
	case reconcile.Waiting:
		z.logger(b).Warn("the provider accepted changes but does not show them yet; looking again",
			zap.Strings("records", describe(r.Keys)), zap.Duration("in", r.In))
	case reconcile.Recovered:
		after := r.After.Round(time.Second)
		z.logger(b).Info("working again", zap.Duration("after", after))
		for class, b := range z.backends() {
			b.Observer.Recovered(z.Name, b.Provider.Name, z.sources(class), after)
		}
		z.failure, z.failed = "", nil
	case reconcile.Failing:
		same := errkind.Of(r.Err.Error()) == errkind.Of(z.failure)
		z.failure, z.failed = r.Err.Error(), r.Keys
		if !same {
			for class, b := range z.backends() {
				b.Observer.UpdateFailed(z.Name, b.Provider.Name, z.sources(class), r.Err, r.Attempt)
			}
		}
		log := z.logger(b).Error
		if same && bits.OnesCount(uint(r.Attempt)) > 1 {
			log = z.logger(b).Debug
		}
		message := "updating DNS failed"
		if len(r.Keys) == 0 {
			message = "reading DNS failed"
		}
		log(message+"; retrying in "+cmp.Or(r.Pause.Round(time.Second), time.Second).String(),
			zap.Strings("records", describe(r.Keys)), zap.Int("attempt", r.Attempt), zap.Error(r.Err))
	}
}

// sources are those of what could not be written, as far as it is of a class.
func (z *Zone) sources(class plan.Class) (sources []string) {
	for _, key := range z.failed {
		if d := z.machine.Desired(key); d.Class == class && d.Source != "" && !slices.Contains(sources, d.Source) {
			sources = append(sources, d.Source)
		}
	}
	slices.Sort(sources)
	return sources
}

// describe names RRsets for a log line without making it endless.
func describe(keys []plan.Key) []string {
	const most = 10
	texts := make([]string, 0, min(len(keys), most+1))
	for i, key := range keys {
		if i == most {
			return append(texts, fmt.Sprintf("and %d more", len(keys)-most))
		}
		texts = append(texts, key.String())
	}
	return texts
}
