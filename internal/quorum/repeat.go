package quorum

import (
	"net/netip"
	"strings"
)

// Repeats is how many checks in a row must end alike before an address is
// believed that too few confirm: the other voters may be gone for good.
const Repeats = 3

// Repeat counts checks in a row in which the same voters, and nobody else,
// gave the same address. The zero value has counted none.
type Repeat struct {
	addr   netip.Addr
	voters string
	times  int
}

// Times returns how many checks in a row have ended like that so far.
func (r *Repeat) Times(addr netip.Addr, voters []string) int {
	if r.addr != addr || r.voters != strings.Join(voters, " ") {
		return 0
	}
	return r.times
}

// Again counts a further check, and returns which one in the row it is.
func (r *Repeat) Again(addr netip.Addr, voters []string) int {
	*r = Repeat{addr, strings.Join(voters, " "), r.Times(addr, voters) + 1}
	return r.times
}
