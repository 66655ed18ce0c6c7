package detect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// detect asks the sources for one family. If none has an acceptable address,
// what was known stays. It returns how soon a source wants to be asked again,
// or 0. If a source must not be asked yet, it returns for how long; nothing has
// come of the check then, and it must begin anew.
func (d *Detector) detect(ctx context.Context, f ipaddr.Family) (soon, early time.Duration) {
	var problems []error
	var doubts doubts
	var open unsettled
	refused := make(map[string]bool)
	defer func() {
		if ctx.Err() == nil && early == 0 {
			d.Known.setRefused(f, refused)
		}
	}()
	d.Known.seek(f, d.Families[f], d.wantsPrefix(f))
	prefix := d.searchPrefix(f, refused)
	for i, src := range d.Sources {
		if early = d.Known.take(i, f, src.limit, time.Now()); early > 0 {
			return 0, early
		}
		settings := ipsources.IPSettings{
			IPVersions: only(f),
			Known:      slices.Clone(d.Known.Family(f).Addrs),
			Accepts:    func(addr netip.Addr) bool { return d.Filter.Refuse(addr, src.configured) == "" },
			Votes:      slices.Clone(open.votes),
		}
		if prefix.ask(ctx, src, settings) && !d.Families[f] || ctx.Err() != nil {
			return 0, 0
		}
		addrs, err := src.ask(ctx, f, settings, d.Logger)
		if ctx.Err() != nil {
			return 0, 0
		}
		addrs = ofFamily(addrs, f)
		good := d.acceptable(src, f, addrs, refused)
		if d.Observer != nil {
			d.Observer.Checked(src.Name, f, resultOf(addrs, good, err))
		}
		if len(good) > 0 {
			d.found(src, f, good, d.confirmedBy(src, good), errors.Join(err, doubts.left(src)))
			prefix.derive(src, good)
			return soon, 0
		}
		if e, ok := errors.AsType[*ipsources.UnsettledError](err); ok {
			open.add(src, e.Votes)
		}
		if err = errors.Join(prefix.err, err); err == nil {
			err = errNothing
		}
		if again, ok := errors.AsType[*ipsources.SoonError](err); ok && (soon == 0 || again.After < soon) {
			soon = again.After
		}
		err = fmt.Errorf("%s: %w", src.Name, err)
		problems = append(problems, err)
		doubts.add(err)
		if _, ok := errors.AsType[*ipsources.HoldError](err); ok {
			break
		}
	}
	addr, by, err := d.weigh(f, open, problems)
	switch {
	case addr.IsValid():
		good := []netip.Addr{addr}
		d.found(open.source, f, good, by, err)
		prefix.derive(open.source, good)
		return soon, 0
	case err != nil:
		if soon == 0 || soon > repeatAfter {
			soon = repeatAfter
		}
		problems = append(problems, err)
	}
	d.unknown(f, problems)
	prefix.end(problems...)
	return soon, 0
}

// ofFamily returns those of a source's addresses that are of the family. The slice
// is the source's, which may give it to others as well, and a net.IP that was
// converted is often an IPv4-mapped address.
func ofFamily(addrs []netip.Addr, f ipaddr.Family) (own []netip.Addr) {
	for _, addr := range addrs {
		if addr = addr.Unmap(); ipaddr.FamilyOf(addr) == f {
			own = append(own, addr)
		}
	}
	return own
}

func only(f ipaddr.Family) ipsources.IPVersions {
	v4, v6 := f == ipaddr.V4, f == ipaddr.V6
	return ipsources.IPVersions{IPv4: &v4, IPv6: &v6}
}

func resultOf(addrs, good []netip.Addr, err error) Result {
	switch {
	case len(good) > 0:
		return ResultOK
	case len(addrs) > 0:
		return ResultRefused
	case err != nil:
		return ResultError
	}
	return ResultNone
}

func (d *Detector) confirmedBy(src *Source, addrs []netip.Addr) (by []string) {
	if c, ok := src.IPSource.(ipsources.Confirmer); ok {
		for _, addr := range addrs {
			by = append(by, aside(src, d.Logger, func() []string { return c.ConfirmedBy(addr) })...)
		}
	}
	return by
}

// found notes the addresses that a source gave, who confirms them, and
// reservations.
func (d *Detector) found(src *Source, f ipaddr.Family, addrs []netip.Addr, by []string, reservation error) {
	now := time.Now()
	before, episode := d.Known.set(f, addrs, src.Name, by, now)
	changed := !slices.Equal(before, addrs)
	if doubt, ok := errors.AsType[*ipsources.DoubtError](reservation); ok {
		if d.Known.doubted(f, now, changed) {
			d.Logger.Warn("publishing an address in spite of doubts", zap.Stringer("family", f),
				zap.Stringers("addresses", addrs), zap.String("source", src.Name), zap.String("error", oneLine(doubt)))
		}
	} else {
		d.Known.undoubted(f)
	}
	switch {
	case changed:
		d.Logger.Info("address changed", zap.Stringer("family", f),
			zap.Stringers("from", before), zap.Stringers("to", addrs), zap.String("source", src.Name))
		if d.Observer != nil {
			d.Observer.AddressChanged(f, before, addrs, src.Name)
		}
	case episode.warned:
		d.Logger.Info("address known again", zap.Stringer("family", f),
			zap.Stringers("addresses", addrs), zap.String("source", src.Name),
			zap.Duration("after", now.Sub(episode.since).Round(time.Second)))
	}
	d.foundAgain(f, episode, addrs, src.Name)
}

// unknown notes that no source knows the family, and complains if that is worth
// it.
func (d *Detector) unknown(f ipaddr.Family, problems []error) {
	err := errors.Join(problems...)
	c := d.fail(f, problems, time.Now())
	fields := []zap.Field{zap.Stringer("family", f), zap.String("error", oneLine(err))}
	if c.lasting > 0 {
		fields = append(fields, zap.Duration("for", c.lasting.Round(time.Second)))
	}
	if c.neverKnown && c.lasting >= complainAgain {
		fields = append(fields, zap.String("hint", "if this machine has none of that family, leave it out with `versions`"))
	}
	log, message := d.Logger.Debug, "address unknown; leaving DNS as it is"
	if c.lost {
		known := d.Known.Family(f).Addrs
		message = "address lost; leaving DNS as it is"
		fields = append(fields, zap.Stringers("addresses", known))
		if d.Observer != nil {
			d.Observer.AddressLost(f, known, oneLine(err))
		}
	}
	if c.warn {
		log = d.Logger.Warn
	}
	log(message, fields...)
}

// fail notes that a check did not find the family.
func (d *Detector) fail(f ipaddr.Family, problems []error, now time.Time) complaint {
	k := d.Known
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &k.families[f]
	neverKnown := n.Addrs == nil && (d.Families[f] || !n.Network.Known())
	lost := n.miss(!neverKnown, d.interval, now)
	n.Failure, n.FailedAt = oneLine(errors.Join(problems...)), now
	alone := true
	for other := range k.families {
		// One that is still being looked for may be found.
		if o := &k.families[other]; f != ipaddr.Family(other) && d.Enabled(ipaddr.Family(other)) && (o.Checked.IsZero() || !o.Failing || o.pending) {
			alone = false
		}
	}
	return n.complain(newTrouble(problems), alone, neverKnown, lost, now)
}
