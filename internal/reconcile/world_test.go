package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strings"
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
	desired  value
	none     bool
	managed  int
	evidence [names]evidence
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
		kind: k, m: New(), now: time.Unix(1e9, 0), managed: names, holder: 1,
		faults: 2, edits: 1, changes: 3, reloads: 2,
	}
	w.zone = [names]value{z, 0}
	w.before = w.zone
	w.desired = a
	w.claim()
	return w
}

func (w *world) wanted(i int) *plan.Desired {
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
		d[keys[i]] = w.wanted(i)
	}
	w.m.Step(w.now, 0.5, Claim{Holder: w.holder, Desired: d, Abilities: w.kind.can, VerifyEvery: verifyEvery})
}

// move is something that may happen.
type move uint8

const (
	moveBegin move = iota
	moveDone
	moveFail
	moveFailLate
	moveFailHalf
	moveLost
	moveHang
	moveReturn
	moveTick
	moveToA
	moveToB
	moveToBoth
	moveToUnknown
	moveToNone
	moveReload
	moveForget
	moveAdopt
	moveEdit
	moveErase
	moves
)

var errCall = errors.New("503")

// do makes the move, if it can be made.
func (w *world) do(mv move) (*world, bool) {
	if !w.can(mv) {
		return nil, false
	}
	n := w.clone()
	switch mv {
	case moveBegin:
		n.begin()
	case moveDone:
		if n.refused() {
			n.end(n.calling(), 0, errCall, false)
		} else {
			n.end(n.calling(), names, nil, false)
		}
	case moveFail:
		n.faults--
		n.end(n.calling(), 0, errCall, false)
	case moveFailLate:
		n.faults--
		n.end(n.calling(), names, errCall, false)
	case moveFailHalf:
		n.faults--
		n.end(n.calling(), 1, errCall, false)
	case moveLost:
		n.faults--
		n.end(n.calling(), 0, nil, true)
	case moveHang:
		n.faults--
		late := n.calling()
		n.late = late
		if late.Do != DoRead {
			n.uncertain(late)
		}
		n.m.Step(n.now, 0.5, Abandoned{Err: errCall})
	case moveReturn:
		if n.late.Do != DoRead {
			n.apply(n.late, names)
		}
		do := n.late.Do
		n.late = nil
		n.m.Step(n.now, 0.5, Returned{do})
	case moveTick:
		n.tick()
	case moveToA, moveToB, moveToBoth, moveToUnknown, moveToNone:
		n.changes--
		n.desired = [...]value{a, b, a | b, 0, n.desired}[mv-moveToA]
		n.none = mv == moveToNone
		for i := range n.managed {
			n.m.Step(n.now, 0.5, Want{Holder: n.holder, Key: keys[i], Desired: n.wanted(i)})
		}
	case moveReload, moveForget, moveAdopt:
		n.reloads--
		old := n.holder
		n.holder++
		if mv == moveForget {
			n.managed, n.none = 1, false
		}
		if mv == moveAdopt {
			n.managed, n.adopted = names, true
		}
		n.claim()
		n.m.Step(n.now, 0.5, Release{old})
	case moveEdit, moveErase:
		n.edits--
		n.edited[0] = true
		n.shift(0, map[bool]value{true: z, false: 0}[mv == moveEdit])
	}
	return n, true
}

func (w *world) can(mv move) bool {
	calling := w.m.call != nil
	writing := calling && w.m.call.Do != DoRead
	switch mv {
	case moveBegin:
		return !calling && w.due()
	case moveDone:
		return calling && !(w.kind.unreadable && w.m.call.Do == DoRead)
	case moveFail:
		return calling && (w.faults > 0 || w.kind.unreadable && w.m.call.Do == DoRead) && !(w.m.call.Do == DoRead && !w.kind.can.Read)
	case moveFailLate:
		return writing && w.faults > 0
	case moveFailHalf:
		return writing && w.faults > 0 && len(w.m.call.Writes) > 1
	case moveLost:
		// Where nothing can be read, nobody can find that out.
		return writing && w.faults > 0 && w.kind.can.Read && !w.kind.unreadable
	case moveHang:
		return calling && w.faults > 0 && w.late == nil && !(w.m.call.Do == DoRead && !w.kind.can.Read)
	case moveReturn:
		return w.late != nil
	case moveTick:
		return !calling && !w.due() && !w.m.Next(w.now).Until.IsZero()
	case moveToA, moveToB, moveToBoth:
		return w.changes > 0 && (w.desired != [...]value{a, b, a | b}[mv-moveToA] || w.none)
	case moveToUnknown:
		return w.changes > 0 && w.desired != 0
	case moveToNone:
		return w.changes > 0 && !w.none && !w.adopted && w.desired != 0 && w.managed == names
	case moveReload:
		return w.reloads > 0
	case moveForget:
		return w.reloads > 0 && w.managed == names
	case moveAdopt:
		return w.reloads > 0 && w.managed < names
	}
	return w.edits > 0
}

// calling is a copy of the call that is under way.
func (w *world) calling() *Action {
	call := *w.m.call
	call.Writes = slices.Clone(call.Writes)
	return &call
}

func (w *world) due() bool {
	next := w.m.Next(w.now)
	return next.Do != DoNothing || !next.Until.IsZero() && !next.Until.After(w.now)
}

func (w *world) tick() { w.now = w.m.Next(w.now).Until }

func (w *world) begin() {
	action := w.m.Begin(w.now, 0.5)
	w.m.Reports()
	w.emptying = w.none
	for _, write := range action.Writes {
		r := w.m.sets[write.Key]
		if r == nil || r.desired.State == plan.Unknown {
			w.trouble = fmt.Sprintf("writes %s, of which nothing is desired", write.Key)
		}
	}
}

// end ends a call of which the first writes take effect.
func (w *world) end(call *Action, effect int, err error, lost bool) {
	if call.Do == DoRead {
		w.endRead(err)
		return
	}
	w.apply(call, effect)
	if err != nil {
		w.uncertain(call)
	} else {
		for _, write := range call.Writes {
			i := index(write.Key)
			e := &w.evidence[i]
			e.value, e.known = effectOf(whole, call.Do, e.value, valueOf(write.Addrs)), true
		}
	}
	w.m.Step(w.now, 0.5, Wrote{Err: err})
}

// refused reports whether the provider does not take the call.
func (w *world) refused() bool {
	return w.kind.refuses && w.m.call.Do == DoSet && slices.ContainsFunc(w.m.call.Writes, func(write plan.Write) bool {
		there := w.zone[index(write.Key)]
		return there&(there-1) != 0
	})
}

func (w *world) endRead(err error) {
	if err != nil {
		w.m.Step(w.now, 0.5, Read{Err: err})
		return
	}
	observed := plan.Observed{Sets: make(map[plan.Key]plan.RRset)}
	for i := range names {
		shown := w.zone[i]
		if w.now.Before(w.until[i]) {
			shown = w.before[i]
		}
		if !w.kind.can.Read {
			// What was accepted, which is nothing at first.
			shown = w.evidence[i].value
			if !w.evidence[i].known && w.kind.can.Set {
				shown = 0
			}
		}
		w.evidence[i] = evidence{true, shown}
		w.edited[i] = false
		if shown != 0 {
			observed.Sets[keys[i]] = plan.RRset{Addrs: shown.addrs(), TTL: plan.DefaultTTL}
		}
	}
	w.m.Step(w.now, 0.5, Read{Observed: observed})
}

// uncertain notes that nobody knows what a call has done.
func (w *world) uncertain(call *Action) {
	for _, write := range call.Writes {
		w.evidence[index(write.Key)].known = false
	}
}

func (w *world) apply(call *Action, most int) {
	for n, write := range call.Writes {
		if n >= most {
			break
		}
		i := index(write.Key)
		after := effectOf(w.kind.set, call.Do, w.zone[i], valueOf(write.Addrs))
		avoidable := w.kind.can.Read && !w.kind.unreadable && !w.edited[i] && !w.m.reads.dead()
		if after == 0 && w.zone[i] != 0 && avoidable && !(w.emptying && i == 1) {
			w.trouble = fmt.Sprintf("%s is left without an address", write.Key)
		}
		if w.zone[i]&z != 0 && after&z == 0 && w.none && w.emptying && i == 1 {
			w.trouble = fmt.Sprintf("%s: takes away an address that is not ours", write.Key)
		}
		w.shift(i, after)
	}
}

// shift changes the zone, which lagging reads show later.
func (w *world) shift(i int, after value) {
	if w.kind.lag > 0 && after != w.zone[i] {
		if !w.now.Before(w.until[i]) {
			w.before[i] = w.zone[i]
		}
		w.until[i] = w.now.Add(w.kind.lag)
	}
	w.zone[i] = after
}

func effectOf(set func(zone, written value) value, do Do, zone, written value) value {
	switch do {
	case DoSet:
		return set(zone, written)
	case DoAppend:
		return zone | written
	}
	return zone &^ written
}

func index(key plan.Key) int { return slices.Index(keys[:], key) }

// problem says what must never be and is.
func (w *world) problem() string {
	if w.trouble != "" {
		return w.trouble
	}
	w.m.Reports()
	for i := range w.managed {
		d := w.wanted(i)
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
	if w.m.wanted == 0 {
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
	for i := range w.managed {
		d := w.wanted(i)
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

// calmMove is what happens where nothing more goes wrong.
func (w *world) calmMove() (move, bool) {
	order := []move{moveDone, moveReturn, moveBegin, moveTick}
	if w.kind.unreadable {
		order = []move{moveDone, moveFail, moveReturn, moveBegin, moveTick}
	}
	for _, mv := range order {
		if w.can(mv) {
			return mv, true
		}
	}
	return 0, false
}

func (w *world) calmly() (*world, bool) {
	mv, ok := w.calmMove()
	if !ok {
		return nil, false
	}
	return w.do(mv)
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
	m.reports = nil
	return &n
}

// digest stands for all that decides what may come.
func (w *world) digest() uint64 {
	var h maphash.Hash
	h.SetSeed(digestSeed)
	num := func(numbers ...int) {
		for _, n := range numbers {
			var buf [8]byte
			binary.LittleEndian.PutUint64(buf[:], uint64(n))
			h.Write(buf[:])
		}
	}
	flag := func(flags ...bool) {
		for _, f := range flags {
			if f {
				h.WriteByte(1)
			} else {
				h.WriteByte(0)
			}
		}
	}
	since := func(t time.Time) int {
		if t.IsZero() {
			return -1 << 40
		}
		return int(t.Sub(w.now) / time.Second)
	}
	num(int(w.desired), w.managed, int(w.faults), int(w.edits), int(w.changes), int(w.reloads))
	flag(w.none, w.emptying, w.adopted)
	for i := range names {
		num(int(w.zone[i]), int(w.evidence[i].value))
		flag(w.evidence[i].known, w.edited[i])
		if w.now.Before(w.until[i]) {
			num(int(w.before[i]), since(w.until[i]))
		}
		r := w.m.sets[keys[i]]
		if r == nil {
			num(-1)
			continue
		}
		num(int(valueOf(r.believed.Addrs)))
		flag(r.known, r.seen, r.born == w.m.reads.begun, w.m.open[keys[i]] != nil)
		if d := r.doubt; d != nil {
			flag(d.pending, d.late, d.rewritten, d.unsure, d.unread, d.writing, d.based, d.begun, d.drifted, d.failure != nil,
				d.way.repair, d.way.stuck, d.way.alone)
			num(since(d.ended), int(valueOf(d.from)), int(valueOf(d.before)), int(valueOf(d.mine)), int(d.way.tries))
			for _, past := range d.past {
				num(int(valueOf(past)))
			}
		}
	}
	m := w.m
	flag(m.hungRead, m.hungWrite, m.asked, m.attempt != nil, m.call != nil, w.late != nil)
	num(since(m.reads.at), m.reads.failed, since(m.reads.since), int(m.reads.shows), m.reads.looks, since(m.reads.next))
	num(m.failures.count, since(m.failures.next), m.failures.forwarded)
	if a := m.attempt; a != nil {
		flag(a.fresh, a.written, a.blind, a.readErr != nil, a.works, a.over != nil)
		num(a.refusals)
		for i := range names {
			flag(a.failed[keys[i]] != nil)
		}
	}
	for _, call := range []*Action{m.call, w.late} {
		if call == nil {
			continue
		}
		num(int(call.Do))
		for _, write := range call.Writes {
			num(index(write.Key), int(valueOf(write.Addrs)))
		}
	}
	return h.Sum64()
}

func (w *world) String() string {
	var parts []string
	for i := range names {
		s := fmt.Sprintf("%s=%s", keys[i].Name, w.zone[i])
		if r := w.m.sets[keys[i]]; r != nil {
			j := w.m.judge(keys[i], r)
			s += fmt.Sprintf(" (%s→%s %d", valueOf(r.believed.Addrs), valueOf(r.desired.Addrs), j.state)
			if d := r.doubt; d != nil {
				s += flags(map[string]bool{"pending": d.pending, "unsure": d.unsure, "unread": d.unread, "repair": d.way.repair, "late": d.late})
			}
			s += ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "  ") + fmt.Sprintf("  failures %d", w.m.failures.count)
}

func flags(set map[string]bool) (s string) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if set[name] {
			s += " " + name
		}
	}
	return s
}

func (w *world) describe(mv move) string {
	call := "read"
	if c := w.m.call; c != nil && c.Do != DoRead {
		call = callText(c)
	}
	switch mv {
	case moveBegin:
		n := w.clone()
		action := n.m.Begin(w.now, 0.5)
		return "begin " + callText(&action)
	case moveDone:
		return call + ": done"
	case moveFail:
		return call + ": fails"
	case moveFailLate:
		return call + ": done, and the answer lost"
	case moveFailHalf:
		return call + ": fails halfway"
	case moveLost:
		return call + ": accepted and lost"
	case moveHang:
		return call + ": hangs"
	}
	return map[move]string{
		moveReturn: "the call that hung returns", moveTick: "time passes", moveToA: "the address is a", moveToB: "the address is b",
		moveToBoth: "the addresses are a and b", moveToUnknown: "the address is unknown", moveToNone: "x is to hold none", moveReload: "reload",
		moveForget: "reload without x", moveAdopt: "reload with x", moveEdit: "somebody writes z to www", moveErase: "somebody deletes www",
	}[mv]
}

func (w *world) describeCalm() string {
	mv, _ := w.calmMove()
	return w.describe(mv)
}

func callText(c *Action) string {
	s := map[Do]string{DoNothing: "nothing", DoRead: "read", DoSet: "set", DoAppend: "append", DoDelete: "delete"}[c.Do]
	for _, write := range c.Writes {
		s += fmt.Sprintf(" %s=%s", write.Key.Name, valueOf(write.Addrs))
	}
	return s
}
