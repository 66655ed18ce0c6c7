package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// JoinVoters tells those of a list's sources that vote of each other. If one
// refuses, it returns which.
func JoinVoters(sources []*Source) (at int, err error) {
	for i, s := range sources {
		v, ok := s.IPSource.(ipsources.Voter)
		if !ok {
			continue
		}
		err := v.VoteWith(func(v6 bool) (operators []string) {
			for j, other := range sources {
				if o, ok := other.IPSource.(ipsources.Voter); ok && i != j {
					operators = append(operators, o.Operators(v6)...)
				}
			}
			return operators
		})
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// unsettled are the votes of a check in which no source could settle a family's
// address.
type unsettled struct {
	votes []ipsources.Vote
	// source is the first that had any.
	source *Source
}

func (u *unsettled) add(src *Source, votes []ipsources.Vote) {
	if len(u.votes) == 0 {
		u.source = src
	}
	u.votes = append(u.votes, votes...)
}

// lone returns the only address that was voted for, and by whom. It is the zero
// Addr if there are none or several.
func (u *unsettled) lone() (addr netip.Addr, by []string) {
	for i, v := range u.votes {
		if i > 0 && v.Addr != addr {
			return netip.Addr{}, nil
		}
		addr, by = v.Addr, append(by, v.Voter)
	}
	slices.Sort(by)
	return addr, slices.Compact(by)
}

// doubts are those of sources before the one that has an address.
type doubts struct{ votes, others error }

func (d *doubts) add(err error) {
	if _, ok := errors.AsType[*ipsources.DoubtError](err); !ok {
		return
	}
	err = &ipsources.DoubtError{Err: err} // which names the source
	if _, ok := errors.AsType[*ipsources.UnsettledError](err); ok {
		d.votes = errors.Join(d.votes, err)
	} else {
		d.others = errors.Join(d.others, err)
	}
}

// left returns those that remain when a source has an address. A voter has
// counted all votes, and settles what was open.
func (d *doubts) left(src *Source) error {
	if _, ok := src.IPSource.(ipsources.Voter); ok {
		return d.others
	}
	return errors.Join(d.votes, d.others)
}

// weigh decides about votes that settle nothing. It returns an address to publish
// along with a DoubtError, or the reason to come back soon, or nothing. The
// problems are why the sources settled nothing.
func (d *Detector) weigh(f ipaddr.Family, u unsettled, problems []error) (addr netip.Addr, by []string, err error) {
	addr, by = u.lone()
	if addr.IsValid() && (ipaddr.FamilyOf(addr) != f || d.Filter.Refuse(addr, false) != "") {
		addr = netip.Addr{}
	}
	times := d.Known.again(f, addr, by, time.Now())
	switch {
	case !addr.IsValid():
		return addr, nil, nil
	case times < quorum.Repeats:
		return netip.Addr{}, nil, &ipsources.SoonError{
			After: repeatAfter,
			Err:   fmt.Errorf("%s will be believed if nobody else answers (check %d of %d)", addr, times, quorum.Repeats),
		}
	}
	return addr, by, &ipsources.DoubtError{
		Err: fmt.Errorf("more operators should confirm %s, but the others do not answer, and %s repeated it in %d checks: %w", addr, strings.Join(by, " and "), quorum.Repeats, errors.Join(problems...)),
	}
}
