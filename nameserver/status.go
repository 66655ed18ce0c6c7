package nameserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

// secondaryTimeout bounds how long secondaries are waited for.
const secondaryTimeout = 2 * time.Second

// Report returns how the app is, as far as that is known without asking anybody.
func (a *App) Report() *report.Status {
	s := &report.Status{Zones: make([]report.ZoneStatus, len(a.keepers))}
	for _, addr := range a.listen {
		s.Listen = append(s.Listen, addr.String())
	}
	for i, k := range a.keepers {
		s.Name = k.decl.owner()
		s.Zones[i] = k.known()
	}
	return s
}

// status is Report with the secondaries, which are asked for their serials.
func (a *App) status(ctx context.Context) *report.Status {
	s := a.Report()
	var asking sync.WaitGroup
	for i, k := range a.keepers {
		z := &s.Zones[i]
		z.Secondaries = make([]report.SecondaryStatus, len(k.policy.notify))
		for j, to := range k.policy.notify {
			asking.Go(func() { z.Secondaries[j] = askSecondary(ctx, k.name, z.Serial, to, a.handler.keys) })
		}
	}
	asking.Wait()
	return s
}

func (k *keeper) known() report.ZoneStatus {
	s := report.ZoneStatus{Name: k.name, File: k.zone.key(), Delegation: k.delegation.Load()}
	if served := k.served.Load(); served != nil {
		s.Served, s.Serial, s.Records = true, served.SOA.Serial, served.Len()
	}
	k.mu.Lock()
	s.Error, s.BadFile = k.failed, k.setAside
	k.mu.Unlock()
	return s
}

func askSecondary(ctx context.Context, zone string, serial uint32, at secondary, keys tsigKeys) report.SecondaryStatus {
	ctx, cancel := context.WithTimeout(ctx, secondaryTimeout)
	defer cancel()
	s := report.SecondaryStatus{Address: at.addr}
	m, err := exchange(ctx, new(dns.Msg).SetQuestion(zone, dns.TypeSOA), at, keys)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			s.Serial, s.UpToDate = soa.Serial, soa.Serial == serial
			return s
		}
	}
	s.Error = "it does not serve the zone: " + strings.ToUpper(dns.RcodeToString[m.Rcode])
	return s
}

// Serves returns where the app listens, as udp/:53, and its zones without a
// trailing dot.
func (a *App) Serves() (listen, zones []string) {
	for _, addr := range a.listen {
		listen = append(listen, addr.Network+"/"+addr.JoinHostPort(0))
	}
	for _, k := range a.keepers {
		zones = append(zones, strings.TrimSuffix(k.name, "."))
	}
	return listen, zones
}
