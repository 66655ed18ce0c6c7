package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// ask asks the admin API for one of ours, as Caddy's admin endpoint does.
func (l *lab) ask(method, what string) (int, string) {
	rec := httptest.NewRecorder()
	err := new(adminAPI).serve(rec, httptest.NewRequest(method, adminBase+what, nil))
	if err == nil {
		return rec.Code, rec.Body.String()
	}
	var apiErr caddy.APIError
	if !errors.As(err, &apiErr) {
		l.t.Fatalf("%s %s: %v", method, what, err)
	}
	return apiErr.HTTPStatus, apiErr.Err.Error()
}

func TestAdminRefuses(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		for _, test := range []struct {
			method, what string
			code         int
		}{
			{http.MethodPost, "status", http.StatusMethodNotAllowed},
			{http.MethodPost, "plan", http.StatusMethodNotAllowed},
			{http.MethodDelete, "health", http.StatusMethodNotAllowed},
			{http.MethodGet, "check", http.StatusMethodNotAllowed},
			{http.MethodHead, "check", http.StatusMethodNotAllowed},
			{http.MethodGet, "", http.StatusNotFound},
			{http.MethodGet, "status/example.com", http.StatusNotFound},
			{http.MethodGet, "status", http.StatusOK},
			{http.MethodHead, "health", http.StatusServiceUnavailable},
		} {
			if code, body := l.ask(test.method, test.what); code != test.code {
				t.Errorf("%s %s: %d %s, want %d", test.method, test.what, code, body, test.code)
			}
		}
		l.loadOther()
		for method, what := range map[string]string{http.MethodGet: "status", http.MethodPost: "check"} {
			if code, body := l.ask(method, what); code != http.StatusNotFound || !strings.Contains(body, "not configured") {
				t.Errorf("%s without the app: %d %s", what, code, body)
			}
		}
	})
}

// loadOther loads a configuration without the app.
func (l *lab) loadOther() {
	l.t.Helper()
	if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}}`), true); err != nil {
		l.t.Fatal(err)
	}
}

// TestCheckRepairs: a check finds a new address and drift, and repairs both
// before it answers, also where the zone would wait after failures.
func TestCheckRepairs(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: time.Second}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["@", "www"]}`))
		l.wait(10*time.Minute + time.Second)

		z.Drop(zoneName, "www", "A")
		l.check(z, addr1)
		l.address(addr2)
		l.check(z, addr2)

		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr3)
		l.wait(6 * time.Hour)
		z.Fail(nil)
		l.check(z, addr3)
	})
}

func (l *lab) check(z *standin.Zones, want string) {
	l.t.Helper()
	_, body := l.ask(http.MethodPost, "check")
	var shown status.Status
	decodeJSON(l.t, body, &shown)
	if !isTrue(shown.InSync) || !isTrue(shown.CheckDone) {
		l.t.Errorf("after a check: %s", body)
	}
	for _, name := range []string{"@", "www"} {
		if got := z.Values(zoneName, name, "A"); len(got) != 1 || got[0] != want {
			l.t.Errorf("after a check %s has %v, want %s", name, got, want)
		}
	}
}

// TestChecksShareARun: a hundred people who ask at once cost no more than
// one, and all are answered after 30 seconds at the latest.
func TestChecksShareARun(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		for _, slow := range []bool{false, true} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				what := map[string]string{http.MethodPost: "check", http.MethodGet: "plan"}[method]
				z.Fail(func(standin.Call) standin.Fault {
					pause := time.Second
					if slow {
						pause = 50 * time.Second
					}
					return standin.Fault{Do: func() { time.Sleep(pause) }}
				})
				calls, asked, began := z.Count("", ""), l.timesAsked(), time.Now()
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						code, body := l.ask(method, what)
						if code != http.StatusOK || what == "check" && strings.Contains(body, `"check_done": true`) == slow {
							t.Errorf("%s: %d %s", what, code, body)
						}
					})
				}
				wg.Wait()
				if n := z.Count("", "") - calls; n != 1 {
					t.Errorf("%s, slow %t: %d provider calls", what, slow, n)
				}
				if n := l.timesAsked() - asked; n > int(ipaddr.Families) {
					t.Errorf("%s, slow %t: asked for the address %d times", what, slow, n)
				}
				if took := time.Since(began); took > answerTimeout+time.Second {
					t.Errorf("%s, slow %t: took %s", what, slow, took)
				}
				l.wait(2 * time.Minute)
			}
		}
	})
}

// TestCheckDuringReload: who asked the old configuration is answered by the
// new one.
func TestCheckDuringReload(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["@", "www"]}`)
		l.load(config)
		l.wait(time.Minute)
		z.Fail(standin.OnCall(standin.Get, standin.Fault{Do: func() { time.Sleep(10 * time.Second) }}, z.Count(standin.Get, "")+1))
		z.Drop(zoneName, "www", "A")
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			l.check(z, addr1)
		}()
		synctest.Wait()
		l.load(config)
		<-answered
	})
}

// TestPlanDuringReload: who asked the old configuration for a plan gets the
// new one's, and no errors.
func TestPlanDuringReload(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(time.Minute)
		z.Fail(standin.OnCall(standin.Get, standin.Fault{Do: func() { time.Sleep(10 * time.Second) }}, z.Count(standin.Get, "")+1))
		z.Drop(zoneName, "www", "A")
		answered := make(chan string)
		go func() {
			_, body := l.ask(http.MethodGet, "plan")
			answered <- body
		}()
		synctest.Wait()
		l.load(config)
		var plan status.Plan
		body := <-answered
		decodeJSON(t, body, &plan)
		// The zone may have been repaired before its turn came.
		if p := plan.Zones[0]; p.Error != "" || len(p.Changes) != 1 && len(z.Values(zoneName, "www", "A")) != 1 {
			t.Errorf("plan: %s", body)
		}
	})
}

// TestAnswersToThePatient: a request's context ends after ten seconds, and
// the check goes on.
func TestAnswersToThePatient(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: 8 * time.Second}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for method, what := range map[string]string{http.MethodPost: "check", http.MethodGet: "plan"} {
			rec := httptest.NewRecorder()
			if err := new(adminAPI).serve(rec, httptest.NewRequestWithContext(ctx, method, adminBase+what, nil)); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(rec.Body.Bytes()) {
				t.Errorf("%s: %s", what, rec.Body)
			}
		}
	})
}

// TestPlanKeepsDrift: what a plan saw is still found and repaired when it is
// time to verify.
func TestPlanKeepsDrift(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(50 * time.Minute)
		z.Drop(zoneName, "www", "A")
		if _, body := l.ask(http.MethodGet, "plan"); !strings.Contains(body, "no such record") {
			t.Errorf("plan: %s", body)
		}
		l.wait(20 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); len(got) != 1 {
			t.Errorf("after the time to verify: %v", got)
		}
	})
}

// TestHealth: a zone is healthy for twice the verify interval after it was
// last in sync.
func TestHealth(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.ask(http.MethodPost, "check")
		l.wait(118 * time.Minute)
		if code, body := l.ask(http.MethodGet, "health"); code != http.StatusOK {
			t.Errorf("within two hours: %d %s", code, body)
		}
		l.wait(2 * time.Minute)
		code, body := l.ask(http.MethodGet, "health")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "network is unreachable") {
			t.Errorf("after two hours: %d %s", code, body)
		}
		z.Fail(nil)
		l.ask(http.MethodPost, "check")
		if code, body := l.ask(http.MethodGet, "health"); code != http.StatusOK {
			t.Errorf("in sync again: %d %s", code, body)
		}
	})
}

func isTrue(b *bool) bool { return b != nil && *b }
