// Package ipsources is the contract between the dynamic_dns app and the modules
// that learn this machine's addresses. The modules of this repository are in
// the packages below it.
package ipsources

import (
	"context"
	"net/netip"
)

// IPSource is implemented by modules in the namespace `dynamic_dns.ip_sources`.
//
// A source may also implement [Confirmer], [Configured], [Explainer], [Foreteller], [Local],
// [Notifier], [Prefixer] and [Voter].
type IPSource interface {
	// GetIPs returns this machine's addresses of the families that are asked
	// for. Several addresses of one family are published together. An
	// IPv4-mapped one counts as the IPv4 address that is in it.
	//
	// A source that cannot know a family returns no address and no error, as
	// UPnP does for IPv6. Addresses and an error may come together, each about
	// another family. Addresses that may not be published need not be left
	// out: the app refuses them and logs which source they came from.
	//
	// GetIPs must return when ctx ends. It may be called by several
	// goroutines, but never by two for the same family.
	//
	// A source logs no failures. It returns them, and the app decides what is
	// worth a line: see [SoonError], [NoFamilyError], [DoubtError],
	// [HoldError], [UnsettledError] and [DetailedError] for what an error can
	// say about itself.
	GetIPs(ctx context.Context, settings IPSettings) ([]netip.Addr, error)
}

// Confirmer is implemented by sources that can tell who vouches for an address
// that they returned, such as the hosts of echo services.
type Confirmer interface {
	ConfirmedBy(addr netip.Addr) []string
}

// Configured is implemented by sources whose addresses a person chose. These
// may be special-purpose ones, such as private addresses, without `include`.
type Configured interface {
	Configured()
}

// Explainer is implemented by sources that know what it means when an address
// that they returned may not be published. The app logs the explanation.
type Explainer interface {
	ExplainRefusal(addr netip.Addr) string
}

// Foreteller is implemented by sources that know, before they are asked, from
// which ranges their addresses will be. If none of these may be published, the
// app says so when it is loaded.
type Foreteller interface {
	// Foretell returns the ranges, which may be single addresses, or nil if
	// they are not known. It is called when the configuration is loaded, and
	// looks at nothing beyond this machine.
	Foretell() []netip.Prefix
}

// Local is implemented by sources that ask nobody outside this network, such as
// one that reads this machine's interfaces or asks its router. These are asked
// whenever something happens here. Others are asked at most 12 times a minute for each family, or once per
// `check_interval` where that is shorter.
type Local interface {
	Local()
}

// Notifier is implemented by sources that learn on their own that an address
// may have changed, such as from a router's announcement.
type Notifier interface {
	// Notify calls changed each time, until ctx ends, and then returns. All
	// sources of the app are asked thereupon; what a notice says is not
	// published. changed may be called from any goroutine, as often as
	// notices come, and returns at once: the app decides how often to ask.
	//
	// It is called once per configuration, unless `watch` is off, and must
	// leave nothing behind when it returns.
	Notify(ctx context.Context, changed func())
}

// Prefixer is implemented by sources that know the IPv6 prefix of this network,
// such as one that asks the router to which it is delegated. The addresses of
// other machines are derived from it. For a source that is no Prefixer, the
// prefix is the first `prefix_length` bits of the address that it found.
type Prefixer interface {
	// Prefix returns the prefix, masked, or the zero Prefix and no error if
	// the source does not know it. Errors are as those of GetIPs. Among what
	// is known is the first address of the prefix that was known before.
	Prefix(ctx context.Context, settings IPSettings) (netip.Prefix, error)
}

// Voter is implemented by sources that ask services of others which address they
// see, and believe a new one only when several operators agree. The sources of a
// list vote together: see [IPSettings.Votes].
type Voter interface {
	// Operators returns who runs the services that it can ask over IPv6, or
	// else over IPv4.
	Operators(v6 bool) []string

	// VoteWith is called once, when the sources of a list have been loaded, with
	// what returns the operators of all the others. An error refuses the
	// configuration.
	VoteWith(others func(v6 bool) []string) error
}

// Vote is what one service said.
type Vote struct {
	// The address.
	Addr netip.Addr
	// The service, such as the name of its host.
	Voter string
	// Who runs it, such as the registrable domain of its host. Services of one
	// operator count once.
	Operator string
}

// IPSettings tells a source what is asked of it.
type IPSettings struct {
	// The families that are asked for: those that no source before this one
	// knew.
	IPVersions

	// The addresses that are known of these families. A source that has a
	// choice should stay with them while they are valid, and one that can be
	// deceived should be slow to return others.
	Known []netip.Addr

	// Accepts reports whether the address may be published. A source that
	// has a choice should choose among those that may. It may be nil, which
	// accepts any address.
	Accepts func(netip.Addr) bool

	// What services said that sources before this one asked, too few of whom
	// agree. A [Voter] counts them with those that it asks itself.
	Votes []Vote
}

// Contains reports whether the address may be published, as Accepts does.
func (s IPSettings) Contains(addr netip.Addr) bool { return s.Accepts == nil || s.Accepts(addr) }

// IPVersions selects address families. A family that is not mentioned is
// enabled.
type IPVersions struct {
	// Whether A records are managed. Default: true.
	IPv4 *bool `json:"ipv4,omitempty"`
	// Whether AAAA records are managed. Default: true.
	IPv6 *bool `json:"ipv6,omitempty"`
}

// V4Enabled reports whether IPv4 addresses are asked for. A nil v asks for
// both families.
func (v *IPVersions) V4Enabled() bool { return v == nil || v.IPv4 == nil || *v.IPv4 }

// V6Enabled reports whether IPv6 addresses are asked for. A nil v asks for
// both families.
func (v *IPVersions) V6Enabled() bool { return v == nil || v.IPv6 == nil || *v.IPv6 }
