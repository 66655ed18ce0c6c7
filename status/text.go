package status

import (
	"fmt"
	"strings"
	"time"
)

// columns is how wide what precedes the last column of a record is.
const columns = 20

// Text writes the status for people, in lines of up to 80 columns, with the
// colors of a terminal on request.
func (s *Status) Text(color bool) string {
	p := &printer{color: color}
	p.status(s)
	return p.text.String()
}

// Text writes the plan for people, as that of Status.
func (p *Plan) Text(color bool) string {
	out := &printer{color: color}
	out.plan(p)
	return out.text.String()
}

func (p *printer) status(s *Status) {
	summary, color := "Cannot tell whether all is in sync.", yellow
	if s.Reason != "" {
		summary = "Cannot tell whether all is in sync: " + s.Reason + "."
	}
	switch {
	case s.InSync != nil && !*s.InSync:
		summary, color = "Not in sync.", red
	case s.InSync != nil && !s.Unchecked():
		summary, color = "In sync.", green
	}
	next := ""
	if !s.NextCheck.IsZero() {
		next = " Next check of the addresses " + in(s.NextCheck.Sub(s.Time)) + "."
	}
	if s.Unchecked() {
		next = " The check was not done in time." + next
	}
	p.line(0, "%s%s", p.paint(color, summary), next)
	for _, g := range s.Groups {
		p.line(0, "")
		p.group(s.Time, g)
	}
	if s.Cluster != nil {
		p.line(0, "")
		p.cluster(s.Time, s.Cluster)
	}
	for _, z := range s.Zones {
		p.line(0, "")
		p.zone(s, z)
	}
	if len(s.Zones) == 0 {
		p.line(0, "")
		p.line(0, "No names are managed.")
	}
	for _, c := range s.Clients {
		p.line(0, "")
		p.client(s.Time, c)
	}
}

// client writes who has updated what.
func (p *printer) client(now time.Time, c ClientStatus) {
	if c.LastSeen.IsZero() {
		p.line(0, "client %s: not seen since the start", c.Name)
	} else {
		p.line(0, "client %s: seen %s from %s (%s), answered %s", c.Name, ago(now.Sub(c.LastSeen)), c.Address, c.Agent, c.Result)
	}
	for _, h := range c.Hosts {
		p.row(2, columns-2, p.state(h.State, 11), "%s", h.Name)
		p.line(columns, "%s, for %s", h.Addresses.String(), short(now.Sub(h.Updated)))
		if h.Reason != "" {
			p.line(columns, "%s", h.Reason)
		}
	}
}

func (p *printer) group(now time.Time, g GroupStatus) {
	p.line(0, "%s (%s)", g.Name, g.Provider)
	for _, f := range g.Families {
		p.family(now, f)
	}
	for _, h := range g.WithoutZone {
		p.row(2, columns-2, p.state(h.State, 11), "%s", h.Name)
		if h.Reason != "" {
			p.line(columns, "%s", h.Reason)
		}
	}
}

func (p *printer) family(now time.Time, f FamilyStatus) {
	label := map[string]painted{"ipv4": "IPv4", "ipv6": "IPv6", FamilyPrefix: "IPv6"}[f.Family]
	what, known := "", f.Addresses.String()
	if f.Family == FamilyPrefix {
		what, known = "prefix ", strings.Join(f.Prefixes, " ")
	}
	if !f.known() {
		p.row(2, 6, label, "%s%s", what, p.paint(yellow, "unknown"))
	} else {
		p.row(2, 6, label, "%s%s", what, known)
		from := fmt.Sprintf("from %s, for %s", f.Source, short(now.Sub(f.Since)))
		if len(f.ConfirmedBy) > 0 {
			from += ", confirmed by " + strings.Join(f.ConfirmedBy, ", ")
		}
		p.line(8, "%s", from)
	}
	switch {
	case f.Lost:
		p.line(8, "%s, not found for %s: %s", p.paint(red, "lost"), short(now.Sub(f.MissingSince)), f.LastFailure.Error)
	case f.Failing:
		p.line(8, "last check failed %s: %s", ago(now.Sub(f.LastFailure.Time)), f.LastFailure.Error)
	}
}

func (p *printer) zone(s *Status, z ZoneStatus) {
	var facts []string
	switch {
	case s.Cluster != nil && z.Writer != "" && z.Writer != s.Cluster.Instance:
		facts = append(facts, "written by "+z.Writer)
	case !z.Readable:
		facts = append(facts, "the provider cannot be read, so this is what it accepted")
	case z.LastVerified.IsZero():
		facts = append(facts, "never verified")
	default:
		facts = append(facts, "verified "+ago(s.Time.Sub(z.LastVerified)))
	}
	if !z.NextAttempt.IsZero() {
		facts = append(facts, "next "+in(z.NextAttempt.Sub(s.Time)))
	}
	p.line(0, "%s at %s: %s, %s", z.Zone, z.Provider, p.state(z.State, 0), strings.Join(facts, ", "))
	if !z.FailingSince.IsZero() {
		p.line(2, "failing for %s, %s in a row: %s",
			short(s.Time.Sub(z.FailingSince)), plural(z.Failures, "time"), z.LastFailure.Error)
	}
	if z.Note != "" {
		p.line(2, "%s", z.Note)
	}
	for _, r := range z.Records {
		p.record(p.state(r.State, 11), r.Type, r.Name)
		if r.State == StateInSync {
			if len(r.HostIDs) > 0 {
				p.line(columns, "%s", r.Observed.String())
			}
			continue
		}
		p.line(columns, "is %s", r.Observed.String())
		if len(r.Desired) > 0 {
			p.line(columns, "desired %s", r.Desired.String())
		}
		// What is wrong with the whole zone is said above.
		if z.LastFailure == nil || r.Reason != z.LastFailure.Error {
			p.line(columns, "%s", r.Reason)
		}
	}
}

func (p *printer) plan(plan *Plan) {
	for _, g := range plan.Groups {
		p.group(plan.Time, g)
		p.line(0, "")
	}
	for i, z := range plan.Zones {
		if i > 0 {
			p.line(0, "")
		}
		p.zonePlan(z)
	}
	if len(plan.Zones) == 0 {
		p.line(0, "No names are managed.")
	}
}

func (p *printer) zonePlan(z ZonePlan) {
	summary, problem := p.paint(green, "nothing would change"), ""
	switch {
	case z.Error != "":
		summary, problem = p.paint(red, "cannot tell"), ": "+z.Error
	case len(z.Changes) == 0 && z.Blocked():
		summary = p.paint(red, "something is in the way")
	case len(z.Changes) > 0:
		summary = p.paint(yellow, plural(len(z.Changes), "record")+" would change")
	}
	p.line(0, "%s at %s: %s%s", z.Zone, z.Provider, summary, problem)
	for _, c := range z.Changes {
		p.record(p.paint(yellow, "change     "), c.Type, c.Name)
		if len(c.From) > 0 {
			p.line(columns, "from %s", c.From.String())
		}
		p.line(columns, "to   %s", c.To.String())
		p.line(columns, "%s; from %s, TTL %s", c.Reason, c.Source, short(seconds(c.TTL)))
	}
	for _, l := range z.LeftAlone {
		state := StateLeftAlone
		if l.Blocked {
			state = StateBlocked
		}
		p.record(p.state(state, 11), l.Type, l.Name)
		p.line(columns, "%s", l.Reason)
	}
}

// record writes what is the matter with a record, its type and its name.
func (p *printer) record(matter painted, rrType, name string) {
	p.row(2, columns-2, matter+painted(fmt.Sprintf(" %-4s", clean(rrType))), "%s", name)
}
