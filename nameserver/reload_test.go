package nameserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

func TestReloadsLoseNoQuery(t *testing.T) {
	const reloads = 100
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := func(i int) []byte {
		return configFor(t, dir, &App{
			Listen: []string{server},
			Zones:  map[string]*Zone{"example.test": {Records: []Record{{"www", "A", fmt.Sprintf("192.0.2.%d", i)}}}},
		})
	}
	load(t, config(0))
	var (
		stop  = make(chan struct{})
		wg    sync.WaitGroup
		asked atomic.Int64
	)
	for _, network := range []string{"udp", "udp", "tcp"} {
		wg.Go(func() {
			client := &dns.Client{Net: network, Timeout: 2 * time.Second}
			m := new(dns.Msg).SetQuestion("www.example.test.", dns.TypeA)
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, _, err := client.Exchange(m, server)
				if err != nil || len(r.Answer) != 1 {
					t.Errorf("%s: %v, %v", network, r, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := 1; i <= reloads; i++ {
		if err := caddy.Load(config(i), true); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d queries during %d reloads", asked.Load(), reloads)
	r := ask(t, "udp", server, "www.example.test.", dns.TypeA)
	if a, ok := r.Answer[0].(*dns.A); !ok || a.A.String() != "192.0.2.100" {
		t.Errorf("the last configuration is not served: %v", r.Answer)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	for what, pool := range map[string]*caddy.UsagePool{"socket": sockets, "zone": zones} {
		pool.Range(func(key, _ any) bool {
			t.Errorf("left behind: %s %v", what, key)
			return true
		})
	}
}

func TestReloadsLoseNoUpdate(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := func(i int) []byte {
		return configFor(t, dir, &App{
			Listen: []string{server},
			Zones:  map[string]*Zone{"example.test": {Records: []Record{{"generation", "TXT", fmt.Sprint(i)}}}},
		})
	}
	load(t, config(0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var confirmed int
	var wg sync.WaitGroup
	wg.Go(func() {
		p := providerAt(dir)
		for ctx.Err() == nil {
			rec := address(fmt.Sprintf("host%d", confirmed), "192.0.2.1")
			if _, err := p.AppendRecords(context.Background(), "example.test", []libdns.Record{rec}); err != nil {
				t.Error(err)
				return
			}
			confirmed++
		}
	})
	for i := 1; i <= 20; i++ {
		if err := caddy.Load(config(i), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	t.Logf("%d updates during 20 reloads", confirmed)
	for i := range confirmed {
		if r := ask(t, "udp", server, fmt.Sprintf("host%d.example.test.", i), dns.TypeA); len(r.Answer) != 1 {
			t.Fatalf("host%d of %d was confirmed and is lost", i, confirmed)
		}
	}
	if r := ask(t, "udp", server, "generation.example.test.", dns.TypeTXT); !strings.HasSuffix(r.Answer[0].String(), `"20"`) {
		t.Errorf("%v", r.Answer)
	}
}

func TestFailedReloadLeavesTheOldOneServing(t *testing.T) {
	dir := t.TempDir()
	port, taken := freePort(t), freePort(t)
	server := fmt.Sprintf("127.0.0.1:%d", port)
	holder, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", taken))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	app := &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {Records: []Record{{"www", "A", "192.0.2.1"}}}}}
	load(t, configFor(t, dir, app))

	app.Listen = append(app.Listen, fmt.Sprintf("127.0.0.1:%d", taken))
	app.Zones["example.test"].Records[0].Data = "192.0.2.2"
	err = caddy.Load(configFor(t, dir, app), true)
	if err == nil || !strings.Contains(err.Error(), "another program holds this port") {
		t.Fatalf("a port that is taken: %v", err)
	}
	deadline := time.Now().Add(2 * pollInterval)
	for {
		r := ask(t, "udp", server, "www.example.test.", dns.TypeA)
		a, ok := r.Answer[0].(*dns.A)
		if ok && a.A.String() == "192.0.2.1" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the old configuration is not served: %v", r.Answer)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Another program that shares its port would get some of the queries.
func TestPortSharedByAnotherProgram(t *testing.T) {
	addr, err := caddy.ParseNetworkAddressWithDefaults(fmt.Sprintf("127.0.0.1:%d", freePort(t)), "udp", 53)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := addr.Listen(t.Context(), 0, net.ListenConfig{}) // with SO_REUSEPORT
	if err != nil {
		t.Fatal(err)
	}
	defer holder.(net.PacketConn).Close()
	if s, key, err := useSocket(t.Context(), addr); err == nil {
		_, _ = sockets.Delete(key)
		t.Errorf("listening on a port that another holds: %v", s)
	}
}

func TestListenErrorsTeach(t *testing.T) {
	for _, tc := range []struct {
		port uint
		err  error
		want []string
	}{
		{53, syscall.EADDRINUSE, []string{"udp 127.0.0.1:53", "systemd-resolved", "resolvectl", "DNSStubListener=no", "nameserver 203.0.113.1:53"}},
		{1053, syscall.EADDRINUSE, []string{"ss -lnptu sport = :1053", "another port"}},
		{53, syscall.EACCES, []string{"CAP_NET_BIND_SERVICE"}},
		{53, syscall.EADDRNOTAVAIL, []string{"no interface of this machine has this address"}},
	} {
		addr := caddy.NetworkAddress{Network: "udp", Host: "127.0.0.1", StartPort: tc.port, EndPort: tc.port}
		err := explainListen(addr, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", tc.err)})
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
	}
}

// A socket that dies, as with the interface it was on, is opened again.
func TestSocketThatDies(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {}}}))
	sockets.Range(func(_, val any) bool {
		s := val.(*socket)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.udp != nil {
			_ = s.udp.conn.Close()
		} else {
			_ = s.conns.Listener.Close()
		}
		return true
	})
	for _, network := range []string{"udp", "tcp"} {
		for deadline := time.Now().Add(reopenPause + 4*time.Second); ; time.Sleep(50 * time.Millisecond) {
			r, _, err := (&dns.Client{Net: network, Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA), server)
			if err == nil && len(r.Answer) == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", network, err)
			}
		}
	}
}

// A configuration may move from all addresses to one of them.
func TestReloadToAnotherAddressOfThePort(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	app := &App{Listen: []string{fmt.Sprintf(":%d", port)}, Zones: map[string]*Zone{"example.test": {}}}
	load(t, configFor(t, dir, app))
	app.Listen = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	if err := caddy.Load(configFor(t, dir, app), true); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ask(t, "udp", app.Listen[0], "example.test.", dns.TypeSOA)
	}
}

// On a wildcard socket, an answer leaves from the address that was asked.
func TestAnswersFromTheAddressThatWasAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 on the loopback interface")
	}
	port := freePort(t)
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{fmt.Sprintf(":%d", port)}, Zones: map[string]*Zone{"example.test": {}}}))
	for _, network := range []string{"udp", "tcp"} {
		if r := ask(t, network, fmt.Sprintf("127.0.0.2:%d", port), "example.test.", dns.TypeSOA); len(r.Answer) != 1 {
			t.Errorf("%v", r)
		}
	}
}

// What is no query, or not one that a handler sees, harms nobody.
func TestOddPackets(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {}}}))
	conn, err := dns.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, packet := range []string{"", "x", strings.Repeat("\x00", 12), strings.Repeat("\xff", 2000), strings.Repeat("\x01", 100)} {
		if _, err := conn.Conn.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	update := new(dns.Msg).SetUpdate("example.test.")
	rr, _ := dns.NewRR("www.example.test. 60 IN A 192.0.2.1")
	update.Insert([]dns.RR{rr})
	if r, _, err := new(dns.Client).Exchange(update, server); err != nil || r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("UPDATE: %v %v", r, err)
	}
	if r := ask(t, "udp", server, "example.test.", dns.TypeSOA); len(r.Answer) != 1 {
		t.Errorf("%v", r)
	}
}

// When a newer configuration fails after it began to serve, the one before it
// serves again.
func TestHandlersStack(t *testing.T) {
	s, older, newer := new(socket), new(handler), new(handler)
	s.push(older)
	s.push(newer)
	if s.current.Load() != newer {
		t.Error("the newer handler does not serve")
	}
	s.remove(newer)
	if s.current.Load() != older {
		t.Error("the older handler does not serve again")
	}
	s.push(newer)
	s.remove(older)
	if s.current.Load() != newer {
		t.Error("the newer handler no longer serves")
	}
}

func TestValidateHasNoEffects(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	holder, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	config := configFor(t, dir, &App{Listen: []string{fmt.Sprintf("127.0.0.1:%d", port)}, Zones: map[string]*Zone{"example.test": {}}})
	var cfg caddy.Config
	if err := json.Unmarshal(config, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/nameserver"); err == nil {
		t.Error("validation wrote a zone file")
	}
}

func TestServesWhatAnotherCaddyWrote(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {}}}))
	another := newTestZone(t, dir, new(Zone))
	another.add(t, "www", "192.0.2.1")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r := ask(t, "udp", server, "www.example.test.", dns.TypeA); len(r.Answer) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not served 5 seconds after it was written")
		}
	}
}

// A zone file that cannot be read keeps neither Caddy nor other zones down.
func TestStartsWithABrokenZoneFile(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	file := dir + "/nameserver/broken.test.zone"
	if err := os.MkdirAll(dir+"/nameserver", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("not a zone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load(t, configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{"broken.test": {Records: []Record{{"www", "A", "192.0.2.1"}}}, "example.test": {}}}))
	if r := ask(t, "udp", server, "example.test.", dns.TypeSOA); len(r.Answer) != 1 {
		t.Errorf("the good zone: %v", r)
	}
	if r := ask(t, "udp", server, "www.broken.test.", dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("the configuration's records of the broken zone: %v", r)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r := ask(t, "udp", server, "broken.test.", dns.TypeSOA); r.Rcode == dns.RcodeSuccess {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the zone is not served 5 seconds after its file was repaired")
		}
	}
}
