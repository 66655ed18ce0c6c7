package detect

import "time"

// limit is how often a source may be asked about one family: burst times at
// once, and from then on once in every.
type limit struct {
	burst int
	every time.Duration
}

var (
	// forOthers keeps to 12 questions in any minute, and asks within 8 seconds
	// once something has happened.
	forOthers = limit{5, 8 * time.Second}
	// forLocal is for sources that ask nobody beyond the router. It spares the
	// CPU in a storm, and keeps up with an address that changes every time the
	// one before has been looked at.
	forLocal = limit{20, 100 * time.Millisecond}
)

// pace is how much of a limit is used up: until when, if nothing is asked, some
// of it is. The zero value is fresh.
type pace struct{ until time.Time }

// take counts a question, or returns how long that must wait.
func (p *pace) take(l limit, now time.Time) (wait time.Duration) {
	until := now
	if p.until.After(now) {
		until = p.until
	}
	until = until.Add(l.every)
	if wait := until.Sub(now) - time.Duration(l.burst)*l.every; wait > 0 {
		return wait
	}
	p.until = until
	return 0
}
