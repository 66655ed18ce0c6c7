package dyndns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/beattest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/heartbeat"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// status asks the admin endpoint of the dynamic_dns app.
func (b *bench) status() *status.Status {
	b.t.Helper()
	return b.admin(http.MethodGet, "status")
}

// admin has the admin endpoint of the dynamic_dns app answer.
func (b *bench) admin(method, what string) *status.Status {
	b.t.Helper()
	info, err := caddy.GetModule("admin.api.dynamic_dns")
	if err != nil {
		b.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	if err := info.New().(caddy.AdminRouter).Routes()[0].Handler.ServeHTTP(rec, httptest.NewRequest(method, "/dynamic_dns/"+what, nil)); err != nil {
		b.t.Fatal(err)
	}
	s := new(status.Status)
	if err := json.Unmarshal(rec.Body.Bytes(), s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) scrape() string {
	rec := httptest.NewRecorder()
	ctx := caddy.ActiveContext()
	promhttp.HandlerFor(ctx.GetMetricsRegistry(), promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

func from(agent string) func(*http.Request) {
	return func(r *http.Request) {
		r.SetBasicAuth("home", password)
		r.Header.Set("User-Agent", agent)
	}
}

// TestSeen: clients and their names are in the status, beside this machine's
// names or alone, in metrics and in events.
func TestSeen(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprintf("beside=%t", beside), func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				if beside {
					b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "versions": {"ipv6": false}, "watch": false, "ip_sources": [{"source": "static", "ips": [%q]}]}`, b.module, addr3)
				}
				b.load(b.config(""))
				time.Sleep(time.Minute)
				if got := b.do(from("ddclient/3.10.0"), "/nic/update?hostname=home.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
					t.Error(got)
				}
				b.do(from("ddclient/3.10.0"), "/nic/update?hostname=home.example.com&myip="+addr1)
				b.do(from("Fritz!Box DDNS/1.0.1"), "/nic/update?hostname=foreign.example.com&myip="+addr1)
				b.do(func(r *http.Request) { r.SetBasicAuth("home", "wrong") }, "/nic/update?hostname=home.example.com")
				time.Sleep(time.Minute)
				s := b.status()
				if len(s.Clients) != 2 {
					t.Fatalf("clients: %+v", s.Clients)
				}
				c := s.Clients[0]
				if c.Name != "home" || c.Agent != "fritzbox" || c.Address != client || c.Result != "nohost" || c.LastSeen.IsZero() {
					t.Errorf("client %+v", c)
				}
				if len(c.Hosts) != 1 || c.Hosts[0].Name != "home.example.com" || c.Hosts[0].Addresses.String() != addr1 || c.Hosts[0].State != status.StateInSync {
					t.Errorf("hosts %+v", c.Hosts)
				}
				if s.InSync == nil || !*s.InSync {
					t.Error("it is not in sync")
				}
				text := s.Text(false)
				for _, want := range []string{"client home: seen 1m ago from 198.41.0.4 (fritzbox), answered nohost", "home.example.com", "client other: not seen since the start"} {
					if !strings.Contains(text, want) {
						t.Errorf("the text lacks %q:\n%s", want, text)
					}
				}
				for _, zone := range []string{"example.com", "example.net"} {
					if n := strings.Count(text, "\n"+zone+" at "); n != 1 {
						t.Errorf("there are %d blocks of %s:\n%s", n, zone, text)
					}
				}
				if www := strings.Contains(text, "www"); www != beside {
					t.Errorf("this machine's names are shown: %t", www)
				}
				metrics := b.scrape()
				for _, want := range []string{
					`caddy_dynamic_dns_server_updates_total{agent="ddclient",result="good"} 1`,
					`caddy_dynamic_dns_server_updates_total{agent="ddclient",result="nochg"} 1`,
					`caddy_dynamic_dns_server_updates_total{agent="fritzbox",result="nohost"} 1`,
					`caddy_dynamic_dns_server_authentication_failures_total 1`,
					`caddy_dynamic_dns_server_confirmation_duration_seconds_count 1`,
					fmt.Sprintf(`caddy_dynamic_dns_changes_total{provider=%q,type="A",zone="example.com"}`, b.module),
					fmt.Sprintf(`caddy_dynamic_dns_zone_in_sync{provider=%q,zone="example.com"} 1`, b.module),
				} {
					if !strings.Contains(metrics, want) {
						t.Errorf("the metrics lack %s", want)
					}
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				if n := slices.IndexFunc(b.events, func(e caddy.Event) bool {
					return e.Name() == "records_changed" && e.Data["client"] == "home" && e.Data["zone"] == "example.com"
				}); n < 0 {
					t.Errorf("no event of the change: %+v", b.events)
				}
			})
		})
	}
}

// TestCheckRepairs: a check reads and repairs clients' zones, beside this
// machine's names or alone.
func TestCheckRepairs(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprintf("beside=%t", beside), func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				if beside {
					b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.net": ["own"]}, "versions": {"ipv6": false}, "watch": false, "ip_sources": [{"source": "static", "ips": [%q]}]}`, b.module, addr3)
				}
				b.load(b.config(""))
				b.do(from("curl"), "/nic/update?hostname=home.example.com&myip="+addr1)
				time.Sleep(time.Minute)
				b.z.Drop(origin, "home", "A")
				s := b.admin(http.MethodPost, "check")
				if s.CheckDone == nil || !*s.CheckDone {
					t.Error("the check is not done")
				}
				if got := b.z.Values(origin, "home", "A"); len(got) != 1 || got[0] != addr1 {
					t.Errorf("after the check home has %q", got)
				}
			})
		})
	}
}

// TestAccessLog has the user and the hosts, and nothing at all of a request
// with a password in its query.
func TestAccessLog(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(`"query_auth": true,`))
		ask := func(target string, basic bool) (*http.Request, string) {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			if basic {
				r.SetBasicAuth("home", password)
			}
			w := httptest.NewRecorder()
			r = prepare(r, w, client, false)
			if err := b.site.handlers[0].ServeHTTP(w, r, nil); err != nil {
				t.Error(err)
			}
			return r, w.Body.String()
		}
		r, _ := ask("/?hostname=home.example.com&myip="+addr1, true)
		extra := fmt.Sprintf("%+v", r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey))
		if !strings.Contains(extra, "Key:user") || !strings.Contains(extra, "String:home") || !strings.Contains(extra, "[home.example.com]") {
			t.Errorf("the access log gets %s", extra)
		}
		if skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool); skip {
			t.Error("a request without a password is kept out of the access log")
		}
		for _, query := range []string{"user=home&pass=" + password, "username=home&password=" + password, "user=home&p%61ss=" + password} {
			r, body := ask("/?hostname=home.example.com&myip="+addr1+"&"+query, false)
			if body != "nochg "+addr1+"\n" {
				t.Errorf("%s: answered %q", query, body)
			}
			if skip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.LogSkipVar).(bool); !skip {
				t.Errorf("%s: the password is in the access log", query)
			}
		}
	})
}

// TestSecrets: neither an answer nor a line of the log, nor the status, the
// metrics or what is stored has the password.
func TestSecrets(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(`"query_auth": true,`))
		b.failing(errors.New("refused "+standin.Token), standin.Set)
		var shown bytes.Buffer
		for _, target := range []string{
			"/?hostname=home.example.com&myip=" + addr1,
			"/?hostname=home.example.com&myip=" + password,
			"/?hostname=" + password + "&myip=" + addr1,
			"/?hostname=home.example.com&myip=" + addr1 + "&user=home&pass=" + password,
			"/?hostname=home.example.com&user=home&pass=wrong" + password,
			"/" + password + "?user=" + password + "&pass=" + password,
		} {
			for _, change := range []func(*http.Request){nil, func(r *http.Request) { r.Header.Del("Authorization") }, func(r *http.Request) { r.SetBasicAuth(password, password) }} {
				a := b.do(change, target)
				fmt.Fprintln(&shown, a, a.header)
			}
		}
		time.Sleep(time.Hour)
		text, _ := json.Marshal(b.status())
		log := b.wholeLog()
		for place, s := range map[string]string{
			"answer": shown.String(), "status": string(text), "metrics": b.scrape(),
			"storage": readAll(t, b.storage),
		} {
			if strings.Contains(s, password) || strings.Contains(s, hash[7:]) {
				t.Errorf("%s: found the password: %s", place, s)
			}
		}
		// What is sent in place of a host or an address is quoted in the log.
		for line := range strings.Lines(log) {
			if strings.Contains(line, password) && !strings.Contains(line, "this is no address") && !strings.Contains(line, "is no full name") {
				t.Errorf("log: found the password: %s", line)
			}
		}
	})
}

// TestStrangersFillNoLog: failures of one network are told once, whichever of
// its addresses they come from.
func TestStrangersFillNoLog(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		for i := range 300 {
			r := httptest.NewRequest(http.MethodGet, "/?hostname=home.example.com", nil)
			r.SetBasicAuth("home", "wrong")
			b.serve(r, fmt.Sprintf("2606:2800:220:1::%x", i+1), false)
		}
		if lines := b.logged("warn", "refused an update"); len(lines) == 0 || len(lines) > 3 {
			t.Errorf("%d lines", len(lines))
		}
	})
}

// TestUserLeaves: a host stays in the status when its user's name changes.
func TestUserLeaves(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		b.load(strings.Replace(b.config(""), `"name": "home"`, `"name": "renamed"`, 1))
		clients := b.status().Clients
		if len(clients) != 3 || clients[0].Name != "home" || len(clients[0].Hosts) != 1 || clients[0].Hosts[0].Name != "home.example.com" {
			t.Errorf("the clients are %+v", clients)
		}
	})
}

// TestHeartbeat: no heartbeat says that all is well while a zone of the clients
// cannot be updated.
func TestHeartbeat(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		service := new(beattest.Service)
		heartbeat.Transport = service
		defer func() { heartbeat.Transport = nil }()
		b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": ["own"]}, "versions": {"ipv6": false}, "watch": false,
			"ip_sources": [{"source": "static", "ips": [%q]}], "heartbeat": {"url": "https://hc.example/well", "failure_url": "https://hc.example/fail"}}`, b.module, addr3)
		b.load(b.config(""))
		b.update("hostname=www.example.net&myip="+addr1, "200 good "+addr1)
		time.Sleep(6 * time.Minute)
		if got := service.Since(); !strings.Contains(got, "/well") || strings.Contains(got, "/fail") {
			t.Errorf("while all is well: asked %q", got)
		}
		b.z.Fail(func(c standin.Call) standin.Fault {
			if c.Zone == "example.net." {
				return standin.Fault{Err: errors.New("down")}
			}
			return standin.Fault{}
		})
		b.do(nil, "/nic/update?hostname=www.example.net&myip="+addr2)
		time.Sleep(20 * time.Minute)
		if got := service.Since(); strings.Contains(got, "/well") || !strings.Contains(got, "/fail") {
			t.Errorf("while example.net fails: asked %q", got)
		}
		b.z.Fail(nil)
		time.Sleep(30 * time.Minute)
		if got := service.Since(); !strings.HasSuffix(got, "/well") {
			t.Errorf("after that: asked %q", got)
		}
	})
}
