package view

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Moment is a time, and how it is read.
type Moment struct {
	// Machine is the time as HTML wants it.
	Machine string
	// Exact is the time for people.
	Exact string
	// Distance is how long ago that is, or how soon.
	Distance string
	// Age is that without the word ago.
	Age string
}

// at returns how a time is read now, or nil if there is none.
func at(t, now time.Time) *Moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &Moment{
		Machine:  t.Format(time.RFC3339),
		Exact:    t.Format("2 Jan 2006, 15:04 UTC"),
		Distance: distance(t.Sub(now)),
		Age:      span(now.Sub(t)),
	}
}

func distance(d time.Duration) string {
	switch {
	case d <= -10*time.Second:
		return span(-d) + " ago"
	case d <= 0:
		return "just now"
	}
	return "in " + span(d)
}

// span gives a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// soon says when something is tried again.
func soon(t, now time.Time) string {
	if !t.After(now) {
		return "in a moment"
	}
	return "in " + span(t.Sub(now))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sentence makes a phrase one that can stand alone.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// fullName joins a record's name with its zone.
func fullName(name, zone string) string {
	if name == "@" {
		return zone
	}
	return name + "." + zone
}

func texts(addrs status.Addresses) (all []string) {
	for _, addr := range addrs {
		all = append(all, addr.String())
	}
	return all
}

// State is how something is doing, in a word and for the style sheet.
type State struct {
	Word, Class string
}

var (
	good    = "good"
	waiting = "waiting"
	bad     = "bad"
	quiet   = "quiet"
)

func stateOf(s status.State) State {
	class := waiting
	switch s {
	case status.StateInSync:
		class = good
	case status.StateLeftAlone:
		class = quiet
	case status.StateBlocked, status.StateFailing:
		class = bad
	}
	return State{strings.ReplaceAll(string(s), "_", " "), class}
}

var families = map[string]string{"ipv4": "IPv4", "ipv6": "IPv6", status.FamilyPrefix: "IPv6 prefix"}
