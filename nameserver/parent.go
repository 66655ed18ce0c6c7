package nameserver

import (
	"context"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

const (
	// delegationInterval is how often the parent's servers are asked.
	delegationInterval = 24 * time.Hour

	// delegationDelay is how long after the start that begins, when what the
	// zone depends on, such as its addresses, has had time to be set.
	delegationDelay = time.Minute

	// delegationTimeout bounds one check.
	delegationTimeout = 20 * time.Second

	resolvConf = "/etc/resolv.conf"
)

// newFinder returns what finds the servers of parent zones, or nil where this
// machine has no resolver.
func newFinder() *delegation.Finder {
	config, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(config.Servers) == 0 {
		return nil
	}
	return &delegation.Finder{Ask: askDirectly, Resolver: joinPort(config.Servers[0], config.Port), Port: "53"}
}

// askDirectly asks over UDP, and over TCP where the answer does not fit.
func askDirectly(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	r, err := exchange(ctx, m, secondary{addr: server}, nil)
	if err == nil && r.Truncated {
		r, _, err = (&dns.Client{Net: "tcp", Timeout: notifyTimeout}).ExchangeContext(ctx, m, server)
	}
	return r, err
}

// watchParent checks once the configuration runs, and then daily, what the
// servers of the parent zone say.
func (k *keeper) watchParent(ctx context.Context, f *delegation.Finder) {
	select {
	case <-k.started:
	case <-ctx.Done():
		return
	}
	timer := time.NewTimer(delegationDelay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		k.checkParent(ctx, f)
		timer.Reset(delegationInterval)
	}
}

// checkParent compares the delegation with what it should be, and logs what has
// to be done, if anything.
func (k *keeper) checkParent(ctx context.Context, f *delegation.Finder) *report.DelegationStatus {
	s := k.served.Load()
	if s == nil || delegation.IsReserved(k.name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, delegationTimeout)
	defer cancel()
	status := &report.DelegationStatus{Checked: time.Now()}
	said, err := f.Check(ctx, k.name, delegated(s))
	switch {
	case err != nil:
		status.Error = err.Error()
		k.logger.Warn("cannot tell whether the zone is delegated to this server; trying again tomorrow", zap.String("zone", k.name), zap.Error(err))
	case said.Right:
		k.logger.Info("the parent zone delegates the zone as it should", zap.String("zone", k.name), zap.String("parent", said.Parent))
	default:
		k.logger.Warn("the parent zone does not delegate the zone as it should; write and delete these records there",
			zap.String("zone", k.name), zap.String("parent", said.Parent), zap.Strings("write", said.Write), zap.Strings("delete", said.Delete))
	}
	status.Delegation = said
	if ctx.Err() == nil || err == nil {
		k.delegation.Store(status)
	}
	return status
}

// delegated returns the records that the parent zone should have: the zone's
// name servers, and the addresses of those that lie in it.
func delegated(s *zonedata.Snapshot) (out []dns.RR) {
	for _, r := range s.RRset(s.Origin, dns.TypeNS) {
		out = append(out, r.RR)
		host := r.RR.(*dns.NS).Ns
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			for _, address := range s.RRset(host, typ) {
				out = append(out, address.RR)
			}
		}
	}
	return out
}
