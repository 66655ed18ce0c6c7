package reconcile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

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
	moveLeave
	moveEdit
	moveErase
	moveEstrange
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
			n.m.Step(n.now, 0.5, Desire{Holder: n.holder, Key: keys[i], Desired: n.desiredOf(i)})
		}
	case moveReload, moveForget, moveAdopt, moveLeave:
		n.reloads--
		old := n.holder
		n.holder++
		switch mv {
		case moveForget:
			n.managed, n.none, n.leaving = 1, false, false
		case moveAdopt:
			n.managed, n.adopted, n.leaving, n.left = names, true, false, false
		case moveLeave:
			n.none, n.leaving = false, true
		}
		n.claim()
		n.m.Step(n.now, 0.5, Release{old})
	case moveEdit, moveErase:
		n.edits--
		n.edited[0] = true
		n.shift(0, map[bool]value{true: z, false: 0}[mv == moveEdit])
	case moveEstrange:
		// Another instance has written, and this one is to write again.
		n.edits--
		n.edited[0] = true
		n.shift(0, z)
		for i := range n.evidence {
			n.evidence[i].known = false
		}
		n.m.Step(n.now, 0.5, Estrange{})
	}
	n.noteWithdrawn()
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
		return w.changes > 0 && !w.none && !w.leaving && !w.adopted && w.desired != 0 && w.managed == names
	case moveReload:
		return w.reloads > 0
	case moveForget:
		return w.reloads > 0 && w.managed == names
	case moveAdopt:
		return w.reloads > 0 && (w.managed < names || w.leaving)
	case moveLeave:
		return w.reloads > 0 && w.managed == names && !w.leaving && w.published != 0
	case moveEstrange:
		// Where reads lag, only time tells what others have written.
		return w.edits > 0 && w.kind.lag == 0
	}
	return w.edits > 0
}

// noteWithdrawn notes that x was given up once nothing that we published is
// there.
func (w *world) noteWithdrawn() {
	if !w.leaving || w.m.sets[keys[1]] != nil {
		return
	}
	if e := w.evidence[1]; e.known && e.value&w.published != 0 {
		w.trouble = "x is given up, against the newest evidence"
	}
	w.managed, w.leaving, w.left = 1, false, true
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
	w.emptying = w.none || w.leaving
	for _, write := range action.Writes {
		r := w.m.sets[write.Key]
		if r == nil || r.desired.State == plan.Unknown {
			w.trouble = fmt.Sprintf("writes %s, of which nothing is desired", write.Key)
		}
		if write.Key == keys[1] && action.Do != DoDelete {
			w.published |= valueOf(write.Addrs)
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
		if w.zone[i]&z != 0 && after&z == 0 && (w.none || w.leaving) && w.emptying && i == 1 {
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
