package dynamicdns

import (
	"context"
	"net/netip"
	"time"
)

// IPSource is what modules in the namespace `dynamic_dns.ip_sources`
// implement: a way to learn this machine's addresses.
type IPSource interface {
	// GetIPs returns this machine's addresses of the wanted families. Several
	// addresses of one family are published together. No address of a wanted
	// family means that the source does not know it, which is not an error
	// where the source cannot know (UPnP knows no IPv6 address); an error may
	// come together with addresses of the other family.
	//
	// The method must respect the context and may be called by several
	// goroutines, though not for the same families at once. Addresses that
	// may not be published need not be left out: they are refused with a
	// warning that names the source. To be asked again before the check
	// interval is over, return a [SoonError].
	GetIPs(ctx context.Context, settings IPSettings) ([]netip.Addr, error)
}

// Confirmer is implemented by IP sources that can tell who vouches for an
// address that they returned, such as the hosts of echo services.
type Confirmer interface {
	ConfirmedBy(addr netip.Addr) []string
}

// Configured is implemented by IP sources whose addresses a person chose. They
// may be of special-purpose ranges, such as private ones, without being listed
// in `include`.
type Configured interface {
	Configured()
}

// Explainer is implemented by IP sources that know what it means when an
// address that they returned may not be published. The explanation is logged.
type Explainer interface {
	ExplainRefusal(addr netip.Addr) string
}

// IPSettings tells an IP source what is wanted of it.
type IPSettings struct {
	// The families that are wanted: those that no source before it knew.
	IPVersions IPVersions

	// The addresses that were last accepted, of the wanted families. A source
	// that has a choice should stay with them while they remain valid, and a
	// source that can be deceived should be slow to give others.
	Known []netip.Addr

	// Accepts reports whether the address may be published. A source that
	// has a choice should choose among those that may.
	Accepts func(netip.Addr) bool
}

// IPVersions selects address families. A family that is not mentioned is
// enabled.
type IPVersions struct {
	// Whether A records are managed. Default: true.
	IPv4 *bool `json:"ipv4,omitempty"`
	// Whether AAAA records are managed. Default: true.
	IPv6 *bool `json:"ipv6,omitempty"`
}

// V4Enabled reports whether IPv4 addresses are wanted.
func (v *IPVersions) V4Enabled() bool { return v == nil || v.IPv4 == nil || *v.IPv4 }

// V6Enabled reports whether IPv6 addresses are wanted.
func (v *IPVersions) V6Enabled() bool { return v == nil || v.IPv6 == nil || *v.IPv6 }

// SoonError is an error of an IP source that wants to be asked again before
// the check interval is over.
type SoonError struct {
	// After how long to ask again.
	After time.Duration
	// What happened.
	Err error
}

func (e *SoonError) Error() string { return e.Err.Error() }

func (e *SoonError) Unwrap() error { return e.Err }

// NoFamilyError is an error of an IP source of a machine that does not have
// the wanted address family, such as one without a route for it. That is the
// normal state of many machines, so nobody is warned of it as long as the
// machine's addresses of the other family are known.
type NoFamilyError struct {
	// What is missing.
	Err error
}

func (e *NoFamilyError) Error() string { return e.Err.Error() }

func (e *NoFamilyError) Unwrap() error { return e.Err }
