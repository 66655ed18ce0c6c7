//go:build linux

// Package clients has the update clients that people run tell the DDNS server
// of their addresses, which a real name server or the built-in one then holds.
package clients

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

type object = map[string]any

const (
	ddnsHost     = "home.example.test"
	ddnsPassword = "correct-horse-battery"

	first4, second4, third4 = "93.184.216.34", "93.184.216.35", "93.184.216.36"

	// backoff is for what a failed write delays: the first pauses are 5, 10
	// and 20 seconds.
	backoff = 45 * time.Second
)

// hashOf is that of a token, which is fast.
func hashOf(password string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(password)))
}

// ddns is a Caddy that takes updates of a name, and what serves its zone.
type ddns struct {
	t     *testing.T
	ns    *lab.NS
	caddy *lab.Caddy
	// bind is nil where the built-in name server has the zone.
	bind *lab.BIND
	dir  string
}

func newDDNS(t *testing.T, withBIND bool, programs ...string) *ddns {
	t.Helper()
	lab.Need(t, append(programs, "dig")...)
	d := &ddns{t: t, ns: lab.NewNS(t), dir: t.TempDir()}
	if withBIND {
		d.bind = lab.StartBIND(t, d.ns, "example.test")
	}
	b, err := json.Marshal(d.config())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.dir, "config.json")
	lab.WriteFile(t, file, string(b))
	d.caddy = lab.StartCaddy(t, d.ns, file)
	t.Cleanup(func() {
		if strings.Contains(d.caddy.Log(), ddnsPassword) {
			t.Error("the password is in Caddy's log")
		}
	})
	return d
}

func (d *ddns) config() object {
	apps := object{}
	provider := object{"name": "nameserver"}
	if d.bind != nil {
		provider = object{
			"name": "rfc2136", "server": d.bind.Addr,
			"key_name": d.bind.KeyName, "key_alg": d.bind.KeyAlg, "key": d.bind.Key,
		}
	} else {
		apps["nameserver"] = object{"zones": object{"example.test": object{}}}
	}
	apps["http"] = object{"servers": object{"ddns": object{
		"listen": []string{":80"},
		"logs":   object{},
		"routes": []object{{"handle": []object{{
			"handler": "dyndns", "dns_provider": provider, "zones": []string{"example.test"},
			"users": []object{{"name": "home", "password": hashOf(ddnsPassword), "hosts": []string{ddnsHost, "*.many.example.test"}}},
		}}}},
	}}}
	return object{"logging": object{"logs": object{"default": object{"level": "DEBUG"}}}, "apps": apps}
}

func (d *ddns) dig() []string {
	if d.bind != nil {
		return d.bind.Dig(ddnsHost, "A")
	}
	out, err := d.ns.Run(exec.Command("dig", "@127.0.0.1", "+short", "+time=2", "+tries=2", ddnsHost, "A"))
	if err != nil {
		return nil
	}
	return strings.Fields(out)
}

// lookup asks the name server of the zone.
func (d *ddns) lookup(name string) string {
	d.t.Helper()
	addr := "127.0.0.1:53"
	if d.bind != nil {
		addr = d.bind.Addr
	}
	conn, err := d.ns.Dial("udp", addr)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	resp, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion(name+".", dns.TypeA), &dns.Conn{Conn: conn})
	if err != nil || len(resp.Answer) != 1 {
		return ""
	}
	return resp.Answer[0].(*dns.A).A.String()
}

// expect waits until the name has the address.
func (d *ddns) expect(within time.Duration, want ...string) {
	d.t.Helper()
	lab.EventuallyEqual(d.t, within, ddnsHost, d.dig, want...)
}

// verdict is what a client makes of the answer.
type verdict struct {
	ok bool
	// said is what it printed or noted.
	said string
}

// ddnsClient updates the name to an address, once.
type ddnsClient func(d *ddns, addr, password string) verdict

func (d *ddns) run(name string, args ...string) (string, int) {
	d.t.Helper()
	out, err := d.ns.Run(exec.Command(name, args...))
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out, exit.ExitCode()
	case err != nil:
		d.t.Fatal(err)
	}
	return out, 0
}

func updateURL(addr string) string {
	return "http://127.0.0.1/nic/update?hostname=" + ddnsHost + "&myip=" + addr
}

// withCurl judges as scripts do that use -f: by the exit code.
func withCurl(d *ddns, addr, password string) verdict {
	out, code := d.run("curl", "-sS", "-f", "-u", "home:"+password, updateURL(addr))
	return verdict{code == 0, out}
}

// withWget sends the password only when it is asked for it.
func withWget(d *ddns, addr, password string) verdict {
	out, code := d.run("wget", "-nv", "-O", "-", "--tries=1", "--user=home", "--password="+password, updateURL(addr))
	return verdict{code == 0, out}
}

// withDdclient is judged by what it notes in its cache file.
func withDdclient(d *ddns, addr, password string) verdict {
	dir := d.t.TempDir()
	cache, file := filepath.Join(dir, "cache"), filepath.Join(dir, "ddclient.conf")
	lab.WriteFile(d.t, file, fmt.Sprintf("daemon=0\nssl=no\ncache=%s\nuse=ip, ip=%s\nprotocol=dyndns2\nserver=127.0.0.1\nlogin=home\npassword='%s'\n%s\n",
		cache, addr, password, ddnsHost))
	out, _ := d.run("ddclient", "-daemon=0", "-foreground", "-noquiet", "-verbose", "-force", "-file", file)
	noted, _ := os.ReadFile(cache)
	return verdict{strings.Contains(string(noted), "ip="+addr) && strings.Contains(string(noted), "status=good"), out + string(noted)}
}

// withInadyn is judged by its exit code and what it notes in its cache file.
// While the server asks it to come back later, it waits and does not end.
func withInadyn(d *ddns, addr, password string) verdict {
	dir := d.t.TempDir()
	file := filepath.Join(dir, "inadyn.conf")
	lab.WriteFile(d.t, file, fmt.Sprintf(`custom home {
	username = home
	password = %q
	ddns-server = "127.0.0.1"
	ddns-path = "/nic/update?hostname=%%h&myip=%%i"
	hostname = %q
	ssl = false
	checkip-command = "/bin/echo %s"
}
`, password, ddnsHost, addr))
	out, code := d.run("timeout", "8", "inadyn", "-1", "-n", "--no-pidfile", "--force", "--cache-dir="+dir, "-l", "debug", "-f", file)
	noted, _ := os.ReadFile(filepath.Join(dir, ddnsHost+".cache"))
	return verdict{code == 0 && strings.Contains(string(noted), addr), fmt.Sprintf("exit %d: %s%s", code, out, noted)}
}

// TestClients: each client, at each provider, takes for success what is in
// DNS, and nothing else.
func TestClients(t *testing.T) {
	for name, client := range map[string]ddnsClient{"curl": withCurl, "wget": withWget, "ddclient": withDdclient, "inadyn": withInadyn} {
		for _, withBIND := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/bind=%t", name, withBIND), func(t *testing.T) {
				d := newDDNS(t, withBIND, name)
				try := func(when, addr, password string, want bool) {
					t.Helper()
					if v := client(d, addr, password); v.ok != want {
						t.Errorf("%s: the client says %t:\n%s", when, v.ok, v.said)
					}
				}
				try("first update", first4, ddnsPassword, true)
				d.expect(0, first4)
				try("change", second4, ddnsPassword, true)
				d.expect(0, second4)
				try("wrong password", third4, "wrong", false)
				d.expect(0, second4)
				d.caddy.Stop()
				d.caddy.Start()
				try("after a restart", second4, ddnsPassword, true)
				d.expect(0, second4)
				if !withBIND {
					return // it fails only together with all of Caddy
				}
				d.bind.Stop()
				try("provider fails", third4, ddnsPassword, false)
				d.bind.Start()
				d.expect(backoff, third4)
				try("provider recovers", third4, ddnsPassword, true)
			})
		}
	}
}

// TestManyHosts: a thousand hosts change within a minute, and none is lost.
func TestManyHosts(t *testing.T) {
	const hosts, clients = 1000, 20
	for _, withBIND := range []bool{false, true} {
		t.Run(fmt.Sprintf("bind=%t", withBIND), func(t *testing.T) {
			d := newDDNS(t, withBIND)
			client := &http.Client{Transport: &http.Transport{
				MaxIdleConnsPerHost: clients,
				DialContext:         func(_ context.Context, network, addr string) (net.Conn, error) { return d.ns.Dial(network, addr) },
			}}
			began := time.Now()
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for i := c; i < hosts; i += clients {
						addr := fmt.Sprintf("93.184.%d.%d", 100+i/200, 1+i%200)
						r, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1/?hostname=h%d.many.example.test&myip=%s", i, addr), nil)
						r.SetBasicAuth("home", ddnsPassword)
						resp, err := client.Do(r)
						if err != nil {
							t.Errorf("host %d: %v", i, err)
							return
						}
						body, _ := io.ReadAll(resp.Body)
						_ = resp.Body.Close()
						if got := strings.TrimSpace(string(body)); got != "good "+addr {
							t.Errorf("host %d: answered %d %s", i, resp.StatusCode, got)
						}
					}
				})
			}
			wg.Wait()
			took := time.Since(began)
			t.Logf("%d hosts in %s", hosts, took.Round(10*time.Millisecond))
			if took > time.Minute {
				t.Errorf("it took %s", took)
			}
			for i := range hosts {
				want := fmt.Sprintf("93.184.%d.%d", 100+i/200, 1+i%200)
				if got := d.lookup(fmt.Sprintf("h%d.many.example.test", i)); got != want {
					t.Errorf("host %d has %q, want %s", i, got, want)
				}
			}
		})
	}
}

// TestKilledDuringAnUpdate: wherever in an update Caddy is killed, DNS follows
// what is stored once it runs again, and the client's next try goes well.
func TestKilledDuringAnUpdate(t *testing.T) {
	d := newDDNS(t, true, "curl")
	if v := withCurl(d, first4, ddnsPassword); !v.ok {
		t.Fatal(v.said)
	}
	before, after := first4, second4
	for _, wait := range []time.Duration{0, 1, 2, 4, 6, 9, 13, 20, 40} {
		done := make(chan verdict, 1)
		go func() { done <- withCurl(d, after, ddnsPassword) }()
		// From before the connection to after the answer.
		time.Sleep(5*time.Millisecond + wait*2*time.Millisecond)
		d.caddy.Kill()
		answered := (<-done).ok
		d.caddy.Start()
		lab.Eventually(t, backoff, "one of the addresses", func() bool {
			got := strings.Join(d.dig(), " ")
			return got == after || got == before && !answered
		})
		if v := withCurl(d, after, ddnsPassword); !v.ok {
			t.Errorf("killed after %s: the next try: %s", wait, v.said)
		}
		d.expect(0, after)
		before, after = after, before
	}
}
