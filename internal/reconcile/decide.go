package reconcile

import (
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// decide plans the RRset from what is believed of it.
func (m *Machine) decide(key plan.Key, r *rrset) plan.Decision {
	desired := r.desired
	if d := r.doubt; d != nil && desired.State == plan.None && len(d.mine) > 0 {
		all := *desired
		all.Addrs = ipaddr.Sort(slices.Concat(desired.Addrs, d.mine))
		desired = &all
	}
	if desired.State == plan.None && !m.can.Delete {
		return plan.Decision{Verdict: plan.Blocked, Reason: "the provider cannot delete records, so the addresses stay"}
	}
	decision := plan.Decide(key, desired, r.believed, m.obstacles.At(key))
	if decision.Verdict == plan.Differs && decision.Change.OnlyTTL {
		if r.doubt != nil && r.doubt.asked == r.desired.TTL || !m.can.Set {
			return plan.Decision{}
		}
	}
	return decision
}

// leftovers reports whether something that we have published is still to be
// taken away, where neither a read nor a write tells that it is gone.
func (m *Machine) leftovers(r *rrset) bool {
	return r.doubt != nil && !m.can.Read && !m.can.Set && r.desired.State == plan.Set &&
		len(ipaddr.Without(r.doubt.mine, r.desired.Addrs)) > 0
}

// isDesired reports whether the RRset is believed to hold what it should.
func (r *rrset) isDesired() bool {
	return r.desired.State == plan.Set && slices.Equal(r.believed.Addrs, r.desired.Addrs)
}

func sameDesired(a, b *plan.Desired) bool {
	return a.State == b.State && a.TTL == b.TTL && a.UpdateOnly == b.UpdateOnly && a.Withdraw == b.Withdraw &&
		a.Source == b.Source && a.Class == b.Class && slices.Equal(a.Addrs, b.Addrs)
}
