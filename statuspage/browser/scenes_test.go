package browser

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// scene is what the apps answer.
type scene struct {
	status *status.Status
	server *report.Status
}

// scenes are those in which the page is looked at.
var scenes = map[string]func() scene{
	"empty":   empty,
	"well":    well,
	"busy":    busy,
	"failing": failing,
	"many":    many,
}

func ago(d time.Duration) time.Time { return time.Now().UTC().Truncate(time.Second).Add(-d) }

func addrs(texts ...string) (all status.Addresses) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

const day = 24 * time.Hour

func empty() scene {
	return scene{status: &status.Status{
		Time: ago(0), InSync: new(true), CheckInterval: 300, VerifyInterval: 3600,
		Groups: []status.GroupStatus{}, Zones: []status.ZoneStatus{},
	}}
}

const (
	v4, v4Before = "203.0.113.7", "198.51.100.23"
	v6, v6Before = "2001:db8:4f2a:1200:5054:ff:fe12:3456", "2001:db8:71c3:8e00:5054:ff:fe12:3456"
)

func record(name, typ string, addresses ...string) status.RecordStatus {
	return status.RecordStatus{
		Name: name, Type: typ, State: status.StateInSync, InSync: new(true), TTL: 300, LastChanged: ago(2*day + 3*time.Hour),
		Desired: addrs(addresses...), Observed: addrs(addresses...),
	}
}

func well() scene {
	nas := record("nas", "AAAA", "2001:db8:4f2a:1200:21b:21ff:fe3c:4d5e")
	nas.HostIDs = []string{"::21b:21ff:fe3c:4d5e"}
	printer := record("printer", "AAAA", "2001:db8:4f2a:1200:21b:21ff:fe3c:4d5f")
	printer.HostIDs = []string{"00:1b:21:3c:4d:5f"}
	change := func(name, typ, from, to string) status.Change {
		return status.Change{Name: name, Type: typ, From: addrs(from), To: addrs(to), TTL: 300, Source: "fritzbox"}
	}
	s := &status.Status{
		Time: ago(0), InSync: new(true), NextCheck: ago(-3 * time.Minute), CheckInterval: 300, VerifyInterval: 3600,
		Groups: []status.GroupStatus{{Name: "default", Provider: "cloudflare", Families: []status.FamilyStatus{
			{Family: "ipv4", Addresses: addrs(v4), Source: "fritzbox", LastCheck: ago(2 * time.Minute), Since: ago(2*day + 3*time.Hour), FoundSince: ago(20 * day)},
			{Family: "ipv6", Addresses: addrs(v6), Source: "interface", LastCheck: ago(2 * time.Minute), Since: ago(2*day + 3*time.Hour), FoundSince: ago(20 * day), ConfirmedBy: []string{"cloudflare.com", "icanhazip.com"}},
			{Family: status.FamilyPrefix, Prefixes: []string{"2001:db8:4f2a:1200::/64"}, Source: "fritzbox", LastCheck: ago(2 * time.Minute), Since: ago(2*day + 3*time.Hour), FoundSince: ago(20 * day)},
		}}},
		Zones: []status.ZoneStatus{
			{
				Zone: "example.com", Provider: "cloudflare", State: status.StateInSync, InSync: new(true), Readable: true,
				LastVerified: ago(12 * time.Minute), LastInSync: ago(0), NextAttempt: ago(-44 * time.Minute),
				Records: []status.RecordStatus{record("@", "A", v4), record("@", "AAAA", v6), record("www", "A", v4), record("www", "AAAA", v6), nas, printer},
			},
			{
				Zone: "dyn.example.com", Provider: "nameserver", State: status.StateInSync, InSync: new(true), Readable: true,
				LastVerified: ago(31 * time.Minute), LastInSync: ago(0), NextAttempt: ago(-29 * time.Minute),
				Records: []status.RecordStatus{record("parents", "A", "192.0.2.81"), record("parents", "AAAA", "2001:db8:9:1::1")},
			},
		},
		Clients: []status.ClientStatus{
			{Name: "parents", LastSeen: ago(5 * time.Hour), Address: "192.0.2.81", Agent: "fritzbox", Result: "good", Hosts: []status.HostStatus{
				{Name: "parents.dyn.example.com", Addresses: addrs("192.0.2.81", "2001:db8:9:1::1"), Updated: ago(5 * time.Hour), State: status.StateInSync},
			}},
			{Name: "workshop"},
		},
		Cluster: &status.ClusterStatus{Instance: "box1", Share: "all", Lease: 15, Instances: []status.InstanceStatus{
			{Name: "box1", Host: "server", Alive: true, Addresses: addrs(v4), Writes: []string{"example.com"}},
			{Name: "box2", Host: "attic", Alive: true, LastSeen: ago(3 * time.Second), Addresses: addrs("203.0.113.90")},
		}},
		Timeline: []status.Event{
			{Time: ago(5 * time.Hour), Name: status.EventRecordsChanged, Zone: "dyn.example.com", Provider: "nameserver", Client: "parents", Changes: []status.Change{change("parents", "A", "192.0.2.17", "192.0.2.81")}},
			{Time: ago(2*day + 3*time.Hour), Name: status.EventRecordsChanged, Zone: "example.com", Provider: "cloudflare", Changes: []status.Change{
				change("@", "A", v4Before, v4), change("@", "AAAA", v6Before, v6), change("www", "A", v4Before, v4), change("www", "AAAA", v6Before, v6),
			}},
			{Time: ago(2*day + 3*time.Hour), Name: status.EventAddressChanged, Family: "ipv6", From: addrs(v6Before), To: addrs(v6), Source: "interface"},
			{Time: ago(2*day + 3*time.Hour), Name: status.EventAddressChanged, Family: "ipv4", From: addrs(v4Before), To: addrs(v4), Source: "fritzbox"},
			{Time: ago(6 * day), Name: status.EventRecovered, Zone: "example.com", Provider: "cloudflare", After: 9 * 3600},
			{Time: ago(6*day + 9*time.Hour), Name: status.EventUpdateFailed, Zone: "example.com", Provider: "cloudflare", Error: "setting records: Post \"https://api.cloudflare.com/client/v4/zones\": dial tcp: i/o timeout"},
			{Time: ago(9*day + 5*time.Hour), Name: status.EventRecordsChanged, Zone: "example.com", Provider: "cloudflare", Changes: []status.Change{change("@", "A", "198.51.100.4", v4Before), change("www", "A", "198.51.100.4", v4Before)}},
			{Time: ago(9*day + 5*time.Hour), Name: status.EventAddressChanged, Family: "ipv4", From: addrs("198.51.100.4"), To: addrs(v4Before), Source: "fritzbox"},
			{Time: ago(12 * day), Name: status.EventInstanceJoined, Instance: "box2"},
			{Time: ago(17 * day), Name: status.EventAddressChanged, Family: "ipv6", From: addrs("2001:db8:66::1"), To: addrs(v6Before), Source: "interface"},
			{Time: ago(20 * day), Name: status.EventStarted},
		},
	}
	return scene{s, &report.Status{Name: "server", Listen: []string{"udp/:53", "tcp/:53"}, Zones: []report.ZoneStatus{{
		Name: "dyn.example.com.", Served: true, Serial: 2026112903, Records: 9, File: "nameserver/zones/dyn.example.com",
		Delegation: &report.DelegationStatus{Checked: ago(7 * time.Hour), Delegation: &report.Delegation{Parent: "example.com.", Right: true}},
	}}}}
}

func busy() scene {
	s := well()
	s.status.InSync, s.status.Cluster, s.server, s.status.Clients = new(false), nil, nil, nil
	s.status.Zones = s.status.Zones[:1]
	z := &s.status.Zones[0]
	z.State, z.InSync = status.StatePending, new(false)
	for i := range z.Records {
		r := &z.Records[i]
		if r.Type == "A" {
			r.State, r.InSync, r.Desired, r.Reason = status.StatePending, new(false), addrs("203.0.113.99"), "about to be written"
		}
	}
	return s
}

// long is what providers say.
const long = `setting records: Put "https://api.provider.example/v4/zones/0123456789abcdef0123456789abcdef/dns_records/fedcba9876543210fedcba9876543210": 403 Forbidden: <b>this token</b> may not edit the zone; see https://developers.provider.example/a-very-long-link-that-does-not-fit-into-one-line-of-a-phone-at-all`

func failing() scene {
	s := well()
	s.status.InSync = new(false)
	v4 := &s.status.Groups[0].Families[0]
	v4.Failing, v4.Lost, v4.MissingSince, v4.FoundSince = true, true, ago(40*time.Minute), time.Time{}
	v4.LastFailure = &status.Failure{Time: ago(2 * time.Minute), Error: "fritzbox: Post \"http://fritz.box:49000/igdupnp/control/WANIPConn1\": dial tcp 192.168.178.1:49000: connect: no route to host"}
	z := &s.status.Zones[0]
	z.State, z.InSync, z.Failures, z.FailingSince, z.NextAttempt = status.StateFailing, new(false), 7, ago(26*time.Minute), ago(-4*time.Minute)
	z.LastFailure = &status.Failure{Time: ago(time.Minute), Error: long}
	z.Records[1].State, z.Records[1].InSync, z.Records[1].Observed, z.Records[1].Reason = status.StateFailing, new(false), addrs(v6Before), long
	z.Records[2].State, z.Records[2].InSync, z.Records[2].Observed = status.StateBlocked, new(false), nil
	z.Records[2].Reason = "a CNAME record for elsewhere.example.net. is in the way; delete it, or leave the name out of the configuration"
	s.status.Cluster.Instances[1].Alive = false
	s.status.Timeline = append([]status.Event{
		{Time: ago(26 * time.Minute), Name: status.EventUpdateFailed, Zone: "example.com", Provider: "cloudflare", Error: long},
		{Time: ago(39 * time.Minute), Name: status.EventAddressLost, Family: "ipv4", From: addrs("203.0.113.7"), Error: v4.LastFailure.Error},
	}, s.status.Timeline...)
	s.server.Zones[0].Delegation = &report.DelegationStatus{Checked: ago(7 * time.Hour), Delegation: &report.Delegation{
		Parent: "example.com.", Write: []string{"dyn.example.com. IN NS ns1.dyn.example.com.", "ns1.dyn.example.com. IN A 203.0.113.7"}, Delete: []string{"dyn.example.com. IN NS parking.registrar.example."},
	}}
	s.server.Zones[0].BadFile = &report.BadFile{File: "nameserver/zones/dyn.example.com.bad", Error: "line 12: no such record type: AAAAA"}
	return s
}

func many() scene {
	s := well()
	z := &s.status.Zones[0]
	for i := range 500 {
		r := record(fmt.Sprintf("host-with-a-name-%d.department-%d", i, i%7), "A", v4)
		if i%167 == 5 {
			r.State, r.Reason, r.Observed = status.StateUnverified, "the provider accepted this, and does not show it yet", addrs(v4Before)
		}
		z.Records = append(z.Records, r)
	}
	s.status.InSync = nil
	s.status.Timeline = nil
	for i := range 50 {
		from, to := fmt.Sprintf("203.0.113.%d", 50-i), fmt.Sprintf("203.0.113.%d", 51-i)
		e := status.Event{Time: ago(time.Duration(i*i+1) * 37 * time.Minute), Name: status.EventAddressChanged, Family: "ipv4", From: addrs(from), To: addrs(to), Source: "interface"}
		if i%2 == 0 {
			e.Name, e.Family, e.From, e.To, e.Zone, e.Provider = status.EventRecordsChanged, "", nil, nil, "example.com", "cloudflare"
			for j := range 10 {
				e.Changes = append(e.Changes, status.Change{Name: fmt.Sprintf("host-with-a-name-%d.department-%d", j, j%7), Type: "A", From: addrs(from), To: addrs(to)})
			}
			e.More = 490
		}
		s.status.Timeline = append(s.status.Timeline, e)
	}
	return s
}

// portrait is the scene of the README's picture.
func portrait() scene {
	s := well()
	s.server, s.status.Cluster, s.status.Clients = nil, nil, nil
	s.status.Zones = s.status.Zones[:1]
	s.status.Zones[0].Records = s.status.Zones[0].Records[:4]
	s.status.Groups[0].Families = s.status.Groups[0].Families[:2]
	s.status.Timeline = s.status.Timeline[1:]
	return s
}
