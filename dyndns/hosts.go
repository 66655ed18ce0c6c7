package dyndns

import (
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// find returns the service of a host, or nil if it is nobody's.
func (k *keeper) find(host string) *service {
	if s := k.exact[host]; s != nil {
		return s
	}
	if label, parent, ok := strings.Cut(host, "."); ok && label != "*" {
		return k.below[parent]
	}
	return nil
}

// locate returns the zone of a host, and the host's name in it, if a user may
// update it.
func (k *keeper) locate(host string) (*keptZone, string) {
	if s := k.find(host); s != nil {
		return s.locate(host)
	}
	return nil, ""
}

// Serves reports whether a user may update the host.
func (k *keeper) Serves(host string) bool { return k.find(host) != nil }

// desired returns what is desired of the host's families of which something
// is on record, and where.
func (k *keeper) desired(e *ledger.Entry) (z *keptZone, name string, desired [ipaddr.Families]*plan.Desired) {
	s := k.find(e.Host)
	gone := s == nil
	if gone {
		s = k.withdraws(e.Host)
	}
	if s == nil {
		return nil, "", desired
	}
	z, name = s.locate(e.Host)
	for f, r := range e.Records {
		if r.State == plan.Set && gone {
			r.State = plan.None
		}
		if r.State != plan.Unknown {
			desired[f] = &plan.Desired{State: r.State, Addrs: r.Addrs, TTL: s.ttl, Source: e.User, Class: plan.Client}
		}
	}
	return z, name, desired
}

// withdraws returns the service that takes away a host which no user has any
// more, or nil if it stays in DNS, be it because somebody else manages it.
func (k *keeper) withdraws(host string) *service {
	if k.other != nil && k.other.Keeps(host) {
		return nil
	}
	for _, s := range k.services {
		if s.withdraw && s.knows(host) {
			return s
		}
	}
	return nil
}

// whyNowhere says why a host is in no zone, or returns nil if it is in one.
func (k *keeper) whyNowhere(host string) error {
	s := k.find(host)
	if s == nil {
		return errServedNoLonger
	}
	if z, _ := s.locate(host); z != nil || s.search == nil {
		return nil
	}
	if err := s.answer(host).Err; err != nil {
		return err
	}
	return errNotYet
}
