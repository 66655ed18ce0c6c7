package dynamicdns

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// lineWidth is the width of a terminal's line that everything fits in.
const lineWidth = 80

// printer writes status and plan for people.
type printer struct {
	text  strings.Builder
	color bool
}

// The colors of terminals.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// columns is how wide what precedes the last column of a record is.
const columns = 20

func (p *printer) status(s *Status) {
	summary, color := "Cannot tell whether all is in sync.", yellow
	switch {
	case s.InSync != nil && !*s.InSync:
		summary, color = "Not in sync.", red
	case s.InSync != nil && !s.unchecked():
		summary, color = "In sync.", green
	}
	next := ""
	if !s.NextCheck.IsZero() {
		next = " Next check of the addresses " + in(s.NextCheck.Sub(s.Time)) + "."
	}
	if s.unchecked() {
		next = " The check was not done in time." + next
	}
	p.line(0, "%s%s", p.paint(color, summary), next)
	for _, g := range s.Groups {
		p.line(0, "")
		p.group(s.Time, g)
	}
	for _, z := range s.Zones {
		p.line(0, "")
		p.zone(s, z)
	}
	if len(s.Zones) == 0 {
		p.line(0, "")
		p.line(0, "No names are managed.")
	}
}

func (p *printer) group(now time.Time, g GroupStatus) {
	p.line(0, "%s (%s)", g.Name, g.Provider)
	for _, f := range g.Families {
		p.family(now, f)
	}
}

func (p *printer) family(now time.Time, f FamilyStatus) {
	label := map[string]painted{"ipv4": "IPv4", "ipv6": "IPv6"}[f.Family]
	if len(f.Addresses) == 0 {
		p.row(2, 6, label, "%s", p.paint(yellow, "unknown"))
	} else {
		p.row(2, 6, label, "%s", join(f.Addresses))
		from := fmt.Sprintf("from %s, for %s", f.Source, short(now.Sub(f.Since)))
		if len(f.ConfirmedBy) > 0 {
			from += ", confirmed by " + strings.Join(f.ConfirmedBy, ", ")
		}
		p.line(8, "%s", from)
	}
	if f.Failing {
		p.line(8, "last check failed %s: %s", ago(now.Sub(f.LastFailure.Time)), f.LastFailure.Error)
	}
}

func (p *printer) zone(s *Status, z ZoneStatus) {
	var facts []string
	switch {
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
	for _, r := range z.Records {
		p.record(p.state(r.State, 11), r.Type, r.Name)
		if r.State == StateInSync {
			continue
		}
		p.line(columns, "is     %s", join(r.Observed))
		if len(r.Wished) > 0 {
			p.line(columns, "wanted %s", join(r.Wished))
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
	case len(z.Changes) == 0 && z.blocked():
		summary = p.paint(red, "something is in the way")
	case len(z.Changes) > 0:
		summary = p.paint(yellow, plural(len(z.Changes), "record")+" would change")
	}
	p.line(0, "%s at %s: %s%s", z.Zone, z.Provider, summary, problem)
	for _, c := range z.Changes {
		p.record(p.paint(yellow, "change     "), c.Type, c.Name)
		if len(c.From) > 0 {
			p.line(columns, "from %s", join(c.From))
		}
		p.line(columns, "to   %s", join(c.To))
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

// row writes a label of the given width and a text beside it.
func (p *printer) row(indent, width int, label painted, format string, args ...any) {
	lines := wrap(sprintf(format, args), lineWidth-indent-width)
	pad := strings.Repeat(" ", max(1, width-visible(string(label))))
	p.text.WriteString(strings.Repeat(" ", indent) + string(label) + pad + lines[0] + "\n")
	for _, line := range lines[1:] {
		p.text.WriteString(strings.Repeat(" ", indent+width) + line + "\n")
	}
}

// line writes a text, of which what does not fit goes below.
func (p *printer) line(indent int, format string, args ...any) {
	for i, line := range wrap(sprintf(format, args), lineWidth-indent-2) {
		pad := indent
		if i > 0 {
			pad += 2
		}
		p.text.WriteString(strings.TrimRight(strings.Repeat(" ", pad)+line, " ") + "\n")
	}
}

// painted is a text that may go to a terminal as it is.
type painted string

// sprintf formats a text, in which all strings that are not painted may come
// from anywhere.
func sprintf(format string, args []any) string {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = clean(s)
		}
	}
	return fmt.Sprintf(format, args...)
}

// clean keeps what others wrote, such as a provider's error, from controlling
// the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

func (p *printer) paint(color, text string) painted {
	if !p.color {
		return painted(clean(text))
	}
	return painted("\033[" + color + "m" + clean(text) + "\033[0m")
}

func (p *printer) state(s State, width int) painted {
	color := yellow
	switch s {
	case StateInSync, StateLeftAlone:
		color = green
	case StateBlocked, StateFailing:
		color = red
	}
	return p.paint(color, fmt.Sprintf("%-*s", width, strings.ReplaceAll(string(s), "_", " ")))
}

// wrap breaks a text between words, and words that are longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && visible(line)+1+visible(word) > width {
			lines, line = append(lines, line), ""
		}
		for visible(word) > width {
			runes := []rune(word)
			lines, word = append(lines, string(runes[:width])), string(runes[width:])
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// visible returns how many columns a text takes, colors aside.
func visible(text string) int {
	n := utf8.RuneCountInString(text)
	for _, color := range []string{green, yellow, red, "0"} {
		n -= strings.Count(text, "\033["+color+"m") * len("\033["+color+"m")
	}
	return n
}

func join[A ~[]netip.Addr](addrs A) string { return ipaddr.List(addrs).String() }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func ago(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return short(d) + " ago"
}

func in(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return "in " + short(d)
}

// short gives a duration in its largest unit.
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
