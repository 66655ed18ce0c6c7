// Package ledger keeps in Caddy's storage what clients have told of their
// hosts: one entry a name, stored before anything else is done with it. Several
// processes may share a storage; each takes over what the others have stored.
package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Record is what is desired of one family of a host. It is never changed.
type Record struct {
	// State is Unknown for a family of which no client has told anything.
	State plan.State
	// Addrs are sorted: what the RRset is to hold or, with None, what is to be
	// taken away from it.
	Addrs []netip.Addr
	// Earlier are what was desired before, where it may still be there because
	// DNS has not followed yet. They are sorted.
	Earlier []netip.Addr
	// Since is the version of the entry that has brought it.
	Since Version
}

// after returns the record that follows another, of which settled tells that
// DNS has followed it.
func (r Record) after(before Record, settled bool) Record {
	earlier := before.Addrs
	if !settled {
		earlier = slices.Concat(before.Addrs, before.Earlier)
	}
	if r.State == plan.None {
		return Record{State: plan.None, Addrs: some(slices.Concat(earlier, r.Addrs))}
	}
	return Record{State: r.State, Addrs: r.Addrs, Earlier: some(ipaddr.Without(earlier, r.Addrs))}
}

// some returns as many of the addresses as are remembered, the first ones.
func some(addrs []netip.Addr) []netip.Addr {
	var first []netip.Addr
	for _, addr := range addrs {
		if len(first) < maxEarlier && !slices.Contains(first, addr) {
			first = append(first, addr)
		}
	}
	return ipaddr.Sort(first)
}

// maxEarlier bounds what is remembered of what was published before.
const maxEarlier = 32

// Equal reports whether both desire the same.
func (r Record) Equal(other Record) bool {
	return r.State == other.State && (r.State != plan.Set || slices.Equal(r.Addrs, other.Addrs))
}

// Version orders the entries of a name, whatever the clocks of those who have
// written them say.
type Version struct {
	// Sequence is one more than that of the entry before.
	Sequence uint64 `json:"sequence"`
	// Writer names the process, and decides between two that did not know of
	// each other.
	Writer string `json:"writer"`
}

// Compare orders versions from old to new.
func (v Version) Compare(other Version) int {
	return cmp.Or(cmp.Compare(v.Sequence, other.Sequence), cmp.Compare(v.Writer, other.Writer))
}

// join returns the newer of two entries of a host or, where two processes that
// did not know of each other have each changed another family, one that follows
// both.
func (e *Entry) join(other *Entry, writer string) *Entry {
	newer, older := e, other
	if e.Compare(other.Version) < 0 {
		newer, older = other, e
	}
	joined := *newer
	for f, r := range older.Records {
		if r.Since.Compare(newer.Records[f].Since) > 0 {
			joined.Records[f], joined.Confirmed[f] = r, false
		}
	}
	if joined.Records[ipaddr.V4].Since == newer.Records[ipaddr.V4].Since && joined.Records[ipaddr.V6].Since == newer.Records[ipaddr.V6].Since {
		return newer
	}
	joined.Version = Version{newer.Sequence + 1, writer}
	return &joined
}

// Entry is what is on record of a host. It is never changed, for many may look
// at it.
type Entry struct {
	Version
	// Host is the full name in canonical form, without a trailing dot.
	Host    string
	Records [ipaddr.Families]Record
	// User is whose update it was, and Updated when.
	User    string
	Updated time.Time
	// Zone and Provider are where the host was when it was updated, or empty
	// where that was not known yet.
	Zone, Provider string
	// Confirmed is set for families of which another process has told that DNS
	// holds what is on record, as far as it knows.
	Confirmed [ipaddr.Families]bool
}

// stored is an entry as it is stored. It holds no secret.
type stored struct {
	Host string `json:"host"`
	Version
	User     string        `json:"user"`
	Updated  time.Time     `json:"updated"`
	Zone     string        `json:"zone,omitempty"`
	Provider string        `json:"provider,omitempty"`
	A        *storedRecord `json:"a,omitempty"`
	AAAA     *storedRecord `json:"aaaa,omitempty"`
}

type storedRecord struct {
	// Addresses are what is desired; null where none is.
	Addresses []netip.Addr `json:"addresses"`
	// Removed are what was published before and may still be there.
	Removed []netip.Addr `json:"removed,omitempty"`
	// Confirmed is set among what processes tell each other.
	Confirmed bool `json:"confirmed,omitempty"`
	// Since is left out where it is the version of the entry.
	Since *Version `json:"since,omitempty"`
}

// encode is how an entry is stored.
func (e *Entry) encode() ([]byte, error) { return e.encodeWith([ipaddr.Families]bool{}) }

func (e *Entry) encodeWith(confirmed [ipaddr.Families]bool) ([]byte, error) {
	s := stored{Host: e.Host, Version: e.Version, User: e.User, Updated: e.Updated, Zone: e.Zone, Provider: e.Provider}
	for f, to := range map[ipaddr.Family]**storedRecord{ipaddr.V4: &s.A, ipaddr.V6: &s.AAAA} {
		r := e.Records[f]
		var since *Version
		if r.Since != e.Version {
			since = &r.Since
		}
		switch r.State {
		case plan.Set:
			*to = &storedRecord{Addresses: r.Addrs, Removed: r.Earlier, Confirmed: confirmed[f], Since: since}
		case plan.None:
			*to = &storedRecord{Removed: r.Addrs, Confirmed: confirmed[f], Since: since}
		}
	}
	return json.Marshal(s)
}

// decode refuses what no entry of the host can be: what is in the storage may
// have been edited or cut off.
func decode(host string, data []byte) (*Entry, error) {
	var s stored
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&s); err != nil {
		return nil, err
	}
	if host != "" && s.Host != host {
		return nil, fmt.Errorf("this is an entry of %q", s.Host)
	}
	if s.Host == "" {
		return nil, fmt.Errorf("the entry names no host")
	}
	e := &Entry{Version: s.Version, Host: s.Host, User: s.User, Updated: s.Updated, Zone: s.Zone, Provider: s.Provider}
	for f, from := range map[ipaddr.Family]*storedRecord{ipaddr.V4: s.A, ipaddr.V6: s.AAAA} {
		if from == nil {
			continue
		}
		r := Record{State: plan.None, Addrs: from.Removed}
		if len(from.Addresses) > 0 {
			r = Record{State: plan.Set, Addrs: from.Addresses, Earlier: from.Removed}
		}
		for _, addr := range slices.Concat(r.Addrs, r.Earlier) {
			if !addr.IsValid() || ipaddr.FamilyOf(addr) != f || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is no address of type %s", addr, f.RRType())
			}
		}
		r.Addrs, r.Earlier, r.Since = ipaddr.Sort(r.Addrs), ipaddr.Sort(r.Earlier), s.Version
		if from.Since != nil && from.Since.Compare(s.Version) < 0 {
			r.Since = *from.Since
		}
		e.Records[f], e.Confirmed[f] = r, from.Confirmed
	}
	return e, nil
}

const (
	directory = "dynamic_dns/server"
	// hostsDirectory has one entry a host.
	hostsDirectory = directory + "/hosts"
	// changesKey tells which entries have changed of late.
	changesKey = directory + "/changes.json"
)

// key is where the entry of a host is. A wildcard's has a character that no
// name of a host has.
func key(host string) string {
	return hostsDirectory + "/" + certmagic.StorageKeys.Safe(strings.Replace(host, "*", "@", 1)) + ".json"
}
