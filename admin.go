package dynamicdns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/events"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const adminBase = "/dynamic_dns/"

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI serves status, check, plan, health and notify-test at Caddy's admin endpoint.
// It may outlive the configuration that it came with, so it looks for the
// app anew on every request.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.dynamic_dns",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Provision registers the metrics where no app does, as when its provisioning
// failed.
func (*adminAPI) Provision(ctx caddy.Context) error { return observe.Register(ctx) }

// Routes returns the routes of the admin endpoint.
func (aa *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminBase, Handler: caddy.AdminHandlerFunc(aa.serve)}}
}

func (aa *adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	handlers := map[string]struct {
		method string
		handle func(http.ResponseWriter, *http.Request) error
	}{
		"status": {http.MethodGet, aa.serveStatus},
		"health": {http.MethodGet, aa.serveHealth},
		"plan":   {http.MethodGet, aa.servePlan},
		"check":  {http.MethodPost, aa.serveCheck},

		"notify-test": {http.MethodPost, aa.serveNotifyTest},
	}
	h, ok := handlers[strings.TrimPrefix(r.URL.Path, adminBase)]
	if !ok {
		return caddy.APIError{
			HTTPStatus: http.StatusNotFound,
			Err:        fmt.Errorf("no such endpoint: %s; there are status, health, plan, check and notify-test", r.URL.Path),
		}
	}
	if r.Method != h.method && (r.Method != http.MethodHead || h.method != http.MethodGet) {
		w.Header().Set("Allow", h.method)
		return caddy.APIError{
			HTTPStatus: http.StatusMethodNotAllowed,
			Err:        fmt.Errorf("method %s is not allowed here; use %s", r.Method, h.method),
		}
	}
	return h.handle(w, r)
}

func (*adminAPI) serveStatus(w http.ResponseWriter, _ *http.Request) error {
	shown, err := currentStatus(time.Now())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, shown)
}

func (*adminAPI) serveHealth(w http.ResponseWriter, _ *http.Request) error {
	shown, err := currentStatus(time.Now())
	if err != nil {
		return err
	}
	health := shown.Health()
	if !health.Healthy {
		return answer(w, http.StatusServiceUnavailable, health)
	}
	return answer(w, http.StatusOK, health)
}

// servePlan, like serveCheck, ignores the request's context, which ends after
// ten seconds: the admin server's read timeout looks like a lost connection.
func (*adminAPI) servePlan(w http.ResponseWriter, _ *http.Request) error {
	deadline := time.Now().Add(answerTimeout)
	for {
		app, err := activeApp()
		if server, ok := serverOf(caddy.ActiveContext()); ok && err != nil {
			ctx, cancel := context.WithDeadline(context.Background(), deadline)
			defer cancel()
			return answer(w, http.StatusOK, planServer(ctx, server, nil))
		}
		if err != nil {
			return err
		}
		plan, _, _ := app.runs.Do("plan", func() (any, error) {
			ctx, cancel := context.WithDeadline(app.runCtx, deadline)
			defer cancel()
			return app.dryRun(ctx, nil), nil
		})
		// A reload ends the plan of the old app; the new one's counts.
		if app.runCtx.Err() == nil || !time.Now().Before(deadline) {
			return answer(w, http.StatusOK, plan)
		}
	}
}

func (*adminAPI) serveCheck(w http.ResponseWriter, _ *http.Request) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	for {
		app, err := activeApp()
		if err != nil {
			return checkServer(ctx, w)
		}
		var done bool
		select {
		case run := <-app.runs.DoChan("check", func() (any, error) { return app.checkNow(), nil }):
			done = run.Val.(bool)
			// A reload ends the check of the old app; the new one's counts.
			if app.runCtx.Err() != nil && ctx.Err() == nil {
				continue
			}
		case <-ctx.Done():
		}
		shown := app.Status(time.Now())
		shown.CheckDone = &done
		return answer(w, http.StatusOK, shown)
	}
}

func (*adminAPI) serveNotifyTest(w http.ResponseWriter, _ *http.Request) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	shown, err := events.TestNotify(ctx, caddy.ActiveContext())
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	return answer(w, http.StatusOK, shown)
}

// checkNow asks the IP sources and looks for zones that are not known, then
// verifies all zones. It reports whether it was done in time.
func (a *App) checkNow() bool {
	ctx, cancel := context.WithTimeout(a.runCtx, answerTimeout)
	defer cancel()
	var found sync.WaitGroup
	for _, s := range a.searching {
		found.Go(func() { _ = s.Ask(ctx) })
	}
	err := a.schedule.Check(ctx)
	found.Wait()
	if err != nil || ctx.Err() != nil {
		return false
	}
	var rounds []<-chan struct{}
	for _, z := range a.current().zones {
		rounds = append(rounds, z.zone.Verify())
	}
	return verified(ctx, rounds)
}

// checkServer answers a check where there may be dyndns handlers alone.
func checkServer(ctx context.Context, w http.ResponseWriter) error {
	if _, err := currentStatus(time.Now()); err != nil {
		return err
	}
	done := verified(ctx, nil)
	shown, err := currentStatus(time.Now())
	if err != nil {
		return err
	}
	shown.CheckDone = &done
	return answer(w, http.StatusOK, shown)
}

// verified waits until the zones have been verified, those of the clients
// too, and reports whether that was done in time.
func verified(ctx context.Context, rounds []<-chan struct{}) bool {
	if server, ok := serverOf(caddy.ActiveContext()); ok {
		rounds = append(rounds, server.Verify()...)
	}
	for _, round := range rounds {
		select {
		case <-round:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// activeApp returns the app of the configuration that is running.
func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, caddy.APIError{
			HTTPStatus: http.StatusNotFound,
			Err:        errors.New("dynamic_dns is not configured; write a dynamic_dns block in the global options (JSON: apps.dynamic_dns)"),
		}
	}
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

func answer(w http.ResponseWriter, code int, v any) error {
	var body bytes.Buffer
	if err := status.Encode(&body, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = body.WriteTo(w)
	return nil
}

// Check begins what `POST /dynamic_dns/check` does, unless that is under way.
// The channel is closed when it is done, after 30 seconds at the latest.
func (a *App) Check() <-chan struct{} {
	done := make(chan struct{})
	results := a.runs.DoChan("check", func() (any, error) { return a.checkNow(), nil })
	go func() {
		defer close(done)
		<-results
	}()
	return done
}

// currentStatus is the status of the configuration that is running, which may
// have dyndns handlers alone.
func currentStatus(now time.Time) (*status.Status, error) {
	app, err := activeApp()
	if err == nil {
		return app.Status(now), nil
	}
	if server, ok := serverOf(caddy.ActiveContext()); ok {
		return server.Status(now), nil
	}
	return nil, err
}

// Measure implements observe.Measurer.
func (a *App) Measure() (*observe.Counts, *status.Status) {
	return a.observer.Counts, a.Status(time.Now())
}

// DNSProvider is the configuration of the provider that dyndns handlers use
// which name none.
func (a *App) DNSProvider() json.RawMessage { return a.providerRaw }

// ZoneNames are the zones that dyndns handlers use which name none.
func (a *App) ZoneNames() []string {
	zones := make(map[string]bool)
	for _, g := range a.groups {
		for zone := range g.zones {
			zones[dnsname.Display(zone)] = true
		}
		for zone := range g.devices {
			zones[dnsname.Display(zone)] = true
		}
	}
	return slices.Sorted(maps.Keys(zones))
}

// Share has one instance at a time write a zone in which clients have hosts,
// and returns this one's part, or nil if it is on its own.
func (a *App) Share(z cluster.Zone) *cluster.Member {
	if a.Cluster == nil {
		return nil
	}
	a.clients.add(z)
	a.Cluster.member.Poke()
	return a.Cluster.member
}

// Manages calls fn for each full name that is managed, those of sites apart.
func (a *App) Manages(fn func(host string)) {
	manages := func(name, zone string) { fn(strings.TrimSuffix(dnsname.Absolute(name, zone), ".")) }
	for _, g := range a.groups {
		for zone, names := range g.zones {
			for _, name := range names {
				manages(name, zone)
			}
		}
		for _, host := range g.hosts {
			fn(host)
		}
		for zone, devices := range g.devices {
			for name := range devices {
				manages(name, zone)
			}
		}
	}
}

// Keeps reports whether the host is managed, be it that of a site.
func (a *App) Keeps(host string) (kept bool) {
	a.current().eachName(func(z *managedZone, name string) {
		kept = kept || dnsname.Absolute(name, z.zone.Name) == host+"."
	})
	return kept || slices.ContainsFunc(a.groups, func(g *group) bool { return slices.Contains(g.hosts, host) })
}

var (
	_ caddy.Provisioner = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
	_ observe.Measurer  = (*App)(nil)
)
