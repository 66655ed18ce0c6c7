package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func init() {
	caddy.RegisterModule(new(fakeApp))
	caddy.RegisterModule(new(fakeServer))
}

// fake is what the running apps answer.
var fake struct {
	status status.Status
	report report.Status
	checks int
	check  func(done chan struct{})
}

// fakeApp stands in for dynamic_dns.
type fakeApp struct{}

func (*fakeApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns", New: func() caddy.Module { return new(fakeApp) }}
}
func (*fakeApp) Start() error { return nil }
func (*fakeApp) Stop() error  { return nil }

func (*fakeApp) Status(time.Time) *status.Status {
	s := fake.status
	return &s
}

func (*fakeApp) Check() <-chan struct{} {
	fake.checks++
	done := make(chan struct{})
	fake.check(done)
	return done
}

// fakeServer stands in for nameserver.
type fakeServer struct{}

func (*fakeServer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "nameserver", New: func() caddy.Module { return new(fakeServer) }}
}
func (*fakeServer) Start() error           { return nil }
func (*fakeServer) Stop() error            { return nil }
func (*fakeServer) Report() *report.Status { return &fake.report }

// bubble runs a test with these apps configured, in fake time.
func bubble(t *testing.T, apps string, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake.status = status.Status{Time: time.Now(), InSync: new(true), Groups: []status.GroupStatus{}, Zones: []status.ZoneStatus{{Zone: "example.com", Provider: "standin", State: status.StateInSync, InSync: new(true)}}}
		fake.report = report.Status{}
		fake.checks, fake.check = 0, func(done chan struct{}) { close(done) }
		if err := caddy.Load(fmt.Appendf(nil, `{"admin": {"disabled": true, "config": {"persist": false}}, "logging": {"logs": {"default": {"level": "FATAL"}}}, "apps": {%s}}`, apps), true); err != nil {
			t.Fatal(err)
		}
		defer time.Sleep(time.Minute)
		defer func() { _ = caddy.Stop() }()
		test(t)
	})
}

const allApps = `"dynamic_dns": {}, "nameserver": {}`

func newHandler(allowCheck bool) *Handler {
	return &Handler{AllowCheck: allowCheck, logger: zap.NewNop(), ending: context.Background()}
}

// ask sends a request to a handler.
func ask(t *testing.T, h *Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		t.Errorf("the handler leaves it to Caddy: %v", err)
	}
	if w.Code == http.StatusOK && method != http.MethodHead && w.Body.Len() == 0 {
		t.Errorf("%s %s: no body", method, target)
	}
	return w
}

// fill puts the text into every field that may have it, and one element into
// every list.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now().Add(-time.Hour)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	}
}
