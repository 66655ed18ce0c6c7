package netmon

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Gateway returns the router that the family's default route leads through, or
// the zero Addr if there is none. A link-local address has its zone.
func Gateway(f ipaddr.Family) (netip.Addr, error) {
	af := uint16(windows.AF_INET)
	if f == ipaddr.V6 {
		af = windows.AF_INET6
	}
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(af, &table); err != nil {
		return netip.Addr{}, err
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	var (
		gateway netip.Addr
		metric  uint32
	)
	for _, r := range table.Rows() {
		hop := fromRow(r)
		if r.DestinationPrefix.PrefixLength != 0 || !hop.IsValid() || hop.IsUnspecified() {
			continue
		}
		if !gateway.IsValid() || r.Metric < metric {
			gateway, metric = hop, r.Metric
		}
	}
	return gateway, nil
}

// fromRow returns the next hop of a route. Its Data is what follows the port
// in a sockaddr_in or sockaddr_in6.
func fromRow(r windows.MibIpForwardRow2) netip.Addr {
	var data []byte
	for _, word := range r.NextHop.Data {
		data = binary.NativeEndian.AppendUint32(data, word)
	}
	switch r.NextHop.Family {
	case windows.AF_INET:
		return netip.AddrFrom4([4]byte(data[:4]))
	case windows.AF_INET6:
		addr := netip.AddrFrom16([16]byte(data[4:20]))
		if iface, err := net.InterfaceByIndex(int(r.InterfaceIndex)); err == nil && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(iface.Name)
		}
		return addr
	}
	return netip.Addr{}
}
