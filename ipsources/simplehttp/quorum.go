package simplehttp

import (
	"net/netip"
	"slices"
	"strings"
)

// echoBallot decides one lookup of one address family: whom to ask next, and
// which address to believe. It knows no network and no clock.
type echoBallot struct {
	known   []netip.Addr           // last confirmed; believed without a second opinion
	quorum  int                    // how many operators must agree on another address
	queue   []*echoEndpoint        // not asked yet, in the order to ask
	waiting map[*echoEndpoint]bool // asked, not answered; true once it is slow
	answers []echoAnswer
	faults  []echoFault
}

type echoAnswer struct {
	from *echoEndpoint
	addr netip.Addr
}

type echoFault struct {
	from *echoEndpoint
	err  error
}

func newEchoBallot(known []netip.Addr, quorum int, queue []*echoEndpoint) *echoBallot {
	return &echoBallot{known: known, quorum: quorum, queue: queue, waiting: make(map[*echoEndpoint]bool)}
}

// next returns the endpoints to ask now: as many as could settle the matter
// if all answered in time, or all that are left after a disagreement.
func (b *echoBallot) next() (ask []*echoEndpoint) {
	if _, ok := b.winner(); ok {
		return nil
	}
	need := b.quorum - b.votes(b.leader())
	switch {
	case b.disagree():
		need = len(b.queue)
	case len(b.answers) == 0 && len(b.known) > 0:
		need = 1
	}
	for _, slow := range b.waiting {
		if !slow && !b.disagree() {
			need--
		}
	}
	for len(ask) < need && len(b.queue) > 0 {
		e := b.queue[0]
		b.queue = b.queue[1:]
		if slices.ContainsFunc(b.answers, func(a echoAnswer) bool { return a.from.operator == e.operator }) {
			continue
		}
		b.waiting[e] = false
		ask = append(ask, e)
	}
	return ask
}

// slow notes that the endpoint has not answered for so long that another one
// should be asked.
func (b *echoBallot) slow(e *echoEndpoint) {
	if _, ok := b.waiting[e]; ok {
		b.waiting[e] = true
	}
}

func (b *echoBallot) answer(e *echoEndpoint, addr netip.Addr) {
	delete(b.waiting, e)
	b.answers = append(b.answers, echoAnswer{e, addr})
}

func (b *echoBallot) fault(e *echoEndpoint, err error) {
	delete(b.waiting, e)
	b.faults = append(b.faults, echoFault{e, err})
}

// close counts those who have not answered yet as failed.
func (b *echoBallot) close(err error) {
	for e := range b.waiting {
		b.fault(e, err)
	}
}

// over reports, after next, whether nothing more can come.
func (b *echoBallot) over() bool { return len(b.waiting) == 0 }

// winner returns the address to believe, once there is one.
func (b *echoBallot) winner() (netip.Addr, bool) {
	for _, a := range b.answers {
		if slices.Contains(b.known, a.addr) || b.votes(a.addr) >= b.quorum {
			return a.addr, true
		}
	}
	return netip.Addr{}, false
}

// leader returns the answer that most agree on, the earliest of several.
func (b *echoBallot) leader() (leader netip.Addr) {
	for _, a := range b.answers {
		if b.votes(a.addr) > b.votes(leader) {
			leader = a.addr
		}
	}
	return leader
}

func (b *echoBallot) disagree() bool {
	return slices.ContainsFunc(b.answers, func(a echoAnswer) bool { return a.addr != b.answers[0].addr })
}

// votes counts the operators who gave the address.
func (b *echoBallot) votes(addr netip.Addr) int {
	operators := make(map[string]bool)
	for _, a := range b.answers {
		if a.addr == addr {
			operators[a.from.operator] = true
		}
	}
	return len(operators)
}

// hosts returns the hosts that gave the address.
func (b *echoBallot) hosts(addr netip.Addr) (hosts []string) {
	for _, a := range b.answers {
		if a.addr == addr {
			hosts = append(hosts, a.from.host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// whoSaidWhat lists the answers and failures for people.
func (b *echoBallot) whoSaidWhat() string {
	var said, failed []string
	for _, a := range b.answers {
		said = append(said, a.from.host+" says "+a.addr.String())
	}
	for _, f := range b.faults {
		failed = append(failed, f.from.host+": "+f.err.Error())
	}
	slices.Sort(said)
	slices.Sort(failed)
	return strings.Join(append(said, failed...), "; ")
}

// echoRepeat counts how often the same endpoints, and nobody else, gave the
// same changed address in checks in a row.
type echoRepeat struct {
	addr  netip.Addr
	hosts string
	times int
}

// echoRepeats is how often that must be before the address is believed:
// the others may be gone for good.
const echoRepeats = 3

// again notes a further check and reports whether the address may now be
// believed.
func (r *echoRepeat) again(addr netip.Addr, hosts []string) bool {
	if by := strings.Join(hosts, " "); r.addr != addr || r.hosts != by {
		*r = echoRepeat{addr: addr, hosts: by}
	}
	r.times++
	return r.times >= echoRepeats
}
