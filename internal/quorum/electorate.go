package quorum

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// quorum returns how many operators must agree over the family.
func (p *Poll[V]) quorum(f ipaddr.Family) int {
	if p.Quorum > 0 {
		return p.Quorum
	}
	return min(2, p.electorate(f))
}

// electorate counts the operators that could ever vote over the family.
func (p *Poll[V]) electorate(f ipaddr.Family) int {
	return distinct(append(p.Operators(f == ipaddr.V6), p.others[f]...))
}

// Operators returns who runs the voters of a family.
func (p *Poll[V]) Operators(v6 bool) (operators []string) {
	f := ipaddr.V4
	if v6 {
		f = ipaddr.V6
	}
	for _, v := range p.Voters[f] {
		operators = append(operators, v.Operator())
	}
	return operators
}

// VoteWith notes the operators whom the other sources of the list ask. It
// refuses a quorum that can never be reached, and warns of a single operator
// that is believed without anybody having chosen that.
func (p *Poll[V]) VoteWith(others func(v6 bool) []string) error {
	lone := ""
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if len(p.Voters[f]) == 0 {
			continue
		}
		p.others[f] = others(f == ipaddr.V6)
		n := p.electorate(f)
		if p.Quorum > n {
			return fmt.Errorf("quorum %d cannot be reached: over %s, all who can be asked are of %d different operators; write `quorum %[3]d`, or add endpoints of other operators", p.Quorum, names[f], n)
		}
		if p.Quorum == 0 && n == 1 {
			lone = p.Voters[f][0].Operator()
		}
	}
	if lone != "" {
		p.Logger.Warn("one operator alone decides which address is published; add endpoints of others, or write `quorum 1` if that is meant",
			zap.String("operator", lone))
	}
	return nil
}
