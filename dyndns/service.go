package dyndns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// errServedNoLonger is the reason where nobody serves a host any more, and
// errNotYet where its zone was not looked for yet.
var (
	errServedNoLonger = errors.New("the host is served no longer")
	errNotYet         = errors.New("its zone is not known yet")
)

// keptZone is a zone at a provider in which clients have hosts.
type keptZone struct {
	name    string
	zone    *zone.Zone
	backend *zone.Backend
	holder  *zone.Holder
	// id is what instances that share the zone call it, and member is this
	// one's part among them, or nil.
	id     lease.ZoneID
	member *cluster.Member
	// released is set once the zone may end.
	released bool
}

// service is where the hosts of one handler are.
type service struct {
	// names are those of the zones.
	names []string
	zones map[string]*keptZone
	ttl   time.Duration
	// withdraw is set where hosts without a user are taken away.
	withdraw bool
	// provider is where the zones are, and key is that of its configuration.
	provider *provider.Provider
	key      string
	// keptAt returns a zone that is kept, or nil.
	keptAt func(zone.Key) *keptZone
	// search looks for the zones of hosts that are in none of those, unless the
	// zones are written.
	search *finder.Search
}

// locate returns the zone of a host, if that is known, and the host's name in it.
func (s *service) locate(host string) (*keptZone, string) {
	if z, name, ok := dnsname.Match(host, s.names); ok {
		return s.zones[z], name
	}
	if s.search == nil {
		return nil, ""
	}
	found := s.answer(host).Zone
	return s.keptAt(s.keyOf(found)), dnsname.Relative(host, found)
}

// knows reports whether the zone of a host is known, be it kept or not.
func (s *service) knows(host string) bool {
	_, _, ok := dnsname.Match(host, s.names)
	return ok || s.search != nil && s.answer(host).Zone != ""
}

func (s *service) keyOf(name string) zone.Key {
	return zone.Key{Config: s.key, Module: s.provider.Name, Zone: name}
}

// need has the zone of a host be looked for, if it is in none that is written.
func (s *service) need(host string) {
	if _, _, ok := dnsname.Match(host, s.names); ok || s.search == nil {
		return
	}
	if hosts := &s.search.Hosts; !slices.Contains(hosts.Needed, host) {
		hosts.Needed = append(hosts.Needed, host)
	}
}

// answer returns what is known of the zone of a host that is in no zone that is
// written. Where any label below a name will do, it is that of the name.
func (s *service) answer(host string) finder.Answer {
	answer := s.search.Known.Answer(host)
	if answer.Zone != "" {
		return answer
	}
	_, parent, _ := strings.Cut(host, ".")
	if below := s.search.Known.Answer("*." + parent); below.Zone != "" || answer.Err == nil {
		return below
	}
	return answer
}

// serves refuses a host that is in none of the zones, or served otherwise by
// another handler.
func (s *service) serves(host, shown string, before *service) error {
	z, _ := s.locate(host)
	if s.search != nil {
		s.need(shown)
	} else if z == nil {
		return fmt.Errorf("the host %q is in none of the zones %s; add its zone, or correct the name", shown, displays(s.names))
	}
	if before == nil {
		return nil
	}
	there, _ := before.locate(host)
	found := z == nil && before.search != nil && before.key == s.key
	if there != z || z == nil && !found || before.ttl != s.ttl {
		return fmt.Errorf("the host %q is served by two dyndns handlers with different providers, zones or TTLs; have them agree", shown)
	}
	return nil
}

func displays(zones []string) string {
	shown := make([]string, len(zones))
	for i, z := range zones {
		shown[i] = dnsname.Display(z)
	}
	return strings.Join(shown, ", ")
}

// status is how the zone is doing as far as this instance keeps it.
func (z *keptZone) status(now time.Time) status.ZoneStatus {
	known := z.zone.Snapshot()
	records := []status.RecordStatus{}
	for i := range known.Records {
		if r := &known.Records[i]; r.Desired.Class == plan.Client {
			records = append(records, show.Record(r))
		}
	}
	return show.Zone(z.name, z.backend.Provider, known, records, now)
}

// report says how the zone is doing that this instance writes for all, and for
// how long its provider has refused it.
func (z *keptZone) report() (inSync *bool, refusedFor time.Duration) {
	now := time.Now()
	known := z.zone.Snapshot()
	return z.status(now).InSync, known.FailingFor(now)
}
