package detect

import "time"

// lostAfter is after how many checks in a row that do not find it a family that
// was known is lost.
const lostAfter = 3

// Presence is how a family fares in the checks.
type Presence struct {
	// Checked is when the sources were last asked.
	Checked time.Time
	// Failing is set if the last check did not find the family.
	Failing bool
	// Turned is since when the checks find the family, or do not. Before the
	// first check it is when that began.
	Turned time.Time
	// Lost is set if the family was known and three checks in a row, or more,
	// have not found it.
	Lost bool

	// misses are the checks in a row that did not find it. Of several in
	// quick succession, as while an interface flaps, only the first counts.
	misses  int
	counted time.Time
}

// hit notes a check that found the family. It returns whether it was lost, and
// for how long it was not found.
func (p *Presence) hit(now time.Time) (wasLost bool, missing time.Duration) {
	wasLost, missing = p.Lost, now.Sub(p.Turned)
	p.check(false, now)
	p.Lost, p.misses = false, 0
	return wasLost, missing
}

// miss notes a check that did not find the family, of which one is due each
// interval. It reports whether the family is lost by that, if it was known.
func (p *Presence) miss(known bool, interval time.Duration, now time.Time) (lost bool) {
	p.check(true, now)
	if p.misses == 0 || now.Sub(p.counted) >= interval/2 {
		p.misses++
		p.counted = now
	}
	if p.Lost || !known || p.misses < lostAfter {
		return false
	}
	p.Lost = true
	return true
}

func (p *Presence) check(failing bool, now time.Time) {
	if before := p.Failing || p.Checked.IsZero(); p.Turned.IsZero() || before != failing {
		p.Turned = now
	}
	p.Checked, p.Failing = now, failing
}
