//go:build linux

// Package cluster runs several Caddys that share names and a storage.
package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

type object = map[string]any

// soon is for what happens within a few seconds.
const soon = 10 * time.Second

const (
	host     = "home.example.test"
	password = "correct-horse-battery"
)

func hash() string {
	sum := sha256.Sum256([]byte(password))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// start starts all instances on a folder that they share.
func start(t *testing.T, s *lab.Instances) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "shared")
	for _, i := range s.All {
		i.Run(object{"module": "file_system", "root": folder})
	}
	s.Expect(2*lab.Lease+soon, "all started at once", s.All)
}

// history notes what a name has held, each value as often as it came.
type history struct {
	mu     sync.Mutex
	values []string
}

func follow(t *testing.T, s *lab.Instances) *history {
	h := new(history)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
			got := strings.Join(s.Addresses(host), " ")
			h.mu.Lock()
			if n := len(h.values); got != "" && (n == 0 || h.values[n-1] != got) {
				h.values = append(h.values, got)
			}
			h.mu.Unlock()
		}
	}()
	return h
}

// serving is a site with the DDNS server.
func serving(handler object) object {
	handler["handler"] = "dyndns"
	handler["users"] = []object{{"name": "home", "password": hash(), "hosts": []string{host}}}
	return object{"servers": object{"ddns": object{"listen": []string{":80"}, "routes": []object{{"handle": []object{handler}}}}}}
}

// TestDDNS: clients tell whichever instance they reach. One writes, each answers
// for it, and nothing older comes back when one dies, sleeps or is stopped.
func TestDDNS(t *testing.T) {
	t.Parallel()
	s := lab.NewInstances(t, 3, "")
	s.Change = func(_ *lab.Instance, config map[string]any) {
		config["apps"].(object)["http"] = serving(object{})
		// The handler's provider and zone are those of dynamic_dns.
	}
	start(t, s)
	h := follow(t, s)
	var told []string
	tell := func(i *lab.Instance, addr, want string) {
		t.Helper()
		began := time.Now()
		status, answer := i.Get("http://localhost/nic/update?hostname="+host+"&myip="+addr, "home", password)
		t.Logf("%s is told %s: %d %s, after %s", i.Name(), addr, status, answer, time.Since(began).Round(time.Millisecond))
		if answer != want+" "+addr {
			t.Errorf("%s, told %s, answered %d %q, want %s", i.Name(), addr, status, answer, want)
		}
		if got := s.Addresses(host); !slices.Equal(got, []string{addr}) {
			t.Errorf("%s said that it is %s, and it is %q", i.Name(), addr, got)
		}
		if want == "good" {
			told = append(told, addr)
		}
	}
	unchanged := func(addr string, all []*lab.Instance) {
		t.Helper()
		updates, transfers := s.Settled()
		for range 3 {
			for _, i := range all {
				tell(i, addr, "nochg")
			}
		}
		if u, x := s.BIND.Updates(), s.BIND.Transfers(); u != updates || x != transfers {
			t.Errorf("%d updates and %d transfers though nothing changed", u-updates, x-transfers)
		}
	}
	writer := s.Writer()
	others := s.Others(writer)
	tell(others[0], "93.184.217.1", "good")
	tell(writer, "93.184.217.2", "good")
	// A fifth in a row would have to wait, as one who hammers does.
	tell(others[1], "93.184.217.3", "good")
	unchanged("93.184.217.3", s.All)

	// The one that writes is killed as soon as it has said so.
	tell(writer, "93.184.217.5", "good")
	writer.Kill()
	s.Expect(30*time.Second, "the writer is killed", others, others...)
	unchanged("93.184.217.5", others)
	writer.Start()
	s.Expect(2*lab.Lease+soon, "it is back", s.All, others...)
	tell(writer, "93.184.217.5", "nochg")

	// One that slept does not put back what it knew.
	writer = s.Writer()
	others = s.Others(writer)
	writer.Pause()
	s.Expect(30*time.Second, "the writer sleeps", others, others...)
	tell(others[0], "93.184.217.6", "good")
	writer.Continue()
	s.Expect(2*lab.Lease+soon, "it wakes", s.All, others...)
	unchanged("93.184.217.6", s.All)

	// A rolling restart.
	for _, i := range s.All {
		i.Stop()
		s.Expect(soon, "one is stopped", s.Others(i), s.Others(i)...)
		i.Start()
		s.Expect(2*lab.Lease+soon, "it is started again", s.All, s.Others(i)...)
	}
	unchanged("93.184.217.6", s.All)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.values, told) {
		t.Errorf("the name has held %q, and clients have told %q", h.values, told)
	}
}

// TestDDNSAlone: the same of instances that have no names of their own.
func TestDDNSAlone(t *testing.T) {
	t.Parallel()
	s := lab.NewInstances(t, 2, "")
	s.Change = func(_ *lab.Instance, config map[string]any) {
		apps := config["apps"].(object)
		app := apps["dynamic_dns"].(object)
		apps["dynamic_dns"] = object{"cluster": app["cluster"], "dns_provider": app["dns_provider"]}
		apps["http"] = serving(object{"zones": []string{"example.test"}})
	}
	folder := filepath.Join(t.TempDir(), "shared")
	for _, i := range s.All {
		i.Run(object{"module": "file_system", "root": folder})
	}
	tell := func(i *lab.Instance, addr, want string) {
		t.Helper()
		status, answer := i.Get("http://localhost/nic/update?hostname="+host+"&myip="+addr, "home", password)
		if answer != want+" "+addr || !slices.Equal(s.Addresses(host), []string{addr}) {
			t.Errorf("%s, told %s, answered %d %q, want %s, and the name holds %q", i.Name(), addr, status, answer, want, s.Addresses(host))
		}
	}
	writer := s.Writer()
	other := s.Others(writer)[0]
	tell(other, "93.184.217.1", "good")
	tell(writer, "93.184.217.1", "nochg")
	tell(writer, "93.184.217.2", "good")
	time.Sleep(soon)
	tell(other, "93.184.217.2", "nochg")
	if n := s.BIND.Updates(); n != 2 {
		t.Errorf("%d updates of the zone for two of the host", n)
	}
	writer.Kill()
	s.Writer()
	tell(other, "93.184.217.3", "good")
	tell(other, "93.184.217.3", "nochg")
}

// TestRefusedKey: an instance whose key the provider does not take any more
// hands over to one whose key is good.
func TestRefusedKey(t *testing.T) {
	t.Parallel()
	s := lab.NewInstances(t, 2, "")
	keys := make(map[string]string)
	for _, i := range s.All {
		keys[i.Name()] = s.BIND.AddKey(i.Name())
	}
	s.Change = func(i *lab.Instance, config map[string]any) {
		provider := config["apps"].(object)["dynamic_dns"].(object)["dns_provider"].(object)
		provider["key_name"], provider["key"] = i.Name(), keys[i.Name()]
	}
	start(t, s)
	writer := s.Writer()
	other := s.Others(writer)[0]
	s.BIND.RemoveKey(writer.Name())
	writer.Move("93.184.216.101")
	s.Expect(3*lab.Lease+soon, "the one that is refused has moved", s.All, other)
	if got := s.Writer(); got != other {
		t.Errorf("%s writes the zone", got.Name())
	}
	if !strings.Contains(writer.Log(), "updating DNS failed") && !strings.Contains(writer.Log(), "reading DNS failed") {
		t.Error("the one that is refused does not say so")
	}
}

// TestClock: a name server's clock that is off by minutes is within what TSIG
// allows. One that is off by an hour has all instances refused, which they say,
// and is made up for once it is right.
func TestClock(t *testing.T) {
	t.Parallel()
	s := lab.NewInstances(t, 2, "")
	knot := lab.NewKnot(s.BIND)
	knot.Start("+4m")
	start(t, s)
	s.All[0].Move("93.184.216.101")
	s.Expect(soon, "four minutes off", s.All)
	knot.Start("+1h")
	s.All[0].Move("93.184.216.102")
	time.Sleep(2*lab.Lease + 2*time.Second)
	if got := s.Addresses("www.example.test"); slices.Contains(got, s.All[0].Addr) {
		t.Fatalf("an hour off, and written: %q", got)
	}
	said := 0
	for _, i := range s.All {
		if _, body := i.Admin(http.MethodGet, "/dynamic_dns/status", nil); strings.Contains(body, `"in_sync": true`) {
			t.Errorf("%s says that all is well: %s", i.Name(), body)
		}
		said += strings.Count(i.Log(), "updating DNS failed")
	}
	if said == 0 {
		t.Error("nobody says that it is refused")
	}
	knot.Start("+0")
	for _, i := range s.All {
		i.Admin(http.MethodPost, "/dynamic_dns/check", nil)
	}
	s.Expect(2*lab.Lease+soon, "the clock is right", s.All)
}

// TestNameServer: the built-in name servers of all instances serve what one of
// them writes.
func TestNameServer(t *testing.T) {
	t.Parallel()
	s := lab.NewInstances(t, 2, "")
	s.Change = func(_ *lab.Instance, config map[string]any) {
		apps := config["apps"].(object)
		apps["nameserver"] = object{"zones": object{"example.test": object{}}}
		apps["dynamic_dns"].(object)["dns_provider"] = object{"name": "nameserver"}
	}
	folder := filepath.Join(t.TempDir(), "shared")
	for _, i := range s.All {
		i.Run(object{"module": "file_system", "root": folder})
	}
	served := func(i *lab.Instance) (addrs []string) {
		conn, err := i.Dial("udp", "127.0.0.1:53")
		if err != nil {
			return []string{err.Error()}
		}
		defer conn.Close()
		resp, _, err := (&dns.Client{Timeout: time.Second}).ExchangeWithConn(new(dns.Msg).SetQuestion("www.example.test.", dns.TypeA), &dns.Conn{Conn: conn})
		if err != nil {
			return []string{err.Error()}
		}
		for _, rr := range resp.Answer {
			if a, ok := rr.(*dns.A); ok {
				addrs = append(addrs, a.A.String())
			}
		}
		slices.Sort(addrs)
		return addrs
	}
	for _, i := range s.All {
		lab.EventuallyEqual(t, 2*lab.Lease+soon, i.Name(), func() []string { return served(i) }, s.All[0].Addr, s.All[1].Addr)
	}
	s.All[0].Move("93.184.216.101")
	for _, i := range s.All {
		lab.EventuallyEqual(t, soon, i.Name(), func() []string { return served(i) }, "93.184.216.101", s.All[1].Addr)
	}
	writer := s.Writer()
	other := s.Others(writer)[0]
	writer.Kill()
	lab.EventuallyEqual(t, 30*time.Second, "the writer is killed", func() []string { return served(other) }, other.Addr)
}
