package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Mood is how all is, for the style sheet and the icon.
type Mood string

// The moods, the best first.
const (
	Well  Mood = "well"
	Busy  Mood = "busy"
	Wrong Mood = "wrong"
	None  Mood = "none"
)

// Verdict is what matters first.
type Verdict struct {
	Mood     Mood
	Headline string
	// Since is when it began to be so, if that is known.
	Since *Moment
	// More is what there is to say of it.
	More string
	// Problems are what is wrong, and what happens next.
	Problems []Problem
}

// Problem is something that is wrong.
type Problem struct {
	What  string
	Since *Moment
	// Why is often somebody else's words.
	Why string
	// Write and Delete are records that have to be changed at Where.
	Where         string
	Write, Delete []string
	Next          string

	since time.Time
	// passing problems may be over with the next check.
	passing bool
}

// mostBlocked is how many records in the way, or names in no zone, are told one
// by one.
const mostBlocked = 5

// judge says what matters first. Either status may be nil.
func judge(s *status.Status, server *report.Status, now time.Time) Verdict {
	var problems []Problem
	if s != nil {
		problems = append(problems, missing(s, now)...)
		problems = append(problems, nowhere(s)...)
		if c := s.Cluster; c != nil && c.CutOff != "" {
			problems = append(problems, Problem{
				What: "This instance is cut off from the others, and writes nothing",
				Why:  c.CutOff, Next: "It goes on by itself once the storage answers.",
			})
		}
		for i := range s.Zones {
			problems = append(problems, zoneProblems(&s.Zones[i], now)...)
		}
	}
	if server != nil {
		for i := range server.Zones {
			problems = append(problems, serverProblems(&server.Zones[i])...)
		}
	}
	v := Verdict{Mood: Well, Headline: "All is well", Problems: problems}
	var first time.Time
	for i := range problems {
		p := &v.Problems[i]
		p.Since = at(p.since, now)
		if !p.passing {
			v.Mood = Wrong
		}
		if first.IsZero() || !p.since.IsZero() && p.since.Before(first) {
			first = p.since
		}
	}
	switch {
	case v.Mood == Wrong && len(problems) == 1:
		v.Headline = "Something is wrong"
	case v.Mood == Wrong:
		v.Headline = fmt.Sprintf("%d things are wrong", len(problems))
	case s != nil && (s.InSync == nil || !*s.InSync):
		v.Mood, v.Headline, v.More = Busy, "Working on it", unsettled(s)
	case s == nil && server == nil:
		return Verdict{
			Mood: None, Headline: "Nothing is configured",
			More: "There is no dynamic_dns block in the running configuration, and no dyndns handler or name server either.",
		}
	case s != nil && len(s.Zones)+len(s.Clients) == 0 && server == nil:
		v.Mood, v.Headline, v.More = None, "Nothing to do", "No names are managed."
	case s != nil:
		first = wellSince(s)
	}
	if v.Mood != None {
		v.Since = at(first, now)
	}
	return v
}

// missing are the addresses that are not found.
func missing(s *status.Status, now time.Time) (problems []Problem) {
	for i := range s.Groups {
		g := &s.Groups[i]
		for _, f := range g.Missing() {
			known := len(f.Addresses)+len(f.Prefixes) > 0
			p := Problem{
				What: unfound(f, s.Time), since: f.MissingSince,
				Next:    "DNS stays as it is.",
				passing: known && !f.Lost,
			}
			if len(s.Groups) > 1 {
				p.What += ", for " + g.Name
			}
			if f.LastFailure != nil {
				p.Why = f.LastFailure.Error
			}
			if !s.NextCheck.IsZero() {
				p.Next += " The sources are asked again " + soon(s.NextCheck, now) + ", and at once when the network changes."
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// nowhere are the names and the clients' hosts that are in no zone that is known.
func nowhere(s *status.Status) (problems []Problem) {
	for i := range s.Groups {
		for _, name := range s.Groups[i].Lacking() {
			if name.State == status.StateFailing {
				problems = append(problems, Problem{
					What: fmt.Sprintf("%s is in no zone that is known of %s", name.Name, s.Groups[i].Provider), Why: name.Reason,
					Next: "It is written once there is a zone for it.",
				})
			}
		}
	}
	for _, c := range s.Clients {
		for _, h := range c.Hosts {
			if h.Reason != "" {
				problems = append(problems, Problem{
					What: fmt.Sprintf("The host %s of the client %s is written nowhere", h.Name, c.Name), Why: h.Reason,
					Next: "It is written once there is a zone for it.", passing: h.State != status.StateFailing,
				})
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		switch {
		case a.passing == b.passing:
			return 0
		case b.passing:
			return -1
		}
		return 1
	})
	if more := len(problems) - mostBlocked; more > 0 {
		rest := Problem{What: plural(more, "more name") + " in no zone that is known", Next: "They are written once there is a zone for them.", passing: problems[mostBlocked].passing}
		problems = append(problems[:mostBlocked], rest)
	}
	return problems
}

// unfound says what is not found, since when is said beside it.
func unfound(f *status.FamilyStatus, now time.Time) string {
	if !f.Lost {
		return strings.TrimSuffix(sentence(f.Doubt(now)), ".")
	}
	if f.Family == status.FamilyPrefix {
		return "The IPv6 prefix is not found any more"
	}
	return "No " + families[f.Family] + " address is found any more"
}

func zoneProblems(z *status.ZoneStatus, now time.Time) (problems []Problem) {
	again := "It is looked at again"
	if !z.NextAttempt.IsZero() {
		again += " " + soon(z.NextAttempt, now)
	} else {
		again += " later"
	}
	if z.Failures > 0 || z.State == status.StateFailing {
		p := Problem{
			What: fmt.Sprintf("%s at %s cannot be updated", z.Zone, z.Provider), Why: z.Reason(), since: z.FailingSince,
			Next: "It is tried again, and at once when an address changes.",
		}
		if z.LastFailure != nil {
			p.Why = z.LastFailure.Error
		}
		if !z.NextAttempt.IsZero() {
			p.Next = "It is tried again " + soon(z.NextAttempt, now) + ", and sooner when an address changes."
		}
		if z.Failures > 1 {
			p.Next = fmt.Sprintf("It has failed %d times in a row. ", z.Failures) + p.Next
		}
		problems = append(problems, p)
	}
	blocked := 0
	for i := range z.Records {
		r := &z.Records[i]
		if r.State != status.StateBlocked {
			continue
		}
		if blocked++; blocked <= mostBlocked {
			problems = append(problems, Problem{
				What: fmt.Sprintf("Something is in the way of %s %s", fullName(r.Name, z.Zone), r.Type),
				Why:  r.Reason, Next: "The record is left as it is. " + again + ".",
			})
		}
	}
	if more := blocked - mostBlocked; more > 0 {
		problems = append(problems, Problem{
			What: fmt.Sprintf("Something is in the way of %s more in %s", plural(more, "record"), z.Zone),
			Next: "They are left as they are. " + again + ".",
		})
	}
	return problems
}

func serverProblems(z *report.ZoneStatus) (problems []Problem) {
	name := strings.TrimSuffix(z.Name, ".")
	switch {
	case !z.Served:
		problems = append(problems, Problem{
			What: "The name server does not answer for " + name, Why: z.Error,
			Next: "It is tried again until it can be read.",
		})
	case z.Error != "":
		problems = append(problems, Problem{What: "The zone " + name + " has a problem in the name server", Why: z.Error})
	}
	if d := z.Delegation; d != nil && d.Delegation != nil && !d.Right {
		problems = append(problems, Problem{
			What:  "The zone " + strings.TrimSuffix(d.Parent, ".") + " does not delegate " + name + " to this name server as it should",
			Where: strings.TrimSuffix(d.Parent, "."), Write: d.Write, Delete: d.Delete,
			Next: "The servers of the parent zone are asked again every day, and at once by the command: caddy nameserver delegation",
		})
	}
	return problems
}

// unsettled says what is not yet as it should be.
func unsettled(s *status.Status) string {
	counts := make(map[status.State]int)
	for i := range s.Zones {
		for j := range s.Zones[i].Records {
			r := &s.Zones[i].Records[j]
			counts[r.State]++
		}
	}
	var parts []string
	if n := counts[status.StatePending]; n > 0 {
		parts = append(parts, plural(n, "record")+" about to be read or written")
	}
	if n := counts[status.StateUnverified]; n > 0 {
		parts = append(parts, plural(n, "record")+" accepted by the provider, which does not show it yet")
		if n > 1 {
			parts[len(parts)-1] = plural(n, "record") + " accepted by the provider, which does not show them yet"
		}
	}
	switch {
	case len(parts) > 0:
		return sentence(strings.Join(parts, "; "))
	case s.Reason != "":
		return sentence(s.Reason)
	}
	return "It cannot be told yet whether all is in sync."
}

// wellSince is when it was last otherwise, or could not be told.
func wellSince(s *status.Status) (since time.Time) {
	later := func(t time.Time) {
		if t.After(since) {
			since = t
		}
	}
	for i := range s.Groups {
		for j := range s.Groups[i].Families {
			later(s.Groups[i].Families[j].FoundSince)
		}
	}
	for i := range s.Zones {
		for j := range s.Zones[i].Records {
			later(s.Zones[i].Records[j].LastChanged)
		}
	}
	if len(s.Timeline) > 0 {
		later(s.Timeline[0].Time)
	}
	return since
}
