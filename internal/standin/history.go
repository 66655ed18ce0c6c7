package standin

import (
	"slices"

	"github.com/libdns/libdns"
)

// Calls returns the calls so far, in the order in which they began.
func (z *Zones) Calls() []Call {
	z.mu.Lock()
	defer z.mu.Unlock()
	var calls []Call
	for _, c := range z.calls {
		calls = append(calls, *c)
	}
	return calls
}

// Count returns the number of calls of a method so far, for a zone or, if it
// is empty, for all; without a method, that of all calls.
func (z *Zones) Count(method, zoneName string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := 0
	for _, c := range z.calls {
		if (method == "" || c.Method == method) && (zoneName == "" || c.Zone == zoneName) {
			n++
		}
	}
	return n
}

// Forget empties the list of calls, the log of changes and the overlaps, and
// numbers calls from 1 again. Zones stay as they are.
func (z *Zones) Forget() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.calls, z.changes, z.overlaps = nil, nil, nil
	clear(z.counts)
}

// Changes returns what changed, by calls and by hand, in order.
func (z *Zones) Changes() []Change {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.changes)
}

// Overlaps returns the writes that overlapped.
func (z *Zones) Overlaps() []Overlap {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.overlaps)
}

// Emptied returns the RRsets of addresses that some call left, be it for a
// moment, without a record where there had been one.
func (z *Zones) Emptied(zoneName string) []Key {
	z.mu.Lock()
	defer z.mu.Unlock()
	counts := make(map[Key]int)
	emptied := make(map[Key]bool)
	if zn := z.zones[zoneName]; zn != nil {
		for _, rr := range zn.records {
			counts[Key{rr.Name, rr.Type}]++
		}
	}
	for _, c := range slices.Backward(z.changes) {
		if c.Zone != zoneName {
			continue
		}
		for _, rr := range c.Removed {
			key := Key{rr.Name, rr.Type}
			if c.Method != "" && isAddress(rr.Type) && counts[key] == 0 {
				emptied[key] = true
			}
		}
		for _, rr := range c.Added {
			counts[Key{rr.Name, rr.Type}]--
		}
		for _, rr := range c.Removed {
			counts[Key{rr.Name, rr.Type}]++
		}
	}
	return sortedKeys(emptied)
}

// Touched returns the RRsets that calls changed.
func (z *Zones) Touched(zoneName string) []Key {
	touched := make(map[Key]bool)
	for _, c := range z.Changes() {
		if c.Zone != zoneName || c.Method == "" {
			continue
		}
		for _, rr := range slices.Concat(c.Removed, c.Added) {
			touched[Key{rr.Name, rr.Type}] = true
		}
	}
	return sortedKeys(touched)
}

func sortedKeys(set map[Key]bool) []Key {
	var keys []Key
	for k := range set {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return compareRR(libdns.RR{Name: a.Name, Type: a.Type}, libdns.RR{Name: b.Name, Type: b.Type})
	})
	return keys
}
