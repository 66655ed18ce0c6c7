package probe

import (
	"net/netip"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
)

// far are addresses that only a default route leads to: those of
// a.root-servers.net. Nothing is sent there.
var far = [ipaddr.Families]netip.Addr{
	ipaddr.V4: netip.MustParseAddr("198.41.0.4"),
	ipaddr.V6: netip.MustParseAddr("2001:503:ba3e::2:30"),
}

// Path asks the system how it reaches the internet.
func Path(f ipaddr.Family) (p doctor.Path) {
	var err error
	if p.Interface, err = netmon.DefaultRoute(f); err != nil {
		p.Err = err.Error()
		return p
	}
	if p.Interface == "" {
		return p
	}
	if p.Gateway, err = netmon.Gateway(f); err != nil {
		p.Gateway = netip.Addr{}
	}
	if p.Local, err = netmon.LocalTo(far[f]); err != nil {
		p.Err = err.Error()
		return p
	}
	addrs, err := netmon.Addrs(p.Interface)
	if err != nil {
		p.Err = err.Error()
	}
	for _, a := range addrs {
		if ipaddr.FamilyOf(a.Addr) != f {
			continue
		}
		refused := ipaddr.SpecialPurpose(a.Addr)
		if refused == "" {
			refused = a.Defect()
		}
		p.Addrs = append(p.Addrs, doctor.Addr{Addr: a.Addr, Refused: refused})
	}
	return p
}
