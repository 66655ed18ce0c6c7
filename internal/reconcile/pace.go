package reconcile

import (
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const (
	firstBackoff = 5 * time.Second
	// MaxBackoff is the longest pause after a failure.
	MaxBackoff = 10 * time.Minute
	// forwardAfter is how soon after a failure a changed address may be
	// tried. It doubles each time that one is, up to MaxBackoff.
	forwardAfter = 30 * time.Second
)

// failures are what failed in a row.
type failures struct {
	count int
	err   error
	// since is when the first of them was, next when to try again.
	since, next time.Time
	forwarded   int
	// last is the newest failure, also once it is over, and at when it was.
	last error
	at   time.Time
}

func (f *failures) add(now time.Time, err error, chance float64) {
	if f.count == 0 {
		f.since = now
	}
	f.count++
	f.err, f.last, f.at = err, err, now
	f.next = now.Add(backoff(f.count, chance))
}

func (f *failures) clear() { *f = failures{last: f.last, at: f.at} }

// backoff returns the pause after the given number of failures in a row: a
// random part of 5s doubling to 10min, so that zones that fail together do
// not come back together.
func backoff(count int, chance float64) time.Duration {
	d := MaxBackoff
	if shift := count - 1; shift < 7 {
		d = min(MaxBackoff, firstBackoff<<shift)
	}
	return time.Second + time.Duration(chance*float64(d-time.Second))
}

// limit is how often an RRset may change: burst times at once, then once in
// every.
type limit struct {
	burst float64
	every time.Duration
}

var limits = [...]limit{
	plan.Own:    {20, 15 * time.Second},
	plan.Client: {4, 30 * time.Second},
}

// pace is how often an RRset has changed of late.
type pace struct {
	// at is when it last did, in Unix nanoseconds.
	at int64
	// target is what was desired then. To write it again is no change.
	target *plan.Desired
	used   float32
}

func (p *pace) level(now time.Time, l limit) float64 {
	return max(0, float64(p.used)-float64(now.UnixNano()-p.at)/float64(l.every))
}

// take counts a write.
func (p *pace) take(now time.Time, d *plan.Desired) {
	if p.used > 0 && slices.Equal(p.target.Addrs, d.Addrs) {
		return
	}
	p.used, p.at, p.target = float32(p.level(now, limits[d.Class])+1), now.UnixNano(), d
}

// rest forgets a pace that no longer matters.
func (p *pace) rest(now time.Time, class plan.Class) {
	if p.used > 0 && p.level(now, limits[class]) == 0 {
		*p = pace{}
	}
}
