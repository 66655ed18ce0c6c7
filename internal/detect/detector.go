// Package detect learns this machine's addresses from IP sources: what they say,
// which of it may be published, when to ask, and what is worth a line in the
// log. It knows no DNS provider and no configuration.
package detect

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// Result is what came of one question to one source.
type Result string

// The results.
const (
	ResultOK      Result = "ok"
	ResultNone    Result = "none"    // the source knows no address
	ResultRefused Result = "refused" // its address may not be published
	ResultError   Result = "error"
)

// Observer learns what happens. Its methods must return at once.
type Observer interface {
	// Checked is called after each question to a source.
	Checked(source string, f ipaddr.Family, result Result)
	// AddressChanged is called when a family's addresses differ from those
	// that were known before.
	AddressChanged(f ipaddr.Family, from, to []netip.Addr, source string)
	// AddressLost is called when a family that was known has not been found in
	// several checks in a row. The addresses are those known before.
	AddressLost(f ipaddr.Family, addrs []netip.Addr, err string)
	// AddressFound is called when it is found again.
	AddressFound(f ipaddr.Family, addrs []netip.Addr, source string, after time.Duration)
}

// Detector learns the addresses for all who share its sources, families and
// filter.
type Detector struct {
	// Sources are asked in order until one has an acceptable address, or says
	// that nothing should change.
	Sources []*Source
	// Families are those of which addresses are to be found.
	Families [ipaddr.Families]bool
	// Prefix is set if the IPv6 prefix that this machine shares with others is
	// to be found, for their addresses.
	Prefix bool
	Filter *ipaddr.Filter
	// Known is what this detector and its predecessors found.
	Known    *Known
	Observer Observer
	Logger   *zap.Logger

	// interval is how often the sources are asked.
	interval time.Duration
}

// Enabled reports whether there is something to find of the family.
func (d *Detector) Enabled(f ipaddr.Family) bool { return d.Families[f] || d.wantsPrefix(f) }

// wantsPrefix reports whether the prefix is to be found with the addresses of
// the family.
func (d *Detector) wantsPrefix(f ipaddr.Family) bool { return d.Prefix && f == ipaddr.V6 }

// acceptable returns the addresses that may be published. The others are logged
// once, and then not again while they keep coming.
func (d *Detector) acceptable(src *Source, f ipaddr.Family, addrs []netip.Addr, refused map[string]bool) []netip.Addr {
	var good []netip.Addr
	for _, addr := range addrs {
		reason := d.Filter.Refuse(addr, src.configured)
		if reason == "" {
			good = append(good, addr)
			continue
		}
		key := src.Name + " " + addr.String()
		if refused[key] {
			continue
		}
		refused[key] = true
		if d.Known.wasRefused(f, key) {
			continue
		}
		fields := []zap.Field{
			zap.String("source", src.Name),
			zap.Stringer("address", addr),
			zap.String("reason", reason),
		}
		if e, ok := src.IPSource.(ipsources.Explainer); ok {
			fields = append(fields, zap.String("hint", aside(src, d.Logger, func() string { return e.ExplainRefusal(addr) })))
		}
		d.Logger.Warn("not publishing an address", fields...)
	}
	return ipaddr.Sort(good)
}

// foundAgain tells the observer if the episode that ended was one of loss.
func (d *Detector) foundAgain(f ipaddr.Family, ended episode, addrs []netip.Addr, source string) {
	if ended.lost && d.Observer != nil {
		d.Observer.AddressFound(f, addrs, source, ended.lasted)
	}
}
