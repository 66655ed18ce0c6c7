package status

import (
	"slices"
	"strings"
	"time"
)

// Diagnosis is what `caddy dynamic-dns doctor --json` prints.
type Diagnosis struct {
	// When it was made.
	Time time.Time `json:"time"`
	// The worst of the findings' verdicts.
	Verdict Verdict `json:"verdict"`
	// What was found, from this machine outwards.
	Findings []Finding `json:"findings"`
}

// Verdict says whether something is as it should be.
type Verdict string

// The verdicts, each worse than the one before.
const (
	VerdictOK      Verdict = "ok"
	VerdictUnknown Verdict = "unknown"
	VerdictWrong   Verdict = "wrong"
)

var verdictsByBadness = []Verdict{VerdictOK, VerdictUnknown, VerdictWrong}

// Finding is one thing that was found.
type Finding struct {
	// What it is about, such as `network` or `zone example.com`.
	About string `json:"about"`
	// Whether that is as it should be.
	Verdict Verdict `json:"verdict"`
	// What was found, in one line and without secrets.
	Text string `json:"text"`
	// What to do about it, if anything.
	Do string `json:"do,omitempty"`
	// The lines to write or to run for that.
	Paste []string `json:"paste,omitempty"`
}

// NewDiagnosis makes a diagnosis of findings.
func NewDiagnosis(now time.Time, findings []Finding) *Diagnosis {
	d := &Diagnosis{Time: now.UTC().Truncate(time.Second), Verdict: VerdictOK, Findings: findings}
	for _, f := range findings {
		if slices.Index(verdictsByBadness, f.Verdict) > slices.Index(verdictsByBadness, d.Verdict) {
			d.Verdict = f.Verdict
		}
	}
	return d
}

// Text writes the diagnosis for people, as that of Status. Lines to paste are
// not broken.
func (d *Diagnosis) Text(color bool) string {
	p := &printer{color: color}
	p.diagnosis(d)
	return p.text.String()
}

func (p *printer) diagnosis(d *Diagnosis) {
	summary := map[Verdict]painted{
		VerdictOK:      p.paint(green, "All is well."),
		VerdictUnknown: p.paint(yellow, "Nothing is known to be wrong, but not all could be told."),
		VerdictWrong:   p.paint(red, "Something is wrong."),
	}[d.Verdict]
	p.line(0, "%s", summary)
	about := ""
	for _, f := range d.Findings {
		if f.About != about {
			about = f.About
			p.line(0, "")
			p.line(0, "%s", about)
		}
		p.finding(f)
	}
}

// verdictWidth is how wide the column of verdicts is.
const verdictWidth = 13

func (p *printer) finding(f Finding) {
	label := map[Verdict]painted{
		VerdictOK:      p.paint(green, "ok"),
		VerdictUnknown: p.paint(yellow, "cannot tell"),
		VerdictWrong:   p.paint(red, "wrong"),
	}[f.Verdict]
	p.row(2, verdictWidth, label, "%s", f.Text)
	if f.Do != "" {
		p.row(2+verdictWidth, len("-> "), "->", "%s", f.Do)
	}
	for _, line := range f.Paste {
		p.text.WriteString(strings.Repeat(" ", 2+verdictWidth+len("-> ")) + clean(line) + "\n")
	}
}
