package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// kind is a provider that the machine is explored with.
type kind struct {
	name string
	can  Abilities
	set  func(zone, written value) value
	// lag is for how long reads show what was there before.
	lag time.Duration
	// unreadable tells that reads fail.
	unreadable bool
	// refuses tells that several values that are there cannot be set.
	refuses bool
}

var everything = Abilities{Read: true, Set: true, Append: true, Delete: true}

func whole(_, written value) value { return written }

// lastOf makes the last value of several the only one.
func lastOf(_, written value) value {
	for bit := value(1 << 7); bit > 0; bit >>= 1 {
		if written&bit != 0 {
			return bit
		}
	}
	return 0
}

var explored = []kind{
	{name: "strict", can: everything, set: whole},
	{name: "the last value wins", can: everything, set: lastOf},
	{name: "the last value wins, several cannot be set", can: everything, set: lastOf, refuses: true},
	{name: "set appends", can: everything, set: func(zone, written value) value { return zone | written }},
	{name: "sets only", can: Abilities{Read: true, Set: true}, set: whole},
	{name: "appends and deletes only", can: Abilities{Read: true, Append: true, Delete: true}},
	{name: "reads lag", can: everything, set: whole, lag: 5 * time.Minute},
	{name: "reads lag, appends and deletes only", can: Abilities{Read: true, Append: true, Delete: true}, lag: 5 * time.Minute},
	{name: "cannot be read", can: Abilities{Set: true, Append: true, Delete: true}, set: whole},
	{name: "cannot be read, appends and deletes only", can: Abilities{Append: true, Delete: true}},
	{name: "reads fail", can: everything, set: whole, unreadable: true},
	{name: "reads fail, appends and deletes only", can: Abilities{Read: true, Append: true, Delete: true}, unreadable: true},
}

// value is a set of addresses: ours a and b, and a stranger's z.
type value uint8

const (
	a value = 1 << iota
	b
	z
)

var addrOf = map[value]netip.Addr{
	a: netip.MustParseAddr("93.184.216.1"), b: netip.MustParseAddr("93.184.216.2"), z: netip.MustParseAddr("93.184.216.3"),
}

func (v value) addrs() (list []netip.Addr) {
	for _, one := range []value{a, b, z} {
		if v&one != 0 {
			list = append(list, addrOf[one])
		}
	}
	return list
}

func valueOf(addrs []netip.Addr) (v value) {
	for one, addr := range addrOf {
		if slices.Contains(addrs, addr) {
			v |= one
		}
	}
	return v
}

func (v value) String() string {
	if v == 0 {
		return "-"
	}
	var s string
	for i, name := range []string{"a", "b", "z"} {
		if v&(1<<i) != 0 {
			s += name
		}
	}
	return s
}

const names = 2

var keys = [names]plan.Key{{Name: "www", Family: ipaddr.V4}, {Name: "x", Family: ipaddr.V4}}

var verifyEvery = 3 * time.Hour

// evidence is the newest there is of an RRset, as told to the machine.
type evidence struct {
	known bool
	value value
}

// world is the machine with all that it can come to know of.
type world struct {
	kind kind
	m    *Machine
	now  time.Time

	zone [names]value
	// before is what lagging reads show, until when.
	before [names]value
	until  [names]time.Time
	// late is a call that was given up and has not returned.
	late *Action
	// desired is what the machine was told, managed whether x is managed.
	desired value
	none    bool
	// leaving means that x has left the configuration, and that what was
	// published there is to be taken away; left means that this is done.
	leaving, left bool
	// published are the values that were written to x, as the ledger has them.
	published value
	managed   int
	evidence  [names]evidence
	// edited are the names that others have written since the last read.
	edited [names]bool
	holder Holder
	// adopted means that x was forgotten and is managed again, so that nobody
	// knows what was published there.
	adopted bool
	// emptying means that the call was begun to leave x with none.
	emptying bool

	faults, edits, changes, reloads int8
	trouble                         string
}

func newWorld(k kind) *world {
	w := &world{
		kind: k, m: New(Habits{}), now: time.Unix(1e9, 0), managed: names, holder: 1,
		faults: 2, edits: 1, changes: 3, reloads: 2,
	}
	w.zone = [names]value{z, 0}
	w.before = w.zone
	w.desired = a
	w.claim()
	return w
}

func (w *world) desiredOf(i int) *plan.Desired {
	if w.leaving && i == 1 {
		return &plan.Desired{State: plan.None, Withdraw: true, Addrs: w.published.addrs()}
	}
	if w.none && i == 1 {
		return &plan.Desired{State: plan.None}
	}
	if w.desired == 0 {
		return &plan.Desired{}
	}
	return &plan.Desired{State: plan.Set, Addrs: w.desired.addrs()}
}

func (w *world) claim() {
	d := make(map[plan.Key]*plan.Desired)
	for i := range w.managed {
		d[keys[i]] = w.desiredOf(i)
	}
	w.m.Step(w.now, 0.5, Claim{Holder: w.holder, Desired: d, Abilities: w.kind.can, VerifyEvery: verifyEvery})
}

// problem says what must never be and is.
func (w *world) problem() string {
	if w.trouble != "" {
		return w.trouble
	}
	w.m.Reports()
	if w.leaving && w.m.sets[keys[1]] == nil {
		return "x is given up, and nobody was told"
	}
	for i := range w.managed {
		d := w.desiredOf(i)
		r := w.m.sets[keys[i]]
		j := w.m.judge(keys[i], r)
		e := w.evidence[i]
		if j.state == InSync && d.State == plan.Set && (!e.known || e.value != w.desired) {
			return fmt.Sprintf("%s is called in sync, against the newest evidence", keys[i])
		}
		if j.state == NoAddress || j.state == InSync || j.state == InTheWay && d.State == plan.None || w.m.call != nil || w.m.hungWrite {
			continue
		}
		next := w.m.Next(w.now)
		bound := maxLook
		if j.state == InTrouble && w.m.hungRead == false {
			bound = MaxBackoff
		}
		if next.Do == DoNothing && (next.Until.IsZero() || next.Until.Sub(w.now) > bound) {
			return fmt.Sprintf("%s is not as desired (%s), and nothing is due within %s", keys[i], j.reason, bound)
		}
	}
	return ""
}

// settled reports whether nothing is to be done but to verify.
func (w *world) settled() bool {
	if w.m.call != nil || w.late != nil || w.m.attempt != nil || w.due() {
		return false
	}
	if w.m.desires == 0 {
		return true
	}
	for i := range names {
		if w.now.Before(w.until[i]) {
			return false
		}
	}
	if w.kind.unreadable {
		return w.desired == 0 || w.wrong() == ""
	}
	if w.m.failures.count > 0 || w.m.reads.looks > 0 {
		return false
	}
	// What others have done is found out by the next read.
	for i := range w.managed {
		if w.kind.can.Read && w.evidence[i].value != w.zone[i] {
			return false
		}
	}
	return true
}

// wrong says what is not as it should be.
func (w *world) wrong() string {
	if w.left && w.kind.can.Read && w.zone[1]&w.published != 0 {
		return fmt.Sprintf("x was withdrawn, and holds %s", w.zone[1])
	}
	for i := range w.managed {
		d := w.desiredOf(i)
		j := w.m.judge(keys[i], w.m.sets[keys[i]])
		want := w.desired
		switch {
		case w.adopted && i == 1 && !w.kind.can.Set && (!w.kind.can.Read || w.kind.unreadable):
			continue
		case d.State == plan.Unknown, !w.kind.can.Read && w.edits == 0, !w.kind.can.Read && !w.kind.can.Set && w.zone[i]&z != 0:
			continue
		case d.State == plan.None:
			if w.kind.can.Delete && w.zone[i]&(a|b) != 0 && !w.kind.unreadable {
				return fmt.Sprintf("%s holds %s, which should be gone", keys[i], w.zone[i])
			}
			continue
		}
		got := w.zone[i]
		if w.kind.unreadable && (w.edits == 0 || !w.kind.can.Set) {
			// Nobody can find out what others have there.
			got &^= z
			if w.edits == 0 && got != want {
				continue
			}
		}
		if got != want {
			return fmt.Sprintf("%s holds %s instead of %s", keys[i], w.zone[i], want)
		}
		if j.state != InSync && !w.kind.unreadable {
			return fmt.Sprintf("%s is right and called otherwise: %s", keys[i], j.reason)
		}
	}
	return ""
}

func (w *world) clone() *world {
	n := *w
	m := *w.m
	n.m = &m
	m.sets, m.open = make(map[plan.Key]*rrset, names), make(map[plan.Key]*rrset, names)
	for key, r := range w.m.sets {
		c := *r
		if r.doubt != nil {
			d := *r.doubt
			d.past, d.mine = slices.Clone(d.past), slices.Clone(d.mine)
			c.doubt = &d
		}
		m.sets[key] = &c
	}
	for key := range w.m.open {
		m.open[key] = m.sets[key]
	}
	if m.call != nil {
		m.call = w.calling()
	}
	if m.attempt != nil {
		attempt := *m.attempt
		attempt.failed = maps.Clone(attempt.failed)
		m.attempt = &attempt
	}
	m.reports, m.withdrawn = nil, maps.Clone(m.withdrawn)
	return &n
}
