package dynamicdns

import (
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/dnswhoami"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/file"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/fritzbox"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/natpmp"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/netinterface"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/simplehttp"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/static"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/upnp"
)

// The contract of IP sources, for modules that import this package alone.
type (
	// IPSource is what modules in the namespace `dynamic_dns.ip_sources`
	// implement.
	IPSource = ipsources.IPSource
	// IPSettings tells an IP source what is asked of it.
	IPSettings = ipsources.IPSettings
	// IPVersions selects address families.
	IPVersions = ipsources.IPVersions

	// Confirmer is implemented by IP sources that can tell who vouches for
	// an address.
	Confirmer = ipsources.Confirmer
	// Configured is implemented by IP sources whose addresses a person chose.
	Configured = ipsources.Configured
	// Explainer is implemented by IP sources that know why an address may
	// not be published.
	Explainer = ipsources.Explainer
	// Local is implemented by IP sources that ask nobody outside this machine.
	Local = ipsources.Local
	// Foreteller is implemented by IP sources that know, before they are
	// asked, from which ranges their addresses will be.
	Foreteller = ipsources.Foreteller
	// Notifier is implemented by IP sources that learn on their own that an
	// address may have changed.
	Notifier = ipsources.Notifier
	// Prefixer is implemented by IP sources that know this network's IPv6
	// prefix.
	Prefixer = ipsources.Prefixer

	// Voter is implemented by IP sources that ask services of others.
	Voter = ipsources.Voter
	// Vote is what one of these services said.
	Vote = ipsources.Vote

	// SoonError asks to be asked again soon.
	SoonError = ipsources.SoonError
	// NoFamilyError says that the machine lacks an address family.
	NoFamilyError = ipsources.NoFamilyError
	// DoubtError says that there is reason to doubt an address.
	DoubtError = ipsources.DoubtError
	// HoldError says that DNS should stay as it is.
	HoldError = ipsources.HoldError
	// UnsettledError says that too few services agree.
	UnsettledError = ipsources.UnsettledError
	// DetailedError has details that are no news.
	DetailedError = ipsources.DetailedError
)
