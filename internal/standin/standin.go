// Package standin is a DNS provider for tests: zones in memory, written and
// read through the libdns interfaces by rules that can be as strict as the
// libdns contract or as sloppy as any real provider. See [Character].
//
//	z := standin.New(standin.Character{Set: standin.SetAppends}, "example.com.")
//	z.Put("example.com.", libdns.RR{Name: "www", Type: "A", Data: "192.0.2.1", TTL: time.Hour})
//	provider := z.Provider()                       // only the libdns interfaces that the character has
//	name := z.Register()                           // or as the Caddy module dns.providers.<name>
//	z.Fail(func(c standin.Call) standin.Fault {…}) // what goes wrong, call by call
//	z.Values("example.com.", "www", "A")           // what the zone really holds
//	z.Emptied("example.com.")                      // RRsets that a call left without a record
//
// It needs no socket and no clock of its own, so that it works inside
// testing/synctest, and may be used by several goroutines.
package standin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libdns/libdns"
)

// Zones is a provider's account with its zones.
type Zones struct {
	character Character

	mu       sync.Mutex
	zones    map[string]*zone
	calls    []*Call
	counts   map[string]int
	changes  []Change
	overlaps []Overlap
	fail     func(Call) Fault
}

type zone struct {
	records []libdns.RR
	// Newest last; kept only where reads lag.
	versions []version
	writing  map[*Call]bool
}

type version struct {
	at      time.Time
	records []libdns.RR
}

// Key names an RRset within a zone.
type Key struct{ Name, Type string }

// New returns an account with empty zones of these names, which are FQDNs
// with a trailing dot.
func New(character Character, zones ...string) *Zones {
	z := &Zones{
		character: character,
		zones:     make(map[string]*zone),
		counts:    make(map[string]int),
		fail:      character.Fault,
	}
	for _, name := range zones {
		z.zones[name] = newZone()
	}
	return z
}

func newZone() *zone {
	return &zone{writing: make(map[*Call]bool), versions: []version{{at: time.Now()}}}
}

// Put adds records to a zone as the provider's own web page would, without a
// call and without a check, so that duplicates, records that cannot be parsed
// and records of type ALIAS can be there. It adds the zone if need be. Names
// are relative, and "@" for the zone itself.
//
// An ALIAS is what Route 53 calls an alias record: it is invisible when read,
// and a write of addresses to its name is refused.
func (z *Zones) Put(zoneName string, records ...libdns.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	zn := z.zones[zoneName]
	if zn == nil {
		zn = newZone()
		z.zones[zoneName] = zn
	}
	z.commit(zoneName, zn, append(slices.Clone(zn.records), records...), nil)
}

// Drop removes an RRset as the provider's own web page would, without a call.
func (z *Zones) Drop(zoneName, name, typ string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if zn := z.zones[zoneName]; zn != nil {
		z.commit(zoneName, zn, slices.DeleteFunc(slices.Clone(zn.records), isRRset(name, typ)), nil)
	}
}

// RemoveZone removes a zone with all that it holds, as the provider's own web
// page would, without a call.
func (z *Zones) RemoveZone(zoneName string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.zones, zoneName)
}

// RRset returns the records of a name and type that the zone holds now, by
// their data. Reading it is no call.
func (z *Zones) RRset(zoneName, name, typ string) []libdns.RR {
	var set []libdns.RR
	for _, rr := range z.Snapshot(zoneName) {
		if isRRset(name, typ)(rr) {
			set = append(set, rr)
		}
	}
	return set
}

// Values returns the data of the records of [Zones.RRset].
func (z *Zones) Values(zoneName, name, typ string) []string {
	var values []string
	for _, rr := range z.RRset(zoneName, name, typ) {
		values = append(values, rr.Data)
	}
	return values
}

// Snapshot returns all that the zone holds now, by name, type and data.
// Reading it is no call.
func (z *Zones) Snapshot(zoneName string) []libdns.RR {
	z.mu.Lock()
	defer z.mu.Unlock()
	zn := z.zones[zoneName]
	if zn == nil {
		return nil
	}
	records := slices.Clone(zn.records)
	slices.SortStableFunc(records, compareRR)
	return records
}

// commit makes the records the zone's content and notes what changed; call is
// nil for a change by hand.
func (z *Zones) commit(zoneName string, zn *zone, records []libdns.RR, call *Call) Change {
	now := time.Now()
	change := Change{At: now, Zone: zoneName, Removed: without(zn.records, records), Added: without(records, zn.records)}
	if call != nil {
		change.Method = call.Method
	}
	zn.records = records
	if len(change.Removed)+len(change.Added) == 0 {
		return change
	}
	z.changes = append(z.changes, change)
	if z.character.ReadsLag > 0 {
		zn.versions = append(zn.versions, version{at: now, records: records})
	}
	return change
}

// visible is what a read shows now.
func (zn *zone) visible(lag time.Duration) []libdns.RR {
	if lag <= 0 {
		return zn.records
	}
	then := time.Now().Add(-lag)
	for _, v := range slices.Backward(zn.versions) {
		if !v.at.After(then) {
			return v.records
		}
	}
	return zn.versions[0].records
}

// check refuses input that the libdns contract does not allow.
func check(records []libdns.Record) ([]libdns.RR, error) {
	var rrs []libdns.RR
	for _, record := range records {
		rr := record.RR()
		if rr.Name == "" || strings.HasSuffix(rr.Name, ".") || rr.Name != strings.ToLower(rr.Name) {
			return nil, fmt.Errorf("record name %q is not relative to the zone and in lower case", rr.Name)
		}
		if rr.Type == "A" || rr.Type == "AAAA" {
			addr, err := netip.ParseAddr(rr.Data)
			if err != nil && rr.Data != "" {
				return nil, fmt.Errorf("%s %s: %w", rr.Name, rr.Type, err)
			}
			if err == nil && addr.Is4() != (rr.Type == "A") {
				return nil, fmt.Errorf("%s %s: %s is of the other family", rr.Name, rr.Type, addr)
			}
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}

func isRRset(name, typ string) func(libdns.RR) bool {
	return func(rr libdns.RR) bool { return rr.Name == name && rr.Type == typ }
}

func isAddress(typ string) bool { return typ == "A" || typ == "AAAA" }

// without returns the records of a that b lacks, counting duplicates.
func without(a, b []libdns.RR) []libdns.RR {
	have := make(map[libdns.RR]int)
	for _, rr := range b {
		have[rr]++
	}
	var rest []libdns.RR
	for _, rr := range a {
		if have[rr]--; have[rr] < 0 {
			rest = append(rest, rr)
		}
	}
	return rest
}

func compareRR(a, b libdns.RR) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.Data, b.Data), cmp.Compare(a.TTL, b.TTL))
}
