package dynamicdns

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// peer is another instance that shares www.example.com, of which Caddy's
// part is left out: it claims zones but writes none.
type peer struct {
	member *cluster.Member
	mu     sync.Mutex
	addr   netip.Addr
	// names are what it has beside www, with `withdraw`.
	names []string
	zone  lease.ZoneID
	// sets are what it has instead, if any.
	sets []lease.Set
	// end ends it without a word.
	end func()
}

func (l *lab) peer(name, module, addr string, names ...string) *peer {
	p := &peer{member: cluster.New(name, "peer-"+name, "host-"+name), addr: netip.MustParseAddr(addr), names: names,
		zone: lease.ZoneID{Zone: zoneName, Provider: module}}
	p.member.Configure(cluster.Settings{
		Storage: &certmagic.FileStorage{Path: l.storage}, Lease: 15 * time.Second,
		Sets: func() []lease.Set {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.sets != nil {
				return slices.Clone(p.sets)
			}
			return []lease.Set{{
				ZoneID: p.zone, Names: append([]string{"www"}, p.names...), Withdraw: len(p.names) > 0,
				Found: [ipaddr.Families]*lease.Found{ipaddr.V4: {Addrs: []netip.Addr{p.addr}, Source: "peer"}},
			}}
		},
		Report:   func(lease.ZoneID) (*bool, time.Duration) { return new(true), 0 },
		Changed:  func() {},
		Begin:    func(lease.ZoneID) func() { return func() {} },
		Observer: noPeers{}, Logger: zap.NewNop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.member.Run(ctx)
	}()
	p.end = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	l.t.Cleanup(p.end)
	return p
}

type noPeers struct{}

func (noPeers) InstanceJoined(name, host string)        {}
func (noPeers) InstanceGone(name string)                {}
func (noPeers) ZoneTakenOver(zone, provider, by string) {}

func clusterConfig(provider string) string {
	return `{"dns_provider": {"name": "` + provider + `"}, "domains": {"example.com": ["www"]}, "versions": {"ipv6": false},
		"ip_sources": [{"source": "fake"}], "watch": false, "cluster": {"name": "b"}}`
}

func TestCluster(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address("93.184.216.1")
		module := z.Register()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			l.wait(after)
			if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, want) {
				t.Errorf("published: %q, want %q", got, want)
			}
		}
		l.load(clusterConfig(module))
		// The first one to use a storage waits for others.
		expect(10 * time.Second)
		expect(10*time.Second, "93.184.216.1")
		p := l.peer("c", module, "93.184.216.2")
		expect(8*time.Second, "93.184.216.1", "93.184.216.2")
		if s := status1(t); s.Writer != "b" || s.InSync == nil || !*s.InSync {
			t.Errorf("status of the zone: %+v", s)
		}
		if n := len(l.logged("info", "another instance has joined")); n != 1 {
			t.Errorf("%d lines for one that joined", n)
		}
		calls := z.Count("", "")
		l.load(clusterConfig(module))
		expect(30*time.Minute, "93.184.216.1", "93.184.216.2")
		if n := z.Count("", "") - calls; n != 0 {
			t.Errorf("%d provider calls though nothing changed", n)
		}
		p.end()
		expect(25*time.Second, "93.184.216.1")
		if n := len(l.logged("warn", "another instance is gone")); n != 1 {
			t.Errorf("%d lines for one that is gone", n)
		}
		l.stop()
		expect(time.Minute, "93.184.216.1")
	})
}

// TestClusterWatches: while another instance writes the zone, this one calls
// no provider, knows how the zone is doing, and takes over.
func TestClusterWatches(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address("93.184.216.1")
		p := l.peer("c", module, "93.184.216.2")
		l.wait(30 * time.Second)
		z.Put(zoneName, record("www", "A", "93.184.216.2"))
		l.load(clusterConfig(module))
		l.wait(2 * time.Hour)
		if n := z.Count("", ""); n != 0 {
			t.Errorf("%d provider calls beside the one that writes", n)
		}
		if s := status1(t); s.Writer != "c" || s.InSync == nil || !*s.InSync || len(s.Records[0].Desired) != 2 {
			t.Errorf("status of the zone: %+v", s)
		}
		text := activeStatus(t).Text(false)
		for _, want := range []string{"  b  93.184.216.1\n", "  c  93.184.216.2\n", "in sync, written by c\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("the text lacks %q:\n%s", want, text)
			}
		}
		p.end()
		l.wait(30 * time.Second)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{"93.184.216.1"}) {
			t.Errorf("published after taking over: %q", got)
		}
		if s := activeStatus(t); s.Cluster == nil || len(s.Cluster.Instances) != 2 || s.Cluster.Instances[1].Alive || s.Zones[0].Writer != "b" {
			t.Errorf("status: %+v", s.Cluster)
		} else if text := s.Text(false); !strings.Contains(text, "gone, last seen") || !strings.Contains(text, "this one, writes example.com") {
			t.Errorf("text of the status:\n%s", text)
		}
	})
}

// TestClusterCutOff: without the storage, nothing is written, and status and
// health say why.
func TestClusterCutOff(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address("93.184.216.1")
		l.load(clusterConfig(z.Register()))
		l.wait(time.Minute)
		if h := activeStatus(t).Health(); !h.Healthy {
			t.Errorf("health of one that is well: %+v", h)
		}
		folder := l.storage + "/dynamic_dns/cluster"
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l.wait(30 * time.Second)
		calls := z.Count("", "")
		l.address("93.184.216.2")
		l.wait(10 * time.Minute)
		if n := z.Count("", "") - calls; n != 0 {
			t.Errorf("%d provider calls of one that is cut off", n)
		}
		if h := activeStatus(t).Health(); h.Healthy || !strings.Contains(h.Reasons[0].Reason, "could not renew its lease") {
			t.Errorf("health: %+v", h)
		}
		if n := len(l.logged("error", "storage that the instances share")) + len(l.logged("error", "cut off")); n != 1 {
			t.Errorf("%d lines for one trouble", n)
		}
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{"93.184.216.2"}) {
			t.Errorf("published in the end: %q", got)
		}
	})
}

func running1(t *testing.T) *App {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

func activeStatus(t *testing.T) *status.Status { return running1(t).status(time.Now()) }

func status1(t *testing.T) status.ZoneStatus {
	t.Helper()
	return activeStatus(t).Zones[0]
}
