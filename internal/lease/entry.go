// Package lease decides, from what several Caddys say of themselves in a
// storage that they share, who of them is alive, who writes which zone, and
// which addresses each name holds. It is pure: times are arguments, and what
// is to be stored is returned.
package lease

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const (
	// MinLease and MaxLease bound what an entry may ask for.
	MinLease = 5 * time.Second
	MaxLease = 10 * time.Minute

	// maxEntry bounds an entry, which is read from a storage that others may
	// write to.
	maxEntry = 4 << 20
)

// ZoneID names a zone at a provider module. Instances that use the same share
// the names that both manage, whatever the provider's credentials.
type ZoneID struct {
	// Zone is the zone's FQDN in canonical form.
	Zone string `json:"zone"`
	// Provider is the name of the provider's module.
	Provider string `json:"provider"`
}

// Entry is what an instance says of itself.
type Entry struct {
	// Name is that of the instance, Process a word of this run of it: two
	// processes of one name are a mistake that both must notice.
	Name    string `json:"name"`
	Process string `json:"process"`
	// Host is the machine's name, for people.
	Host string `json:"host,omitempty"`
	// Lease is after how many seconds without a new Seq the instance is gone.
	Lease float64 `json:"lease"`
	// Seq grows each time that the entry is stored. No time in it means
	// anything to others.
	Seq uint64 `json:"seq"`
	// Left is set at the end of an instance that was stopped.
	Left bool `json:"left,omitempty"`
	// Sets are what it would publish.
	Sets []Set `json:"sets,omitempty"`
	// Writes are the zones that it writes.
	Writes []Writing `json:"writes,omitempty"`
	// Refused are the zones that the provider does not let it write.
	Refused []ZoneID `json:"refused,omitempty"`
}

// Set are names of one zone that hold the same addresses of one instance.
type Set struct {
	ZoneID
	Names []string `json:"names"`
	// TTL is in seconds.
	TTL        float64 `json:"ttl,omitempty"`
	UpdateOnly bool    `json:"update_only,omitempty"`
	// Withdraw has the addresses taken away once nobody has the names any more.
	Withdraw bool `json:"withdraw,omitempty"`
	// Clients is set for a zone in which clients of the DDNS server have hosts,
	// without any names: these are nobody's own.
	Clients bool `json:"clients,omitempty"`
	// Found are the addresses by family. Families that are not managed are
	// nil.
	Found [ipaddr.Families]*Found `json:"found"`
}

// Found are the addresses of one family that an instance has found.
type Found struct {
	Addrs  []netip.Addr `json:"addresses,omitempty"`
	Source string       `json:"source,omitempty"`
	// Lost is set where they have not been found for a lease.
	Lost bool `json:"lost,omitempty"`
}

// Writing is a zone that an instance writes.
type Writing struct {
	ZoneID
	// InSync is how it is doing, as far as the instance can tell.
	InSync *bool `json:"in_sync,omitempty"`
	// First are the RRsets by the instance whose addresses they hold, where
	// only one does.
	First map[string][]string `json:"first,omitempty"`
}

// Decode reads an entry, of which nothing is believed that would do harm.
func Decode(data []byte) (Entry, error) {
	var e Entry
	if len(data) > maxEntry {
		return e, fmt.Errorf("%d bytes are more than an entry has", len(data))
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, err
	}
	if e.Name == "" || e.Process == "" {
		return e, fmt.Errorf("the entry names no instance")
	}
	for i := range e.Sets {
		for f, found := range e.Sets[i].Found {
			if found == nil {
				continue
			}
			found.Addrs = ipaddr.Sort(slices.DeleteFunc(found.Addrs, func(addr netip.Addr) bool {
				return !addr.IsValid() || addr.Zone() != "" || ipaddr.FamilyOf(addr.Unmap()) != ipaddr.Family(f)
			}))
		}
	}
	return e, nil
}

// Encode is how an entry is stored.
func (e *Entry) Encode() ([]byte, error) { return json.Marshal(e) }

// lease is how long the entry is good for.
func (e *Entry) lease() time.Duration {
	return min(max(time.Duration(e.Lease*float64(time.Second)), MinLease), MaxLease)
}

func (e *Entry) writing(id ZoneID) *Writing {
	for i := range e.Writes {
		if e.Writes[i].ZoneID == id {
			return &e.Writes[i]
		}
	}
	return nil
}

func (e *Entry) manages(id ZoneID) bool {
	return slices.ContainsFunc(e.Sets, func(s Set) bool { return s.ZoneID == id })
}

// rrsets are those of a zone that the entry is about.
func (e *Entry) rrsets(id ZoneID) iter.Seq2[plan.Key, *Set] {
	return func(yield func(plan.Key, *Set) bool) {
		for i := range e.Sets {
			s := &e.Sets[i]
			for f := ipaddr.V4; f < ipaddr.Families && s.ZoneID == id; f++ {
				for _, name := range s.Names {
					if s.Found[f] != nil && !yield(plan.Key{Name: name, Family: f}, s) {
						return
					}
				}
			}
		}
	}
}

// serves reports whether clients have hosts in the zone.
func (e *Entry) serves(id ZoneID) bool {
	return slices.ContainsFunc(e.Sets, func(s Set) bool { return s.ZoneID == id && s.Clients })
}
