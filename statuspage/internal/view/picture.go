package view

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Picture is the timeline as a picture: lanes below each other, over one axis
// of time. Across, all is in hundredths of the width, so that it fits every
// screen; down, it is in pixels.
type Picture struct {
	Height int
	// Axis is where the lanes end.
	Axis  int
	Lanes []Lane
	Ticks []Tick
	// Summary says it in words.
	Summary string
}

// Lane is a row of the picture.
type Lane struct {
	Name string
	// Label, Top and Middle are the heights of its parts.
	Label, Top, Middle int
	Bars               []Bar
	Dots               []Dot
}

// Bar is something that lasts.
type Bar struct {
	X, Width, Class, Title string
}

// Dot is something that happens.
type Dot struct {
	X, Class, Title string
}

// Tick is a mark of the axis.
type Tick struct {
	X, Label, Machine string
}

const (
	laneHeight = 40
	barTop     = 18
	barMiddle  = 24
	axisHeight = 24
	minSpan    = time.Hour
	mostTicks  = 5
)

// scale places times.
type scale struct {
	from, to time.Time
}

func (s scale) at(t time.Time) float64 {
	x := 100 * float64(t.Sub(s.from)) / float64(s.to.Sub(s.from))
	return min(max(x, 0), 100)
}

func percent(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" }

func (s scale) bar(from, to time.Time, class, title string) Bar {
	x := s.at(from)
	return Bar{percent(x), percent(max(s.at(to)-x, 0.4)), class, title}
}

// draw draws the timeline, if there is one.
func draw(s *status.Status, now time.Time) *Picture {
	if len(s.Timeline) == 0 {
		return nil
	}
	events := slices.Clone(s.Timeline)
	slices.Reverse(events)
	span := scale{events[0].Time, now}
	if now.Sub(span.from) < minSpan {
		span.from = now.Add(-minSpan)
	}
	p := &Picture{}
	for _, family := range []string{"ipv4", "ipv6"} {
		p.lane(families[family], addressBars(s, events, family, span), nil)
	}
	var dots []Dot
	for i := range events {
		if e := &events[i]; e.Name == status.EventRecordsChanged {
			dots = append(dots, Dot{percent(span.at(e.Time)), "dns", changed(e) + ", " + at(e.Time, now).Exact})
		}
	}
	p.lane("DNS changes", nil, dots)
	p.lane("Trouble", troubleBars(s, events, span, now), nil)
	p.Axis = laneHeight * len(p.Lanes)
	p.Height = p.Axis + axisHeight
	p.Ticks = span.ticks()
	p.Summary = summary(events, now)
	return p
}

func (p *Picture) lane(name string, bars []Bar, dots []Dot) {
	if len(bars)+len(dots) == 0 {
		return
	}
	top := laneHeight * len(p.Lanes)
	p.Lanes = append(p.Lanes, Lane{name, top + 12, top + barTop, top + barMiddle, bars, dots})
}

// addressBars has a bar for each time that an address lasted, by turns in two
// colors.
func addressBars(s *status.Status, events []status.Event, family string, span scale) (bars []Bar) {
	var held status.Addresses
	since, lost, turn := span.from, false, 0
	// What is known before the first event is what that has replaced.
	known := false
	end := func(to time.Time) {
		if !known || !to.After(since) && to.Before(span.to) {
			return
		}
		class := [2]string{"address", "address other"}[turn%2]
		title := families[family] + " " + held.String()
		if lost {
			class, title = "trouble", "no "+families[family]+" address found"
		}
		bars = append(bars, span.bar(since, to, class, title))
	}
	for i := range events {
		e := &events[i]
		if e.Family != family {
			continue
		}
		switch e.Name {
		case status.EventAddressChanged:
			if !known && len(e.From) > 0 {
				known, held = true, e.From
			}
			end(e.Time)
			known, held, since, lost = len(e.To) > 0, e.To, e.Time, false
			turn++
		case status.EventAddressLost:
			if !known {
				known, held = true, e.From
			}
			end(e.Time)
			known, since, lost = true, e.Time, true
		case status.EventAddressFound:
			end(e.Time)
			known, held, since, lost = true, e.To, e.Time, false
		}
	}
	if !known {
		held = nil
		for i := range s.Groups {
			for _, f := range s.Groups[i].Families {
				if f.Family == family && len(held) == 0 {
					held = f.Addresses
				}
			}
		}
		known = len(held) > 0
	}
	end(span.to)
	return bars
}

// troubleBars has a bar for each time that a zone failed.
func troubleBars(s *status.Status, events []status.Event, span scale, now time.Time) (bars []Bar) {
	failing := make(map[string]bool)
	for i := range s.Zones {
		z := &s.Zones[i]
		failing[z.Zone+" at "+z.Provider] = failing[z.Zone+" at "+z.Provider] || !z.FailingSince.IsZero()
	}
	for i := range events {
		e := &events[i]
		if e.Name != status.EventUpdateFailed {
			continue
		}
		zone := e.Zone + " at " + e.Provider
		to, over := now, false
		for _, later := range events[i+1:] {
			if later.Name == status.EventStarted || later.Name == status.EventRecovered && later.Zone+" at "+later.Provider == zone {
				to, over = later.Time, true
				break
			}
		}
		if !over && !failing[zone] {
			to = e.Time
		}
		bars = append(bars, span.bar(e.Time, to, "trouble", zone+" could not be updated"))
	}
	return bars
}

// steps are the distances of ticks.
var steps = []time.Duration{
	15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour, 5 * 365 * 24 * time.Hour,
}

func (s scale) ticks() (ticks []Tick) {
	step := steps[len(steps)-1]
	for _, d := range steps {
		if s.to.Sub(s.from) <= mostTicks*d {
			step = d
			break
		}
	}
	for t := s.from.UTC().Truncate(step).Add(step); t.Before(s.to); t = t.Add(step) {
		x := s.at(t)
		// A label at the edge would not be whole.
		if x < 8 || x > 92 {
			continue
		}
		label := t.Format("15:04")
		if step >= 24*time.Hour || t.Hour() == 0 && t.Minute() == 0 {
			label = t.Format("2 Jan")
		}
		ticks = append(ticks, Tick{percent(x), label, t.Format(time.RFC3339)})
	}
	return ticks
}

// summary is what those are told who do not see the picture.
func summary(events []status.Event, now time.Time) string {
	counts := make(map[status.EventName]int)
	for i := range events {
		counts[events[i].Name]++
	}
	return fmt.Sprintf("Changes of addresses: %d, of DNS: %d, failures: %d. Since %s; days begin in UTC.",
		counts[status.EventAddressChanged], counts[status.EventRecordsChanged], counts[status.EventUpdateFailed]+counts[status.EventAddressLost],
		at(events[0].Time, now).Exact)
}
