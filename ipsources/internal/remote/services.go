// Package remote is what the IP sources have in common that ask services on the
// internet which address they see.
package remote

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/uplink"
)

// Service is one that can be asked.
type Service interface {
	quorum.Voter
	// Addr is where it is, if it was written as an address.
	Addr() netip.Addr
}

// Services are those of one source, with their votes.
type Services[S Service] struct {
	*quorum.Poll[S]
	// Uplink is the way to them.
	Uplink uplink.Uplink
	// Routable reports whether the machine has a way to the address.
	Routable func(to netip.Addr) bool
}

// New returns services that are asked as the options say.
func New[S Service](o Options, services []S, ask func(context.Context, ipaddr.Family, S) (netip.Addr, error), logger *zap.Logger) (*Services[S], error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	name, err := placeholders.Resolve(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface: %w", err)
	}
	s := &Services[S]{Uplink: uplink.Uplink(name)}
	if err := s.Uplink.Check(); err != nil {
		return nil, err
	}
	s.Routable = s.Uplink.Routable
	s.Poll = &quorum.Poll[S]{
		Voters: byFamily(services), Quorum: o.Quorum, Timeout: cmp.Or(time.Duration(o.Timeout), defaultTimeout),
		Reach: s.reach, Ask: ask, Logger: logger,
	}
	return s, nil
}

// byFamily returns the services that may know an address of each family.
func byFamily[S Service](services []S) (voters [ipaddr.Families][]S) {
	for f := range voters {
		for _, service := range services {
			if addr := service.Addr(); !addr.IsValid() || ipaddr.FamilyOf(addr) == ipaddr.Family(f) {
				voters[f] = append(voters[f], service)
			}
		}
	}
	return voters
}

// reach returns the services that the machine has a route to over the family.
// For names, a default route decides.
func (s *Services[S]) reach(f ipaddr.Family) (reached []S, err error) {
	if err := s.Uplink.Exists(); err != nil {
		return nil, err
	}
	far := sync.OnceValue(func() bool { return s.Routable(farAddrs[f]) })
	for _, service := range s.Voters[f] {
		if addr := service.Addr(); addr.IsValid() && s.Routable(addr) || !addr.IsValid() && far() {
			reached = append(reached, service)
		}
	}
	return reached, nil
}

// farAddrs are addresses that only a default route leads to: those of
// a.root-servers.net.
var farAddrs = [ipaddr.Families]netip.Addr{
	ipaddr.V4: netip.MustParseAddr("198.41.0.4"),
	ipaddr.V6: netip.MustParseAddr("2001:503:ba3e::2:30"),
}
