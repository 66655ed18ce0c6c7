package status

import (
	"net/netip"
	"strings"
)

// Addresses is a JSON array, also if there is none, and as text a list with
// spaces.
type Addresses []netip.Addr

func (a Addresses) String() string {
	if len(a) == 0 {
		return "none"
	}
	texts := make([]string, len(a))
	for i, addr := range a {
		texts[i] = addr.String()
	}
	return strings.Join(texts, " ")
}

// MarshalJSON implements json.Marshaler.
func (a Addresses) MarshalJSON() ([]byte, error) {
	if len(a) == 0 {
		return []byte("[]"), nil
	}
	return []byte(`["` + strings.ReplaceAll(a.String(), " ", `","`) + `"]`), nil
}
