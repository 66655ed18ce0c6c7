package quorum

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// Voter is someone who can be asked.
type Voter interface {
	comparable
	// Name identifies the voter to people.
	Name() string
	// Operator is who runs it. Voters of one operator count once.
	Operator() string
}

// Ballot decides whom to ask one question, and which of the answers to believe.
// It knows no network and no clock.
type Ballot[V Voter] struct {
	known   []netip.Addr // believed without a second opinion
	quorum  int          // how many operators must agree on any other address
	queue   []V          // not asked yet, in the order to ask
	waiting map[V]bool   // asked, not answered; true once it is slow
	votes   []ipsources.Vote
	heard   int // how many of the votes are those of other sources
	faults  []string
}

// New opens a ballot with the votes that the voters of other sources gave. A
// known address wins with one vote, any other one with those of quorum
// operators. Voters are asked in the order of the queue.
func New[V Voter](known []netip.Addr, quorum int, votes []ipsources.Vote, queue []V) *Ballot[V] {
	return &Ballot[V]{
		known: known, quorum: quorum, queue: queue, waiting: make(map[V]bool),
		votes: slices.Clone(votes), heard: len(votes),
	}
}

// Next returns the voters to ask now: as many as can settle the matter if all
// answer in time, or all that are left after a disagreement.
func (b *Ballot[V]) Next() (ask []V) {
	if _, ok := b.Winner(); ok {
		return nil
	}
	need := b.quorum - b.count(b.Leader())
	switch {
	case b.Disagree():
		need = len(b.queue)
	case len(b.votes) == 0 && len(b.known) > 0:
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
		if slices.ContainsFunc(b.votes, func(vote ipsources.Vote) bool { return vote.Operator == v.Operator() }) {
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
	b.votes = append(b.votes, ipsources.Vote{Addr: addr, Voter: v.Name(), Operator: v.Operator()})
}

// Fault notes that the voter failed.
func (b *Ballot[V]) Fault(v V, err error) {
	delete(b.waiting, v)
	b.faults = append(b.faults, v.Name()+": "+err.Error())
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
	for _, vote := range b.votes {
		if slices.Contains(b.known, vote.Addr) || b.count(vote.Addr) >= b.quorum {
			return vote.Addr, true
		}
	}
	return netip.Addr{}, false
}

// Leader returns the address that most operators agree on, the earliest on a
// tie. Without votes it is the zero Addr.
func (b *Ballot[V]) Leader() (leader netip.Addr) {
	for _, vote := range b.votes {
		if b.count(vote.Addr) > b.count(leader) {
			leader = vote.Addr
		}
	}
	return leader
}

// Disagree reports whether there are votes for different addresses.
func (b *Ballot[V]) Disagree() bool {
	return slices.ContainsFunc(b.votes, func(vote ipsources.Vote) bool { return vote.Addr != b.votes[0].Addr })
}

// Votes returns the votes of those whom this ballot has asked.
func (b *Ballot[V]) Votes() []ipsources.Vote { return b.votes[b.heard:] }

// VotersFor returns the names of those who voted for the address, sorted.
func (b *Ballot[V]) VotersFor(addr netip.Addr) (names []string) {
	for _, vote := range b.votes {
		if vote.Addr == addr {
			names = append(names, vote.Voter)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Summary lists the votes and failures for people.
func (b *Ballot[V]) Summary() string {
	var said []string
	for _, vote := range b.votes {
		said = append(said, vote.Voter+" says "+vote.Addr.String())
	}
	slices.Sort(said)
	return strings.Join(append(said, slices.Sorted(slices.Values(b.faults))...), "; ")
}

// count returns how many operators vote for the address.
func (b *Ballot[V]) count(addr netip.Addr) int {
	var operators []string
	for _, vote := range b.votes {
		if vote.Addr == addr {
			operators = append(operators, vote.Operator)
		}
	}
	return distinct(operators)
}

func distinct(names []string) int {
	return len(slices.Compact(slices.Sorted(slices.Values(names))))
}
