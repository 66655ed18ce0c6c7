package ipaddr

import (
	"net/netip"
	"slices"
	"strings"
)

// Without returns the addresses of a that are not in b.
func Without(a, b []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, addr := range a {
		if !slices.Contains(b, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// Sort returns the addresses unmapped, sorted, and each once.
func Sort(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.Unmap()
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// List is a JSON array, and as text a list with spaces.
type List []netip.Addr

func (l List) String() string {
	if len(l) == 0 {
		return "none"
	}
	texts := make([]string, len(l))
	for i, addr := range l {
		texts[i] = addr.String()
	}
	return strings.Join(texts, " ")
}

// MarshalJSON implements json.Marshaler: an empty list is no null.
func (l List) MarshalJSON() ([]byte, error) {
	if len(l) == 0 {
		return []byte("[]"), nil
	}
	return []byte(`["` + strings.ReplaceAll(l.String(), " ", `","`) + `"]`), nil
}
