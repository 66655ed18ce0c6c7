// Package quorum decides whom to ask for an address, and which of the answers
// to believe. It knows no network and no clock.
package quorum

import (
	"net/netip"
	"slices"
	"strings"
)

// Voter is someone who can be asked.
type Voter interface {
	comparable
	// Name identifies the voter to people.
	Name() string
	// Operator is who runs it. Voters of one operator count once.
	Operator() string
}

// Ballot decides one question.
type Ballot[V Voter] struct {
	known   []netip.Addr // believed without a second opinion
	quorum  int          // how many operators must agree on any other address
	queue   []V          // not asked yet, in the order to ask
	waiting map[V]bool   // asked, not answered; true once it is slow
	answers []answer[V]
	faults  []fault[V]
}

type answer[V Voter] struct {
	from V
	addr netip.Addr
}

type fault[V Voter] struct {
	from V
	err  error
}

// New opens a ballot. A known address wins with one vote, any other one with
// those of quorum operators. Voters are asked in the order of the queue.
func New[V Voter](known []netip.Addr, quorum int, queue []V) *Ballot[V] {
	return &Ballot[V]{known: known, quorum: quorum, queue: queue, waiting: make(map[V]bool)}
}

// Next returns the voters to ask now: as many as can settle the matter if all
// answer in time, or all that are left after a disagreement.
func (b *Ballot[V]) Next() (ask []V) {
	if _, ok := b.Winner(); ok {
		return nil
	}
	need := b.quorum - b.votes(b.Leader())
	switch {
	case b.Disagree():
		need = len(b.queue)
	case len(b.answers) == 0 && len(b.known) > 0:
		need = 1
	}
	for _, slow := range b.waiting {
		if !slow && !b.Disagree() {
			need--
		}
	}
	for len(ask) < need && len(b.queue) > 0 {
		v := b.queue[0]
		b.queue = b.queue[1:]
		if slices.ContainsFunc(b.answers, func(a answer[V]) bool { return a.from.Operator() == v.Operator() }) {
			continue
		}
		b.waiting[v] = false
		ask = append(ask, v)
	}
	return ask
}

// Slow notes that the voter takes so long that another one should be asked.
func (b *Ballot[V]) Slow(v V) {
	if _, ok := b.waiting[v]; ok {
		b.waiting[v] = true
	}
}

// Answer notes a vote.
func (b *Ballot[V]) Answer(v V, addr netip.Addr) {
	delete(b.waiting, v)
	b.answers = append(b.answers, answer[V]{v, addr})
}

// Fault notes that the voter failed.
func (b *Ballot[V]) Fault(v V, err error) {
	delete(b.waiting, v)
	b.faults = append(b.faults, fault[V]{v, err})
}

// Close counts voters that have not answered yet as failed.
func (b *Ballot[V]) Close(err error) {
	for v := range b.waiting {
		b.Fault(v, err)
	}
}

// Over reports, after Next, whether nothing more can come.
func (b *Ballot[V]) Over() bool { return len(b.waiting) == 0 }

// Winner returns the address to believe, once there is one.
func (b *Ballot[V]) Winner() (netip.Addr, bool) {
	for _, a := range b.answers {
		if slices.Contains(b.known, a.addr) || b.votes(a.addr) >= b.quorum {
			return a.addr, true
		}
	}
	return netip.Addr{}, false
}

// Leader returns the answer that most operators agree on, the earliest on a
// tie. Without answers it is the zero Addr.
func (b *Ballot[V]) Leader() (leader netip.Addr) {
	for _, a := range b.answers {
		if b.votes(a.addr) > b.votes(leader) {
			leader = a.addr
		}
	}
	return leader
}

// Disagree reports whether there are different answers.
func (b *Ballot[V]) Disagree() bool {
	return slices.ContainsFunc(b.answers, func(a answer[V]) bool { return a.addr != b.answers[0].addr })
}

// votes counts the operators that gave the address.
func (b *Ballot[V]) votes(addr netip.Addr) int {
	operators := make(map[string]bool)
	for _, a := range b.answers {
		if a.addr == addr {
			operators[a.from.Operator()] = true
		}
	}
	return len(operators)
}

// VotersFor returns the names of those who gave the address, sorted.
func (b *Ballot[V]) VotersFor(addr netip.Addr) (names []string) {
	for _, a := range b.answers {
		if a.addr == addr {
			names = append(names, a.from.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Summary lists the answers and failures for people.
func (b *Ballot[V]) Summary() string {
	var said, failed []string
	for _, a := range b.answers {
		said = append(said, a.from.Name()+" says "+a.addr.String())
	}
	for _, f := range b.faults {
		failed = append(failed, f.from.Name()+": "+f.err.Error())
	}
	slices.Sort(said)
	slices.Sort(failed)
	return strings.Join(append(said, failed...), "; ")
}
