package probe

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/natpmp"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// routers are the sources that know the address of a router.
var routers = map[string]bool{"natpmp": true, "upnp": true, "fritzbox": true}

// askAll asks all sources for each family, and not only until one answers.
func askAll(ctx context.Context, sources []Source, families [ipaddr.Families]bool) []doctor.Answer {
	answers := make([]doctor.Answer, 0, len(sources)*len(families))
	for _, s := range sources {
		for f, wanted := range families {
			if wanted {
				answers = append(answers, doctor.Answer{Source: s.Name, Kind: s.kind(), Family: ipaddr.Family(f)})
			}
		}
	}
	var asking sync.WaitGroup
	i := 0
	for _, s := range sources {
		for _, wanted := range families {
			if wanted {
				a := &answers[i]
				asking.Go(func() { s.ask(ctx, a) })
				i++
			}
		}
	}
	asking.Wait()
	return answers
}

func (s *Source) kind() doctor.Kind {
	if _, ok := s.IPSource.(ipsources.Voter); ok {
		return doctor.Echo
	}
	if routers[s.Name] {
		return doctor.Router
	}
	return doctor.Own
}

// ask puts the question and takes the answer apart.
func (s *Source) ask(ctx context.Context, a *doctor.Answer) {
	v4, v6 := a.Family == ipaddr.V4, a.Family == ipaddr.V6
	addrs, err := bounded(ctx, func(ctx context.Context) ([]netip.Addr, error) {
		return s.GetIPs(ctx, ipsources.IPSettings{
			IPVersions: ipsources.IPVersions{IPv4: &v4, IPv6: &v6},
			Accepts:    func(addr netip.Addr) bool { return s.Refuse(addr) == "" },
		})
	})
	for _, addr := range addrs {
		if ipaddr.FamilyOf(addr) == a.Family {
			a.Addrs = append(a.Addrs, doctor.Addr{Addr: addr, Refused: s.Refuse(addr)})
			if c, ok := s.IPSource.(ipsources.Confirmer); ok {
				a.ConfirmedBy = append(a.ConfirmedBy, c.ConfirmedBy(addr)...)
			}
		}
	}
	if err == nil {
		return
	}
	a.Err = strings.TrimPrefix(oneLine(err), map[ipaddr.Family]string{ipaddr.V4: "IPv4: ", ipaddr.V6: "IPv6: "}[a.Family])
	if _, a.NoFamily = errors.AsType[*ipsources.NoFamilyError](err); a.NoFamily {
		return
	}
	_, a.Hold = errors.AsType[*ipsources.HoldError](err)
	a.DoubleNAT = errors.Is(err, natpmp.ErrDoubleNAT)
	a.NoAddress = errors.Is(err, natpmp.ErrNoAddress) || errors.Is(err, igd.ErrNoAddress)
	if e, ok := errors.AsType[*ipsources.UnsettledError](err); ok {
		for _, v := range e.Votes {
			a.Votes = append(a.Votes, doctor.Vote{Addr: v.Addr, Operator: v.Operator})
		}
	}
}
