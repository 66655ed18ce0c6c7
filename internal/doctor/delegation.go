package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// delegation says whether the world finds the zone's name servers, and whether
// these serve it.
func (j *judge) delegation(z *Zone) {
	j.about = z.Name + " in public DNS"
	d := &z.Public
	switch {
	case d.Reserved:
		j.ok("the name is reserved for private use, so no public DNS has it")
		return
	case d.Err != "":
		j.unknown("how the zone is delegated is not known: %s", d.Err)
		return
	case len(d.Servers) == 0:
		advise(j.wrong("%s does not delegate the zone: nobody finds its names", d.Parent), j.delegate(z), j.glueLines(z)...)
		return
	}
	var hosts []string
	for _, s := range d.Servers {
		hosts = append(hosts, s.Host)
	}
	j.ok("%s delegates the zone to %s", d.Parent, few(hosts))
	lame := 0
	for i := range d.Servers {
		if !j.server(z, &d.Servers[i]) {
			lame++
		}
	}
	j.names(z, hosts)
	if d.Signed && d.Keyless {
		advise(j.wrong("%s has a DS record, and the zone is not signed: whoever checks signatures takes its names for forged", d.Parent),
			"Delete the DS record where the domain is registered (it is called DNSSEC there).")
	}
	if lame == len(d.Servers) {
		j.wrong("no name server serves the zone, so nobody finds its names")
	}
}

// delegate says what has to be written at the parent.
func (j *judge) delegate(z *Zone) string {
	if j.serves(z.Name) {
		return "Where the parent zone is kept, write NS records for the zone and the address of each server that lies in it (glue); `caddy nameserver delegation` shows all of them:"
	}
	return fmt.Sprintf("Where the domain is registered, enter the name servers that %s shows for the zone. Is %s spelt right, and paid for?", z.Provider, z.Name)
}

// serves reports whether the built-in name server has the zone.
func (j *judge) serves(zone string) bool {
	return slices.ContainsFunc(j.Ports, func(p Port) bool { return slices.Contains(p.Zones, zone) })
}

// glueLines are the records that the parent needs for the built-in name server,
// by what that says, or as it is by default.
func (j *judge) glueLines(z *Zone) []string {
	if !j.serves(z.Name) {
		return nil
	}
	for _, p := range j.Ports {
		if lines := p.Parents[z.Name]; lines != nil {
			return lines
		}
	}
	lines := []string{fmt.Sprintf("%s. IN NS ns1.%s.", z.Name, z.Name)}
	for _, r := range z.Records {
		if r.Name != "@" {
			continue
		}
		for _, addr := range r.Desired {
			lines = append(lines, fmt.Sprintf("ns1.%s. IN %s %s", z.Name, r.Family.RRType(), addr))
		}
	}
	return lines
}

// server judges one name server, and reports whether it may serve the zone.
func (j *judge) server(z *Zone, s *Server) bool {
	switch {
	case s.Inside && !s.Glue:
		finding := j.wrong("glue is missing: %s lies in the zone itself, and %s does not say its address", s.Host, z.Public.Parent)
		advise(finding, "Where the parent zone is kept, write the address of the server:", j.hostLines(z, s.Host)...)
		return false
	case len(s.Addrs) == 0:
		advise(j.wrong("the name server %s has no address", s.Host), "Correct its name, or leave it out, where the domain is registered.")
		return false
	}
	serves, own := false, false
	var problems []string
	recursive := true
	for _, a := range s.Answers {
		serves = serves || a.Authoritative
		recursive = recursive && a.Recursive
		own = own || j.isOwn(z, a.Addr)
		switch {
		case a.Authoritative:
		case a.Err != "":
			problems = append(problems, fmt.Sprintf("%s: %s", a.Addr, a.Err))
		default:
			problems = append(problems, fmt.Sprintf("%s: it answers, but does not serve the zone", a.Addr))
		}
	}
	switch {
	case len(s.Answers) == 0:
		j.unknown("the name server %s (%s) cannot be asked from here", s.Host, list(s.Addrs))
	case serves && problems == nil:
		j.ok("%s serves the zone (serial %d)", s.Host, s.Answers[0].Serial)
	case own:
		advise(j.unknown("%s is this machine as the internet sees it, and does not answer from in here (%s)", s.Host, strings.Join(problems, "; ")),
			"Many routers do not let that through from within. Try it from elsewhere, and see that the router forwards port 53, UDP and TCP:",
			fmt.Sprintf("dig @%s %s SOA", s.Addrs[0], z.Name))
	case recursive && allAnswer(s):
		advise(j.unknown("who answers for %s resolves for others and is no server of a zone: this network catches DNS questions on their way", s.Host), "Try it from elsewhere:",
			fmt.Sprintf("dig +norecurse @%s %s SOA", s.Addrs[0], z.Name))
	case serves:
		j.ok("%s serves the zone, though not at each of its addresses: %s", s.Host, strings.Join(problems, "; "))
	default:
		f := j.wrong("lame delegation: %s does not serve the zone (%s)", s.Host, strings.Join(problems, "; "))
		if lines := j.hostLines(z, s.Host); s.Inside && lines != nil {
			advise(f, "Where the parent zone is kept, correct the address of the server (glue):", lines...)
		} else {
			advise(f, "Let that server serve the zone, or leave it out, where the domain is registered.")
		}
		return false
	}
	return true
}

// hostLines are the address records of a name server in the zone, as far as they
// are known.
func (j *judge) hostLines(z *Zone, host string) []string {
	return slices.DeleteFunc(slices.Clone(j.glueLines(z)), func(line string) bool {
		return !strings.HasPrefix(line, host+". IN A")
	})
}

// allAnswer reports whether somebody answers at each address.
func allAnswer(s *Server) bool {
	return !slices.ContainsFunc(s.Answers, func(a Authority) bool { return a.Err != "" })
}

// isOwn reports whether the address is one that is published of this machine.
func (j *judge) isOwn(z *Zone, addr netip.Addr) bool {
	return slices.ContainsFunc(z.Records, func(r Record) bool { return slices.Contains(r.Desired, addr) })
}

// names compares the name servers by the parent with those by the zone.
func (j *judge) names(z *Zone, parent []string) {
	for _, s := range z.Public.Servers {
		for _, a := range s.Answers {
			if !a.Authoritative || len(a.Names) == 0 {
				continue
			}
			only := func(of, not []string) []string {
				return slices.DeleteFunc(slices.Clone(of), func(s string) bool { return slices.Contains(not, s) })
			}
			missing, extra := only(a.Names, parent), only(parent, a.Names)
			if len(missing)+len(extra) == 0 {
				return
			}
			verdict := status.VerdictOK
			if len(extra) == len(parent) {
				verdict = status.VerdictWrong
			}
			f := j.add(verdict, "the zone itself names other servers than its parent: %s", few(a.Names))
			if verdict == status.VerdictWrong {
				advise(f, "Enter those where the domain is registered, or change the NS records of the zone.")
			}
			return
		}
	}
}
