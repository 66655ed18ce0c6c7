// Package view says in words what the status page shows. It knows no HTML.
package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Page is what the page shows, in its order.
type Page struct {
	Verdict
	// Checks says when the addresses were looked for, and are next.
	LastCheck, NextCheck *Moment
	// CanCheck is set where a check can be asked for.
	CanCheck  bool
	Addresses []Group
	Zones     []Zone
	Devices   []Device
	Clients   []Client
	Share     string
	Instances []Instance
	Server    *Server
	Picture   *Picture
	// Latest are the last events, Earlier those before.
	Latest, Earlier []Event
	// Taken is when all this was so.
	Taken *Moment
}

// latest is how many events are shown at once.
const latest = 8

// New makes the page of a status, or of none, and of the name server's.
func New(s *status.Status, server *report.Status, now time.Time) *Page {
	p := &Page{Verdict: judge(s, server, now), Taken: at(now, now)}
	if s != nil {
		p.NextCheck = at(s.NextCheck, now)
		var last time.Time
		for i := range s.Groups {
			p.Addresses = append(p.Addresses, newGroup(&s.Groups[i], now))
			for _, f := range s.Groups[i].Families {
				if f.LastCheck.After(last) {
					last = f.LastCheck
				}
			}
		}
		p.LastCheck = at(last, now)
		for i := range s.Zones {
			z, devices := newZone(s, &s.Zones[i], now)
			p.Devices = append(p.Devices, devices...)
			if len(z.Open)+len(z.Folded) > 0 || len(devices) == 0 {
				p.Zones = append(p.Zones, z)
			}
		}
		for i := range s.Clients {
			p.Clients = append(p.Clients, newClient(&s.Clients[i], now))
		}
		if s.Cluster != nil {
			p.Share = s.Cluster.Share
			for i := range s.Cluster.Instances {
				p.Instances = append(p.Instances, newInstance(s.Cluster, i, now))
			}
		}
		p.Picture = draw(s, now)
		for i := range s.Timeline {
			e := newEvent(&s.Timeline[i], now)
			if i < latest {
				p.Latest = append(p.Latest, e)
			} else {
				p.Earlier = append(p.Earlier, e)
			}
		}
	}
	if server != nil && len(server.Zones) > 0 {
		p.Server = newServer(server, now)
	}
	return p
}

// Group is a group of domains with its addresses.
type Group struct {
	Name, Provider string
	Families       []Family
}

// Family is what is known of the addresses of a family.
type Family struct {
	Name   string
	Known  []string
	State  State
	Source string
	// Vouchers are who confirmed it.
	Vouchers string
	Since    *Moment
	Missing  *Moment
	Failure  string
}

func newGroup(g *status.GroupStatus, now time.Time) Group {
	v := Group{Name: g.Name, Provider: g.Provider}
	for i := range g.Families {
		f := &g.Families[i]
		shown := Family{
			Name: families[f.Family], State: State{"found", good}, Source: f.Source,
			Vouchers: strings.Join(f.ConfirmedBy, ", "), Since: at(f.Since, now),
		}
		for _, addr := range f.Addresses {
			shown.Known = append(shown.Known, addr.String())
		}
		shown.Known = append(shown.Known, f.Prefixes...)
		switch {
		case f.Lost:
			shown.State = State{"lost", bad}
		case f.Failing && len(shown.Known) > 0:
			shown.State = State{"not found by the last check", waiting}
		case len(shown.Known) == 0:
			shown.State = State{"unknown", quiet}
		}
		if f.Failing {
			shown.Missing = at(f.MissingSince, now)
			if f.LastFailure != nil {
				shown.Failure = f.LastFailure.Error
			}
		}
		v.Families = append(v.Families, shown)
	}
	return v
}

// Zone is a zone with its records.
type Zone struct {
	Name, Provider string
	State          State
	Facts          []Fact
	Note           string
	// Open are the records that are always seen, Folded those that are many
	// and fine.
	Open, Folded []Record
}

// Fact is a phrase, and the moment it is about.
type Fact struct {
	Text string
	When *Moment
}

// Record is a record of a zone.
type Record struct {
	Name, Zone, Type string
	State            State
	// Observed is what stands there, and Desired what should, where that is
	// something else.
	Observed, Desired []string
	Reason            string
	Changed           *Moment
}

// Device is another machine in the prefix.
type Device struct {
	Record
	IDs string
}

// mostOpen is how many records of a zone are shown without being asked for.
const mostOpen = 12

func newZone(s *status.Status, z *status.ZoneStatus, now time.Time) (Zone, []Device) {
	v := Zone{Name: z.Zone, Provider: z.Provider, State: stateOf(z.State), Note: z.Note}
	switch {
	case s.Cluster != nil && z.Writer != "" && z.Writer != s.Cluster.Instance:
		v.Facts = append(v.Facts, Fact{Text: "written by " + z.Writer})
	case !z.Readable:
		v.Facts = append(v.Facts, Fact{Text: "the provider cannot be read, so this is what it accepted"})
	case z.LastVerified.IsZero():
		v.Facts = append(v.Facts, Fact{Text: "not read yet"})
	default:
		v.Facts = append(v.Facts, Fact{"verified", at(z.LastVerified, now)})
	}
	if !z.NextAttempt.IsZero() {
		v.Facts = append(v.Facts, Fact{"next", at(z.NextAttempt, now)})
	}
	var devices []Device
	fine := 0
	for i := range z.Records {
		if r := &z.Records[i]; len(r.HostIDs) == 0 && r.State == status.StateInSync {
			fine++
		}
	}
	for i := range z.Records {
		r := &z.Records[i]
		shown := newRecord(z, r, now)
		switch {
		case len(r.HostIDs) > 0:
			devices = append(devices, Device{shown, strings.Join(r.HostIDs, " ")})
		case r.State == status.StateInSync && fine > mostOpen:
			v.Folded = append(v.Folded, shown)
		default:
			v.Open = append(v.Open, shown)
		}
	}
	return v, devices
}

func newRecord(z *status.ZoneStatus, r *status.RecordStatus, now time.Time) Record {
	v := Record{
		Name: r.Name, Zone: z.Zone, Type: r.Type, State: stateOf(r.State),
		Observed: texts(r.Observed), Reason: r.Reason, Changed: at(r.LastChanged, now),
	}
	if r.State != status.StateInSync && r.Observed.String() != r.Desired.String() {
		v.Desired = texts(r.Desired)
	}
	return v
}

// Client is a user of the DDNS server.
type Client struct {
	Name   string
	Seen   *Moment
	From   string
	Answer string
	Hosts  []Host
}

// Host is a host of a client.
type Host struct {
	Name      string
	Addresses []string
	State     State
	Updated   *Moment
	Reason    string
}

func newClient(c *status.ClientStatus, now time.Time) Client {
	v := Client{Name: c.Name, Seen: at(c.LastSeen, now), Answer: c.Result}
	if v.Seen != nil {
		v.From = fmt.Sprintf("%s (%s)", c.Address, c.Agent)
	}
	for _, h := range c.Hosts {
		state := stateOf(h.State)
		if h.State == "" {
			state = stateOf(status.StatePending)
		}
		v.Hosts = append(v.Hosts, Host{h.Name, texts(h.Addresses), state, at(h.Updated, now), h.Reason})
	}
	return v
}

// Instance is one of those that share names.
type Instance struct {
	Name, Host string
	State      State
	Seen       *Moment
	Addresses  []string
	Writes     string
}

func newInstance(c *status.ClusterStatus, i int, now time.Time) Instance {
	known := &c.Instances[i]
	v := Instance{
		Name: known.Name, Host: known.Host, State: State{"alive", good}, Seen: at(known.LastSeen, now),
		Addresses: texts(known.Addresses), Writes: strings.Join(known.Writes, ", "),
	}
	switch {
	case i == 0 && known.Alive:
		v.State = State{"this one", good}
	case i == 0:
		v.State = State{"this one, cut off", bad}
	case !known.Alive:
		v.State = State{"gone", quiet}
	}
	return v
}

// Server is the name server.
type Server struct {
	Name, Listen string
	Zones        []ServedZone
}

// ServedZone is a zone of the name server.
type ServedZone struct {
	Name       string
	State      State
	Serial     uint32
	Records    int
	Error      string
	Aside      string
	Delegation State
	Checked    *Moment
}

func newServer(s *report.Status, now time.Time) *Server {
	v := &Server{Name: s.Name, Listen: strings.Join(s.Listen, ", ")}
	for i := range s.Zones {
		z := &s.Zones[i]
		shown := ServedZone{
			Name: strings.TrimSuffix(z.Name, "."), State: State{"served", good},
			Serial: z.Serial, Records: z.Records, Error: z.Error, Delegation: State{"not checked", quiet},
		}
		switch {
		case !z.Served:
			shown.State = State{"not served", bad}
		case z.Error != "":
			shown.State = State{"served, with a problem", bad}
		}
		if z.BadFile != nil {
			shown.Aside = fmt.Sprintf("A file that was no zone was set aside as %s: %s", z.BadFile.File, z.BadFile.Error)
		}
		if d := z.Delegation; d != nil {
			shown.Checked = at(d.Checked, now)
			switch {
			case d.Delegation == nil:
				shown.Delegation = State{"cannot be told: " + d.Error, waiting}
			case d.Right:
				shown.Delegation = State{"right in " + strings.TrimSuffix(d.Parent, "."), good}
			default:
				shown.Delegation = State{"not as it should be in " + strings.TrimSuffix(d.Parent, "."), bad}
			}
		}
		v.Zones = append(v.Zones, shown)
	}
	return v
}
