package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// writing is one attempt to make the RRsets that differ hold what is wished,
// on a provider that may do something else than it was told: whatever it
// returns, only reading back tells.
type writing struct {
	k      *keeper
	zone   *zone
	claims []claim
	// blind means that reading failed a moment ago, so that there is no
	// use in reading back.
	blind bool

	// changes are what the attempt set out to do, left what it must not do.
	changes []change
	left    []leftAlone

	// confirmed are the changes that came true, waiting those that the
	// provider accepted but does not show, errs those that failed and why.
	confirmed []change
	waiting   []change
	errs      map[rrKey]error
	// readErr is why what was written could not be read back.
	readErr error

	// done are the keys of changes that need nothing more in this attempt.
	done map[rrKey]bool
}

// newWriting plans an attempt from what is known of the zone. A blind one
// could not read before it writes.
func (k *keeper) newWriting(claims []claim, blind bool) *writing {
	z := k.zone
	z.mu.Lock()
	defer z.mu.Unlock()
	writable := claims
	if blind {
		writable = slices.DeleteFunc(slices.Clone(claims), func(c claim) bool { return c.updateOnly })
	}
	p := makePlan(writable, z.view, z.asked)
	w := &writing{
		k:      k,
		zone:   z,
		claims: claims,
		blind:  blind,
		left:   p.leftAlone,
		errs:   make(map[rrKey]error),
		done:   make(map[rrKey]bool),
	}
	if blind {
		w.left = z.left
	}
	for _, c := range p.changes {
		accepted, ok := z.unverified[c.key]
		switch {
		case ok && slices.Equal(accepted.to, c.to) && time.Since(accepted.at) < rewriteAfter && (blind || accepted.lags(c.from)):
		case blind && c.onlyTTL:
		default:
			w.changes = append(w.changes, c)
		}
	}
	return w
}

// run writes the changes: first all in one go, then, for what still differs,
// in the way that suits sloppy providers.
func (w *writing) run(ctx context.Context) {
	if len(w.changes) == 0 {
		return
	}
	w.zone.mu.Lock()
	// Until it is read back, nobody knows what a write has done.
	w.zone.stale = true
	var batch, alone, again []change
	for i := range w.changes {
		c := &w.changes[i]
		accepted, ok := w.zone.unverified[c.key]
		c.before = accepted.to
		delete(w.zone.unverified, c.key)
		switch {
		case w.zone.refused[c.key]:
			alone = append(alone, *c)
		case ok && !w.blind && slices.Equal(accepted.to, c.to):
			again = append(again, *c)
		default:
			batch = append(batch, *c)
		}
	}
	w.zone.mu.Unlock()

	var err error
	if len(batch) > 0 {
		err = w.put(ctx, batch)
		if errors.Is(err, errAbandoned) {
			w.fail(batch, err)
			return
		}
		if !w.lookAfter(ctx, batch, err) {
			return
		}
	}

	var sloppy []change
	for _, c := range batch {
		if w.done[c.key] {
			continue
		}
		c.from = w.shown(c.key)
		switch {
		case err == nil:
			sloppy = append(sloppy, c)
		case len(batch) == 1 && !w.canRepair(c):
			w.fail(batch, err)
		default:
			alone = append(alone, c)
		}
	}
	sloppy = append(sloppy, again...)
	if len(sloppy)+len(alone) == 0 {
		return
	}
	if len(sloppy) > 0 {
		if repairErr := w.repair(ctx, sloppy); repairErr != nil {
			w.fail(sloppy, repairErr)
			if errors.Is(repairErr, errAbandoned) {
				return
			}
		}
	}
	if !w.oneByOne(ctx, alone, len(batch) > 0 && err == nil, err) {
		return
	}
	w.lookAfter(ctx, append(sloppy, alone...), nil)
	for _, c := range append(sloppy, alone...) {
		if !w.done[c.key] && w.errs[c.key] == nil {
			w.errs[c.key] = fmt.Errorf("the provider accepted %v for %s, but shows %v", c.to, c.key, w.shown(c.key))
		}
	}
}

// put writes the changes in the way that keeps most of what exists. Adding
// to a set is left to AppendRecords, for many a SetRecords keeps only the
// last of several values and then reads as if nothing had happened.
func (w *writing) put(ctx context.Context, changes []change) error {
	p := w.k.provider
	if p.setter == nil {
		return w.swap(ctx, changes)
	}
	var set, add []change
	for _, c := range changes {
		if p.appender != nil && c.onlyAdds() && !w.blind {
			add = append(add, c)
		} else {
			set = append(set, c)
		}
	}
	var err error
	if len(set) > 0 {
		err = w.call(ctx, "setting records", func(ctx context.Context) error { return p.set(ctx, w.zone.name, set) })
	}
	if len(add) > 0 && !errors.Is(err, errAbandoned) {
		err = errors.Join(err, w.add(ctx, add))
	}
	return err
}

// canRepair reports whether repair would do something else than put did, on
// the ground of what was read.
func (w *writing) canRepair(c change) bool {
	p := w.k.provider
	return p.getter != nil && !w.blind && p.setter != nil && (p.appender != nil || p.deleter != nil) && (len(c.to) > 1 || len(c.from) > 1 || c.twice)
}

// repair writes changes that a provider did not carry out when it was told
// to set them. What is missing is added before what is stale is deleted, so
// that the name is never empty. Where several records must become one that
// is not among them, one of them is kept to be updated in place, for it may
// carry flags and comments.
func (w *writing) repair(ctx context.Context, changes []change) error {
	p := w.k.provider
	if p.setter == nil || p.deleter == nil {
		if p.appender == nil {
			return w.put(ctx, changes)
		}
		return w.swap(ctx, changes)
	}
	var merge, rest []change
	for _, c := range changes {
		if len(c.from) > 1 && len(c.to) == 1 && len(c.missing()) == 1 {
			merge = append(merge, c)
		} else {
			rest = append(rest, c)
		}
	}
	var err error
	if len(merge) > 0 {
		err = w.remove(ctx, merge, func(c change) []netip.Addr { return c.from[1:] })
		if err == nil {
			err = w.call(ctx, "setting records", func(ctx context.Context) error { return p.set(ctx, w.zone.name, merge) })
		}
	}
	if len(rest) > 0 && !errors.Is(err, errAbandoned) {
		err = errors.Join(err, w.swap(ctx, rest))
	}
	return err
}

// swap adds what is missing, then deletes what is stale. Where nothing of
// what was there is to stay, it looks in between whether the new is there:
// else the name could be left empty.
func (w *writing) swap(ctx context.Context, changes []change) error {
	p := w.k.provider
	if p.appender != nil {
		if err := w.add(ctx, changes); err != nil {
			return err
		}
	}
	if p.deleter == nil {
		return nil
	}
	replacesAll := func(c change) bool { return len(c.from) > 0 && len(c.missing()) == len(c.to) }
	if p.getter != nil && slices.ContainsFunc(changes, replacesAll) {
		if !w.blind {
			if err := w.k.read(ctx, w.claims); err != nil {
				return err
			}
		}
		changes = slices.DeleteFunc(slices.Clone(changes), func(c change) bool {
			return replacesAll(c) && (w.blind || len(ipaddr.Without(c.to, w.shown(c.key))) == len(c.to))
		})
	}
	return w.remove(ctx, changes, change.stale)
}

func (w *writing) add(ctx context.Context, changes []change) error {
	return w.call(ctx, "appending records", func(ctx context.Context) error {
		return w.k.provider.append(ctx, w.zone.name, changes, change.missing)
	})
}

func (w *writing) remove(ctx context.Context, changes []change, pick func(change) []netip.Addr) error {
	return w.call(ctx, "deleting records", func(ctx context.Context) error {
		return w.k.provider.delete(ctx, w.zone.name, changes, pick)
	})
}

func (w *writing) call(ctx context.Context, doing string, fn func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.k.call(ctx, true, fn); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// oneByOne writes each change alone, so that one that is refused does not
// stop its neighbours. Where nothing works at all it stops early: then it is
// not the RRsets that are at fault. It reports false when a call hangs.
func (w *writing) oneByOne(ctx context.Context, changes []change, works bool, general error) bool {
	// In another order each time, so that the same few cannot hide the rest.
	for i := range changes {
		j := int(random() * float64(i+1))
		changes[i], changes[j] = changes[j], changes[i]
	}
	refused := make(map[rrKey]bool)
	for i, c := range changes {
		put := w.put
		if w.canRepair(c) {
			put = w.repair
		}
		err := put(ctx, []change{c})
		if err == nil {
			works = true
			continue
		}
		w.fail(changes[i:i+1], err)
		refused[c.key] = true
		if errors.Is(err, errAbandoned) || ctx.Err() != nil {
			w.fail(changes[i+1:], err)
			return false
		}
		if !works && len(refused) == 2 {
			if general == nil {
				general = err
			}
			w.fail(changes[i+1:], general)
			return true
		}
	}
	w.zone.mu.Lock()
	defer w.zone.mu.Unlock()
	for _, c := range changes {
		delete(w.zone.refused, c.key)
		if refused[c.key] && works {
			w.zone.refused[c.key] = true
		}
	}
	return true
}

func (w *writing) fail(changes []change, err error) {
	for _, c := range changes {
		if !w.done[c.key] && w.errs[c.key] == nil {
			w.errs[c.key] = err
		}
	}
}

// lookAfter sorts the written changes into confirmed, waiting, and such that
// still differ. It reports false if there is no telling.
func (w *writing) lookAfter(ctx context.Context, written []change, writeErr error) bool {
	if w.k.provider.getter == nil {
		w.believe(ctx, written, writeErr)
		return true
	}
	if !w.blind {
		w.readErr = w.k.read(ctx, w.claims)
	}
	if w.blind || w.readErr != nil {
		if writeErr != nil {
			if !w.blind {
				w.fail(written, writeErr)
			}
			return w.blind
		}
		for _, c := range written {
			if w.errs[c.key] == nil {
				w.await(c)
			}
		}
		return w.blind
	}
	w.noticePrompt(written)
	for _, c := range written {
		shown := w.zone.shown(c.key)
		switch {
		case slices.Equal(shown.addrs, c.to):
			w.confirm(c, shown)
		case writeErr == nil && w.errs[c.key] == nil && w.lags(c, shown.addrs):
			w.await(c)
		}
	}
	return true
}

// noticePrompt notes whether what was just read shows any effect of what was
// just written.
func (w *writing) noticePrompt(written []change) {
	w.zone.mu.Lock()
	defer w.zone.mu.Unlock()
	for _, c := range written {
		shown := w.zone.view.sets[c.key].addrs
		if !slices.Equal(shown, c.from) && !slices.Equal(shown, c.before) {
			w.zone.prompt = true
			return
		}
	}
}

// lags reports whether what is shown is what was there before: then the
// reader probably shows an old state, for a provider that does half of what
// it was told leaves something else. Only with several values there are
// those that do nothing at all, and are found out by having shown other
// writes at once.
func (w *writing) lags(c change, shown []netip.Addr) bool {
	w.zone.mu.Lock()
	defer w.zone.mu.Unlock()
	if slices.Equal(shown, c.from) {
		return !w.zone.prompt || len(c.from) <= 1 && len(c.to) <= 1
	}
	return len(c.before) > 0 && slices.Equal(shown, c.before)
}

// confirm notes that a change came true. Where the provider made another TTL
// of ours, asking again would change nothing.
func (w *writing) confirm(c change, shown rrset) {
	w.done[c.key] = true
	delete(w.errs, c.key)
	w.zone.mu.Lock()
	defer w.zone.mu.Unlock()
	delete(w.zone.refused, c.key)
	delete(w.zone.asked, c.key)
	if shown.ttl != c.ttl {
		w.zone.asked[c.key] = c.ttl
		if c.onlyTTL {
			w.k.logger.Info("the provider keeps a TTL of its own",
				zap.String("name", c.key.name), zap.String("type", c.key.family.RRType()),
				zap.Duration("ttl", shown.ttl), zap.Duration("asked", c.ttl))
			return
		}
	}
	w.zone.changed[c.key] = time.Now()
	w.confirmed = append(w.confirmed, c)
}

// await notes that a change was accepted and is not to be seen yet.
func (w *writing) await(c change) {
	w.done[c.key] = true
	w.waiting = append(w.waiting, c)
	w.zone.mu.Lock()
	defer w.zone.mu.Unlock()
	if len(w.zone.unverified) == 0 || w.zone.looks == 0 {
		w.zone.looks, w.zone.nextLook = 1, time.Now().Add(firstLook)
	}
	w.zone.unverified[c.key] = acceptance{from: c.from, to: c.to, source: c.source, at: time.Now()}
}

// believe takes accepted writes as done where the provider cannot be read,
// and remembers them for the next start.
func (w *writing) believe(ctx context.Context, written []change, writeErr error) {
	w.zone.mu.Lock()
	view := zoneView{sets: make(map[rrKey]rrset, len(w.zone.view.sets))}
	for key, set := range w.zone.view.sets {
		view.sets[key] = set
	}
	w.zone.mu.Unlock()
	for _, c := range written {
		if writeErr == nil && w.errs[c.key] == nil {
			view.sets[c.key] = rrset{addrs: c.to, ttl: c.ttl}
			w.confirm(c, view.sets[c.key])
		} else if w.k.provider.setter != nil {
			// Whether it holds the old or the new, setting it again is right.
			delete(view.sets, c.key)
		}
	}
	w.zone.mu.Lock()
	w.zone.view, w.zone.stale, w.zone.verified = view, false, time.Now()
	w.zone.mu.Unlock()
	if err := w.k.memory.store(ctx, w.k.provider.name, w.zone.name, view); err != nil {
		w.k.logger.Warn("cannot remember what was written; the next start will write it again", zap.Error(err))
	}
}

func (w *writing) shown(key rrKey) []netip.Addr { return w.zone.shown(key).addrs }
