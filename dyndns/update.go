package dyndns

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// patience is how long a client waits for its update to be confirmed. Many
// give up after 30s.
const patience = 20 * time.Second

// update is one request, and what is known of it so far.
type update struct {
	handler *Handler
	agent   string
	// client is invalid where a trusted proxy names none.
	client netip.Addr
	// tried is set where there were credentials.
	tried bool
	user  *auth.User
	hosts []string
	// address is what /checkip answers.
	address netip.Addr
	// leftAlone says why families stay as they are for which something was
	// sent.
	leftAlone []string
}

// serve does what is asked. The error is a [*reply.Error].
func (u *update) serve(r *http.Request) ([]reply.Line, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	hidePassword(r)
	u.client = clientOf(r)
	params, err := request.Read(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Path == "/checkip" {
		if !u.client.IsValid() {
			return nil, reply.Refuse(http.StatusBadRequest, reply.DNSError, "the trusted proxy names no client")
		}
		u.address = u.client
		return nil, nil
	}
	if u.user, err = u.login(ctx, r, params); err != nil {
		return nil, err
	}
	req, err := request.Parse(params)
	if err != nil {
		return nil, err
	}
	if u.hosts, err = u.user.Authorize(req.Hosts); err != nil {
		return nil, err
	}
	return u.apply(ctx, req)
}

// login returns the user whose request it is.
func (u *update) login(ctx context.Context, r *http.Request, params request.Params) (*auth.User, error) {
	h := u.handler
	network := u.client
	if !network.IsValid() {
		// What is not known to be another client counts as the proxy.
		if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			network = remote.Addr()
		} else {
			network = netip.IPv6Unspecified()
		}
	}
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if repl != nil {
		if id, ok := repl.GetString("http.auth.user.id"); ok && id != "" {
			if user, err := h.users.Trusted(id, network); err == nil {
				return user, nil
			}
		}
	}
	name, password, ok := r.BasicAuth()
	if !ok && h.QueryAuth {
		name, password, ok = params.Credentials()
	}
	if !ok {
		return nil, auth.Required()
	}
	u.tried = true
	user, err := h.app.shared.guard.Login(ctx, h.users, name, password, network)
	if err == nil && repl != nil {
		repl.Set("http.auth.user.id", user.Name)
	}
	return user, err
}

// hidePassword keeps a request with a password in its query out of the access
// log, which was given the address before any handler ran.
func hidePassword(r *http.Request) {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == "password" || name == "pass" || strings.Contains(name, "%") {
			caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
			return
		}
	}
}

// apply has DNS follow, and waits until it has.
func (u *update) apply(ctx context.Context, req *request.Request) ([]reply.Line, error) {
	app := u.handler.app
	// The web server may take requests before all apps have started.
	for _, ready := range []<-chan struct{}{app.attached, app.shared.ledger.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "this configuration does not run yet, or what is on record could not be read yet")
		}
	}
	outcomes, err := u.resolve(req)
	if err != nil {
		return nil, err
	}
	lines := make([]reply.Line, len(outcomes))
	for i, o := range outcomes {
		lines[i].Addrs = o.Gave
		if o.LeftAlone != "" {
			u.leftAlone = append(u.leftAlone, o.Host+": "+o.LeftAlone)
		}
	}
	if app.isDone(outcomes) && !app.shared.ledger.Alongside() {
		return lines, nil
	}
	done := make(chan committed, 1)
	go func() { done <- u.commit(ctx, req) }()
	var c committed
	select {
	case c = <-done:
	case <-ctx.Done():
		go func() { (<-done).forget() }()
		return nil, reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "the storage has not answered in time, or an earlier update still waits for it")
	}
	defer c.forget()
	if c.err != nil {
		return nil, c.err
	}
	return c.wait(ctx, &app.keeper)
}

// resolve decides what becomes of the hosts, from what is on record.
func (u *update) resolve(req *request.Request) ([]request.Outcome, error) {
	h := u.handler
	hosts := make([]request.Host, len(u.hosts))
	for i, name := range u.hosts {
		entry := h.app.shared.ledger.Lookup(name)
		hosts[i] = request.Host{Name: name, IDs: h.devices[name]}
		for f, r := range entry.Records {
			if r.State == plan.Set {
				hosts[i].Desired[f] = r.Addrs
			}
		}
	}
	return req.Resolve(hosts, h.rules, u.client)
}

// settled reports of each family of a host whether DNS has followed what is on
// record, without asking a provider.
func (k *keeper) settled(host string) (settled [ipaddr.Families]bool) {
	z, name := k.locate(host)
	switch {
	case z == nil:
		return settled
	case !k.writes(z):
		return z.told(k.shared.ledger.Lookup(host))
	}
	for f := range settled {
		settled[f] = z.zone.InSync(plan.Key{Name: name, Family: ipaddr.Family(f)})
	}
	return settled
}

// isDone reports whether all of that is on record, and known to be in DNS.
func (k *keeper) isDone(outcomes []request.Outcome) bool {
	for _, o := range outcomes {
		entry := k.shared.ledger.Lookup(o.Host)
		if k.find(o.Host) == nil {
			return false
		}
		settled := k.settled(o.Host)
		for f, state := range o.States {
			if state == plan.Unknown {
				continue
			}
			if !settled[f] || !entry.Records[f].Equal(ledger.Record{State: state, Addrs: o.Desired[f]}) {
				return false
			}
		}
	}
	return true
}

// commit stores what differs from what is on record, and hands it to the
// zones. It goes on when nobody waits for it any more.
func (u *update) commit(ctx context.Context, req *request.Request) (c committed) {
	k := &u.handler.app.keeper
	l := k.shared.ledger
	err := l.Refresh(ctx, k.storage, u.hosts, func(e *ledger.Entry) { k.shared.set(e, k) })
	if err != nil && k.clustered() {
		// What is known is true, but others may have taken in something newer.
		c.err = reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "reading what other instances have taken in: %v", err)
		return c
	}
	release, err := l.Lock(ctx, u.hosts)
	if err != nil {
		c.err = reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "an earlier update of the host still waits for the storage")
		return c
	}
	defer release()
	// Once more, for others may have changed what is on record.
	if c.outcomes, err = u.resolve(req); err != nil {
		c.err = err
		return c
	}
	for i, o := range c.outcomes {
		entry := l.Lookup(o.Host)
		change := ledger.Update{Host: o.Host, User: u.user.Name, Settled: k.settled(o.Host)}
		if z, _ := k.locate(o.Host); z != nil {
			change.Zone, change.Provider = z.name, z.id.Provider
		}
		changed := false
		for f, state := range o.States {
			change.Records[f] = ledger.Record{State: state, Addrs: o.Desired[f]}
			changed = changed || state != plan.Unknown && !entry.Records[f].Equal(change.Records[f])
		}
		w := wait{line: i, host: o.Host, version: entry.Version}
		switch {
		case !changed && k.isDone(c.outcomes[i:i+1]):
			continue
		case !changed:
			c.waits = append(c.waits, w)
			continue
		}
		err := l.Store(ctx, k.storage, &change, time.Now(), func(e *ledger.Entry) {
			w.version = e.Version
			w.hold(k.shared.keeper(k), e)
		})
		if err != nil {
			// What was stored before goes its way.
			c.err = reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "%v", err)
			return c
		}
		c.waits = append(c.waits, w)
	}
	return c
}

// clientOf returns the address that the request came from, as Caddy knows it.
// It is invalid where a trusted proxy names no client.
func clientOf(r *http.Request) netip.Addr {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Addr{}
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); trusted && err == nil && remote.Addr().Unmap() == addr.Unmap() {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
