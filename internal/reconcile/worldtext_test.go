package reconcile

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

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
	flag(w.none, w.emptying, w.adopted, w.leaving, w.left)
	num(int(w.published))
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
			flag(d.pending, d.late, d.rewritten, d.unsure, d.unread, d.writing, d.withdrew, d.based, d.begun, d.drifted, d.failure != nil,
				d.way.repair, d.way.stuck, d.way.alone)
			num(since(d.accepted), since(d.ended), max(since(d.since), -3601), int(valueOf(d.from)), int(valueOf(d.before)), int(valueOf(d.mine)), int(d.way.tries))
			for _, past := range d.past {
				num(int(valueOf(past)))
			}
		}
	}
	m := w.m
	if at, ok := m.withdrawn[keys[1]]; ok {
		flag(m.reads.at.After(at))
		num(max(since(m.reads.habits.wrote), -3601))
	}
	flag(m.hungRead, m.hungWrite, m.asked, m.attempt != nil, m.call != nil, w.late != nil)
	num(since(m.reads.at), m.reads.failed, since(m.reads.since), int(m.reads.habits.shows), m.reads.looks, since(m.reads.next))
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
		moveForget: "reload without x", moveLeave: "x leaves, and is withdrawn", moveAdopt: "reload with x", moveEdit: "somebody writes z to www", moveErase: "somebody deletes www", moveEstrange: "another instance has written z to www",
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
