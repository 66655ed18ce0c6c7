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
