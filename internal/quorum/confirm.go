package quorum

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// maxQuestions bounds how often Confirm asks.
const maxQuestions = 2 * Repeats

// ErrWavers says that a voter does not stay with an answer.
var ErrWavers = errors.New("it does not stay with an answer")

// Confirm asks a single voter, such as the router, for an address. One that is
// known is believed at once, and so is the first of its family. A newcomer must
// be confirmed twice, by two more answers in a row. An address that is not
// acceptable is returned as it is, since nobody acts on it; a nil accepts
// accepts any.
//
// On an error after a newcomer, the newcomer is not returned: what is known
// outranks it.
func Confirm(known []netip.Addr, accepts func(netip.Addr) bool, ask func() (netip.Addr, error)) (netip.Addr, error) {
	var said Repeat
	for range maxQuestions {
		addr, err := ask()
		if err != nil {
			return netip.Addr{}, err
		}
		first := !slices.ContainsFunc(known, func(k netip.Addr) bool { return k.Is4() == addr.Is4() })
		refused := accepts != nil && !accepts(addr)
		if first || refused || slices.Contains(known, addr) || said.Again(addr, nil) == Repeats {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: the last of %d was %s", ErrWavers, maxQuestions, said.addr)
}
