package nameserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

const (
	statusPath     = "/nameserver/status"
	delegationPath = "/nameserver/delegation"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI serves the status at Caddy's admin endpoint. It may outlive the
// configuration that it came with, so it looks for the app on every request.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.nameserver",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes returns the routes of the admin endpoint.
func (aa *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: statusPath, Handler: caddy.AdminHandlerFunc(aa.serveStatus)},
		{Pattern: delegationPath, Handler: caddy.AdminHandlerFunc(aa.serveDelegation)},
	}
}

// serveStatus answers with the status as it is.
func (*adminAPI) serveStatus(w http.ResponseWriter, r *http.Request) error {
	app, err := activeApp(r, http.MethodGet)
	if err != nil {
		return err
	}
	return writeStatus(w, app.status(r.Context()))
}

// serveDelegation asks the servers of the parent zones first.
func (*adminAPI) serveDelegation(w http.ResponseWriter, r *http.Request) error {
	app, err := activeApp(r, http.MethodPost)
	if err != nil {
		return err
	}
	if app.finder == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("this machine has no resolver in " + resolvConf + " to find the parent's servers by")}
	}
	app.checkParents(r.Context())
	return writeStatus(w, app.status(r.Context()))
}

func writeStatus(w http.ResponseWriter, s *report.Status) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(s)
}

func activeApp(r *http.Request, method string) (*App, error) {
	if r.Method != method {
		return nil, caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method %s is not allowed here; use %s", r.Method, method)}
	}
	app, err := caddy.ActiveContext().AppIfConfigured("nameserver")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no nameserver")}
	}
	ns, ok := app.(*App)
	if !ok {
		return nil, caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: fmt.Errorf("nameserver is a %T", app)}
	}
	return ns, nil
}

var _ caddy.AdminRouter = (*adminAPI)(nil)
