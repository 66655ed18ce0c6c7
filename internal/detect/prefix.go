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

// Network is what is known of the IPv6 prefix that this machine shares with
// others.
type Network struct {
	// Prefixes is the one that a source knows, or the addresses that were
	// found, as prefixes of 128 bits: nobody knows how many of these bits the
	// machines share. None means that the prefix is unknown. What a later
	// check did not find stays.
	Prefixes []netip.Prefix
	// Source is the name of the source that gave them.
	Source string
	// Configured is set if a person chose them.
	Configured bool
}

// Known reports whether the prefix is known.
func (n Network) Known() bool { return len(n.Prefixes) > 0 }

func (n Network) equal(other Network) bool {
	return n.Source == other.Source && n.Configured == other.Configured && slices.Equal(n.Prefixes, other.Prefixes)
}

// Prefix is what is known of the prefix, and how it fares in the checks.
type Prefix struct {
	Network
	// Since is when it became this.
	Since time.Time
	Presence
	// Failure is why the last check that did not find it did not, FailedAt when
	// that was.
	Failure  string
	FailedAt time.Time
}

// knownPrefix is what is known of the prefix, and what was said of it in the
// log.
type knownPrefix struct {
	Prefix
	said
	// sought is set once it was looked for.
	sought bool
}

// Prefix returns what is known of the prefix.
func (k *Known) Prefix() Prefix {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.prefix.Prefix
}

// same reports whether what is to be published is the same.
func (f *Found) same(other *Found) bool {
	return f.Source == other.Source && slices.Equal(f.Addrs, other.Addrs) && f.Network.equal(other.Network)
}

// wantsPrefix reports whether the prefix is to be found with the addresses of
// the family.
func (d *Detector) wantsPrefix(f ipaddr.Family) bool { return d.Prefix && f == ipaddr.V6 }

// neglectsPrefix reports whether the prefix is to be found and was never looked
// for, as after a reload that brings the first device.
func (d *Detector) neglectsPrefix(f ipaddr.Family) bool {
	d.Known.mu.Lock()
	defer d.Known.mu.Unlock()
	return d.wantsPrefix(f) && !d.Known.prefix.sought
}

// prefixSearch looks for the prefix in the course of one check: the first source
// that knows a prefix or has an acceptable address gives it.
type prefixSearch struct {
	*Detector
	family  ipaddr.Family
	refused map[string]bool
	found   bool
	// err is the error of the source that was asked last.
	err error
}

func (d *Detector) searchPrefix(f ipaddr.Family, refused map[string]bool) *prefixSearch {
	if d.wantsPrefix(f) {
		d.Known.mu.Lock()
		defer d.Known.mu.Unlock()
		d.Known.prefix.sought = true
	}
	return &prefixSearch{Detector: d, family: f, refused: refused}
}

// ask asks a source for the prefix, if it can know that and it is not yet found.
// It reports whether it is.
func (p *prefixSearch) ask(ctx context.Context, src *Source, settings ipsources.IPSettings) bool {
	p.err = nil
	prefixer, ok := src.IPSource.(ipsources.Prefixer)
	if p.found || !ok || !p.wantsPrefix(p.family) {
		return p.found
	}
	for _, known := range p.Known.Prefix().Prefixes {
		settings.Known = append(settings.Known, known.Addr())
	}
	prefix, err := guard(ctx, src, src.busyPrefix, p.Logger, func(ctx context.Context) (netip.Prefix, error) {
		return prefixer.Prefix(ctx, settings)
	})
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		p.err = err
	case prefix == netip.Prefix{}:
	case !prefix.Addr().Is6() || prefix.Addr().Is4In6() || ipaddr.CheckPrefixLength(prefix.Bits()) != nil:
		p.err = fmt.Errorf("%s is no IPv6 prefix that machines share", prefix)
	case len(p.acceptable(src, ipaddr.V6, []netip.Addr{prefix.Masked().Addr()}, p.refused)) == 0:
		p.err = fmt.Errorf("addresses in its prefix %s may not be published", prefix.Masked())
	default:
		p.note(Network{[]netip.Prefix{prefix.Masked()}, src.Name, src.configured})
	}
	return p.found
}

// derive takes the prefix from the addresses that a source found, unless it is
// found or the source may know better.
func (p *prefixSearch) derive(src *Source, addrs []netip.Addr) {
	switch {
	case p.found || !p.wantsPrefix(p.family):
		return
	case p.err != nil:
		p.end(fmt.Errorf("%s: %w", src.Name, p.err))
		return
	}
	n := Network{Source: src.Name, Configured: src.configured}
	for _, addr := range addrs {
		n.Prefixes = append(n.Prefixes, netip.PrefixFrom(addr, addr.BitLen()))
	}
	p.note(n)
}

// note notes the prefix that was found.
func (p *prefixSearch) note(n Network) {
	p.found = true
	now := time.Now()
	before, ended := p.Known.setPrefix(n, now)
	if !p.Families[p.family] {
		p.foundAgain(p.family, p.Known.endFamily(p.family, now), nil, n.Source)
	}
	switch {
	case n.Prefixes[0].IsSingleIP():
		// The log has a line of the address.
	case !slices.Equal(before.Prefixes, n.Prefixes):
		p.Logger.Info("IPv6 prefix changed", zap.Stringers("from", before.Prefixes), zap.Stringers("to", n.Prefixes), zap.String("source", n.Source))
	case ended.warned:
		p.Logger.Info("IPv6 prefix known again", zap.Stringers("prefixes", n.Prefixes), zap.String("source", n.Source),
			zap.Duration("after", now.Sub(ended.since).Round(time.Second)))
	}
}

// end ends a check. If that did not find the prefix, it complains where that is
// worth it.
func (p *prefixSearch) end(problems ...error) {
	if p.found || !p.wantsPrefix(p.family) {
		return
	}
	c := p.Known.failPrefix(problems, p.interval, time.Now())
	fields := []zap.Field{zap.String("error", oneLine(errors.Join(problems...)))}
	if c.lasting > 0 {
		fields = append(fields, zap.Duration("for", c.lasting.Round(time.Second)))
	}
	log := p.Logger.Debug
	if c.warn && p.Families[p.family] {
		log = p.Logger.Warn // or else there is a line of the family
	}
	log("IPv6 prefix unknown; leaving the records of devices as they are", fields...)
}

// setPrefix notes the prefix. It returns what was known before, and the episode
// of failures that ends.
func (k *Known) setPrefix(n Network, now time.Time) (before Network, ended episode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, ended = k.prefix.Network, k.prefix.episode
	k.prefix.hit(now)
	k.prefix.episode = episode{}
	// While nothing changes, all who hold the prefixes share one slice.
	if !n.equal(before) {
		k.prefix.Network, k.prefix.Since = n, now
		k.families[ipaddr.V6].Network = n
	}
	return before, ended
}

// endFamily notes that all is found that was looked for of a family.
func (k *Known) endFamily(f ipaddr.Family, now time.Time) episode {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].end(now)
}

func (k *Known) failPrefix(problems []error, interval time.Duration, now time.Time) complaint {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.prefix.Known()
	lost := k.prefix.miss(known, interval, now)
	k.prefix.Failure, k.prefix.FailedAt = oneLine(errors.Join(problems...)), now
	return k.prefix.complain(newTrouble(problems), !known, !known, lost, now)
}
