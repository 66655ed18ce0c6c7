package probe

import (
	"context"
	"sync"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// Look finds out all about the subject, everything at the same time.
func Look(ctx context.Context, s *Subject, w *World, facts *doctor.Facts) {
	for f := range facts.Paths {
		facts.Paths[f] = w.Path(ipaddr.Family(f))
	}
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() {
		facts.Routers = askAll(ctx, s.Routers, [ipaddr.Families]bool{ipaddr.V4: true})
	})
	facts.Groups = make([]doctor.Group, len(s.Groups))
	for i, g := range s.Groups {
		looking.Go(func() {
			facts.Groups[i] = doctor.Group{Name: g.Name, Families: g.Families, Answers: askAll(ctx, g.Sources, g.Families)}
		})
	}
	listings := make(map[*provider.Provider]*listing)
	facts.Zones = make([]doctor.Zone, len(s.Zones))
	public := &public{Finder: w.Finder, v6: facts.Paths[ipaddr.V6].Interface != "", slots: make(chan struct{}, maxQuestions)}
	for i, z := range s.Zones {
		if listings[z.Provider] == nil {
			l := &listing{done: make(chan struct{})}
			listings[z.Provider] = l
			looking.Go(func() { l.ask(ctx, z.Provider) })
		}
		l := listings[z.Provider]
		looking.Go(func() { facts.Zones[i] = z.look(ctx, l, public) })
	}
	facts.Ports = make([]doctor.Port, len(s.Ports))
	for i, p := range s.Ports {
		looking.Go(func() { facts.Ports[i] = try(ctx, p, w) })
	}
}
