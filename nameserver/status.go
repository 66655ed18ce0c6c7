package nameserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/delegation"
)

// Status is what `GET /nameserver/status` returns.
type Status struct {
	// The name of this Caddy, which marks its records in the zone files.
	Name string `json:"name"`
	// The addresses that are listened on.
	Listen []string `json:"listen"`
	// The zones that are served.
	Zones []ZoneStatus `json:"zones"`
}

// ZoneStatus is how a zone is.
type ZoneStatus struct {
	// Its name, with a dot at its end.
	Name string `json:"name"`
	// Whether queries are answered. If not, the error says why.
	Served bool `json:"served"`
	// The serial of its SOA record.
	Serial uint32 `json:"serial,omitempty"`
	// How many records it has, with its SOA record.
	Records int `json:"records,omitempty"`
	// Where its file is in the storage.
	File string `json:"file"`
	// What is wrong with it, and what happens next.
	Error string `json:"error,omitempty"`
	// The last file that was no zone, if it was set aside.
	BadFile *BadFile `json:"bad_file,omitempty"`
	// The secondary name servers that are told of changes.
	Secondaries []SecondaryStatus `json:"secondaries,omitempty"`
	// What the parent zone says of it, as of the last check.
	Delegation *DelegationStatus `json:"delegation,omitempty"`
}

// BadFile is a zone file that could not be read, and was moved out of the way.
type BadFile struct {
	// Where it is in the storage.
	File string `json:"file"`
	// What is wrong with it, with the line.
	Error string `json:"error"`
}

// SecondaryStatus is how a secondary name server is.
type SecondaryStatus struct {
	// Its address and port.
	Address string `json:"address"`
	// The serial that it serves, if it answers.
	Serial uint32 `json:"serial,omitempty"`
	// Whether that is the zone's.
	UpToDate bool `json:"up_to_date"`
	// Why its serial is not known.
	Error string `json:"error,omitempty"`
}

// DelegationStatus is what the servers of the parent zone say.
type DelegationStatus struct {
	// When they were asked.
	Checked time.Time `json:"checked"`
	// Why they could not be.
	Error string `json:"error,omitempty"`
	*delegation.Report
}

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
