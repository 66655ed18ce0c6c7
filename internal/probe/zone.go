package probe

import (
	"context"
	"slices"
	"sync"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// listing is what a provider answers for all its zones.
type listing struct {
	done chan struct{}
	doctor.Listing
}

func (l *listing) ask(ctx context.Context, p *provider.Provider) {
	l.Listing = list(ctx, p)
	close(l.done)
}

// list asks the provider for its zones.
func list(ctx context.Context, p *provider.Provider) (l doctor.Listing) {
	if !p.CanList() {
		return l
	}
	l.Able = true
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	zones := make(chan []string, 1)
	_, err := p.Call(ctx, false, func(ctx context.Context) error {
		list, err := p.Zones(ctx)
		zones <- list
		return err
	})
	if err != nil {
		l.Err = oneLine(err)
		return l
	}
	for _, zone := range <-zones {
		l.Zones = append(l.Zones, dnsname.Display(zone))
	}
	slices.Sort(l.Zones)
	return l
}

// look asks the provider for the zone and its records, and public DNS what it
// has of them.
func (z *Zone) look(ctx context.Context, listing *listing, public *public) doctor.Zone {
	out := doctor.Zone{
		Name: dnsname.Display(z.Name), Provider: z.Provider.Name, Read: z.Provider.CanRead(),
		Records: slices.Clone(z.Records),
	}
	var looking sync.WaitGroup
	looking.Go(func() { out.Public = public.zone(ctx, z.Name) })
	var observed plan.Observed
	if out.Read {
		looking.Go(func() { observed, out.ReadErr = z.read(ctx) })
	}
	looking.Wait()
	<-listing.done
	out.Listing = listing.Listing
	public.records(ctx, &out)
	for i := range out.Records {
		r := &out.Records[i]
		key := plan.Key{Name: r.Name, Family: r.Family}
		r.Observed, r.Blocked = observed.Sets[key].Addrs, observed.At(key).Reason
	}
	return out
}

func (z *Zone) read(ctx context.Context) (plan.Observed, string) {
	names := make(map[string]bool)
	for _, r := range z.Records {
		names[r.Name] = true
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	read := make(chan plan.Observed, 1)
	_, err := z.Provider.Call(ctx, false, func(ctx context.Context) error {
		observed, err := z.Provider.Read(ctx, z.Name, func(name string) (string, bool) { return name, names[name] })
		read <- observed
		return err
	})
	if err != nil {
		return plan.Observed{}, oneLine(err)
	}
	return <-read, ""
}
