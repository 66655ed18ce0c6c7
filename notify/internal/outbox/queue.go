// Package outbox delivers messages to one recipient: at most one a minute about
// one thing, and again and again where that fails.
package outbox

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// spacing is between two messages about one thing.
	spacing = time.Minute
	// firstPause is how long a failed message waits, doubling to longestPause.
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
	// newsPause is how soon after a failure something new is a reason to try again:
	// what is new may be that the internet is back.
	newsPause = 30 * time.Second
	// lifetime is how long an undelivered message is worth having.
	lifetime = 24 * time.Hour
	// maxThings bounds how many messages wait, each about another thing.
	maxThings = 256
	// late is from when on a message says when that was which it is about.
	late = time.Minute
)

// Message says what happened.
type Message struct {
	Title, Text string
	// At is when it happened, and Event tells it from all else that has.
	At    time.Time
	Event string
}

// waiting is the newest message about a thing.
type waiting struct {
	Message
	// held are how many older ones it stands for.
	held int
}

// queue is what waits to be delivered. It asks no clock and has no lock.
type queue struct {
	waiting map[string]waiting
	// newest are the last messages that were taken about each thing: two
	// handlers may tell the same of one event.
	newest map[string]Message
	// sent is when the last message about a thing was delivered.
	sent map[string]time.Time
	// After failures, the last of which was at failedAt, nothing is tried until
	// then.
	until, failedAt time.Time
	failures        int
}

func newQueue() *queue {
	return &queue{waiting: make(map[string]waiting), newest: make(map[string]Message), sent: make(map[string]time.Time)}
}

// add takes a message, which replaces an older one about the same thing. It
// reports whether another one was lost for that there are too many.
func (q *queue) add(thing string, m Message, now time.Time) (lost bool) {
	for key, at := range q.sent {
		if now.Sub(at) >= spacing {
			delete(q.sent, key)
		}
	}
	for key, m := range q.newest {
		if now.Sub(m.At) >= spacing {
			delete(q.newest, key)
		}
	}
	if q.newest[thing] == m {
		return false
	}
	q.newest[thing] = m
	if soon := q.failedAt.Add(newsPause); q.until.After(soon) {
		q.until = soon
	}
	before, there := q.waiting[thing]
	if there {
		q.waiting[thing] = waiting{m, before.held + 1}
		return false
	}
	if len(q.waiting) >= maxThings {
		oldest, _ := q.oldest(func(string) bool { return true })
		delete(q.waiting, oldest)
		lost = true
	}
	q.waiting[thing] = waiting{Message: m}
	return lost
}

// next takes out the message that is to be delivered now, or says how long to
// wait for one. With hurry, nothing is waited for. There is none if what it
// is about is "".
func (q *queue) next(now time.Time, hurry bool) (thing string, m waiting, wait time.Duration) {
	if pause := q.until.Sub(now); pause > 0 && !hurry {
		return "", m, pause
	}
	due := func(key string) time.Duration {
		if at, ok := q.sent[key]; ok && !hurry {
			return max(0, at.Add(spacing).Sub(now))
		}
		return 0
	}
	thing, m = q.oldest(func(key string) bool { return due(key) == 0 })
	if thing != "" {
		delete(q.waiting, thing)
		return thing, m, 0
	}
	wait = spacing
	for key := range q.waiting {
		wait = min(wait, due(key))
	}
	return "", m, wait
}

// oldest returns the message of those about certain things that has waited the
// longest.
func (q *queue) oldest(of func(thing string) bool) (thing string, m waiting) {
	for key, w := range q.waiting {
		if of(key) && (thing == "" || cmp.Or(w.At.Compare(m.At), cmp.Compare(key, thing)) < 0) {
			thing, m = key, w
		}
	}
	return thing, m
}

// delivered notes that a message about the thing was delivered.
func (q *queue) delivered(thing string, now time.Time) {
	q.sent[thing] = now
	q.until, q.failures = time.Time{}, 0
}

// failed takes back a message that was not delivered. It reports whether it has
// been given up.
func (q *queue) failed(thing string, m waiting, now time.Time) (gone bool) {
	pause := longestPause
	if q.failures < 7 {
		pause = firstPause << q.failures
	}
	q.failures++
	q.until, q.failedAt = now.Add(pause), now
	newer, there := q.waiting[thing]
	switch {
	case there:
		newer.held += m.held + 1
		q.waiting[thing] = newer
	case now.Sub(m.At) >= lifetime:
		return true
	default:
		q.waiting[thing] = m
	}
	return false
}

// text is the message as it is delivered.
func (w *waiting) text(now time.Time) string {
	text := w.Text
	if now.Sub(w.At) > late {
		text += w.At.Format("\n\nThat was at 2006-01-02 15:04:05 MST.")
	}
	switch w.held {
	case 0:
	case 1:
		text += "\n\n1 earlier message like this was held back."
	default:
		text += fmt.Sprintf("\n\n%d earlier messages like this were held back.", w.held)
	}
	return text
}
