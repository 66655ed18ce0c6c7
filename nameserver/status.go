package nameserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// secondaryTimeout bounds how long secondaries are waited for.
const secondaryTimeout = 2 * time.Second

// status returns how the app is. It asks the secondaries for their serials.
func (a *App) status(ctx context.Context) *Status {
	s := &Status{Zones: make([]ZoneStatus, len(a.keepers))}
	for _, addr := range a.listen {
		s.Listen = append(s.Listen, addr.String())
	}
	var asking sync.WaitGroup
	for i, k := range a.keepers {
		s.Name = k.decl.owner()
		asking.Go(func() { s.Zones[i] = k.status(ctx, a.handler.keys) })
	}
	asking.Wait()
	return s
}

func (k *keeper) status(ctx context.Context, keys tsigKeys) ZoneStatus {
	s := ZoneStatus{Name: k.name, File: k.zone.key(), Delegation: k.delegation.Load()}
	if served := k.served.Load(); served != nil {
		s.Served, s.Serial, s.Records = true, served.SOA.Serial, served.Len()
	}
	k.mu.Lock()
	s.Error, s.BadFile = k.failed, k.setAside
	k.mu.Unlock()
	s.Secondaries = make([]SecondaryStatus, len(k.policy.notify))
	var asking sync.WaitGroup
	for i, to := range k.policy.notify {
		asking.Go(func() { s.Secondaries[i] = askSecondary(ctx, k.name, s.Serial, to, keys) })
	}
	asking.Wait()
	return s
}

func askSecondary(ctx context.Context, zone string, serial uint32, at secondary, keys tsigKeys) SecondaryStatus {
	ctx, cancel := context.WithTimeout(ctx, secondaryTimeout)
	defer cancel()
	s := SecondaryStatus{Address: at.addr}
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
