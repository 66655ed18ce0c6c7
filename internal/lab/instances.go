//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Lease is that of the instances: short, but long enough for a machine that
// has much else to do.
const Lease = 8 * time.Second

// hubAddr is where the instances reach BIND.
const hubAddr = "198.51.100.53"

// Instances are several Caddys that share www.example.test at one BIND, each
// on a machine of its own.
type Instances struct {
	BIND *BIND
	All  []*Instance
	// Change, if not nil, changes the configuration of an instance.
	Change func(i *Instance, config map[string]any)

	t   testing.TB
	bin string

	mu sync.Mutex
	// answers are what BIND has answered for the name, each as often as it
	// changed.
	answers [][]string
	ended   chan struct{}
}

// Instance is one of them.
type Instance struct {
	*Caddy
	Addr string

	all     *Instances
	ns      *NS
	number  int
	storage any
}

// NewInstances makes the machines and the name server. bin is the Caddy that
// they run, "" for cmd/caddy.
func NewInstances(t testing.TB, n int, bin string) *Instances {
	t.Helper()
	hub := NewNS(t)
	s := &Instances{t: t, bin: bin, ended: make(chan struct{})}
	hub.AddAddr("lo", hubAddr+"/32")
	s.BIND = startBIND(t, hub, hubAddr, "example.test")
	for i := range n {
		ns := NewNS(t)
		lan := fmt.Sprintf("lan%d", i)
		Link(ns, "eth0", hub, lan)
		instance := &Instance{all: s, ns: ns, number: i}
		ns.IP("route add " + hubAddr + " dev eth0")
		s.All = append(s.All, instance)
		instance.move(fmt.Sprintf("93.184.216.%d", i+1))
	}
	t.Cleanup(func() {
		close(s.ended)
		if t.Failed() {
			t.Logf("answers: %q", s.Answers())
		}
	})
	go s.poll()
	return s
}

// move gives the machine another address.
func (i *Instance) move(addr string) {
	hub, lan := i.all.BIND.ns, fmt.Sprintf("lan%d", i.number)
	hub.IP("route replace " + addr + "/32 dev " + lan)
	if i.Addr == "" {
		i.ns.AddAddr("eth0", addr+"/32")
	} else {
		i.ns.ReplaceAddr("eth0", i.Addr+"/32", addr+"/32")
		i.ns.IP("route replace " + hubAddr + " dev eth0")
	}
	i.Addr = addr
}

// Move gives the machine another address while it runs.
func (i *Instance) Move(addr string) { i.move(addr) }

// Run starts the instance's Caddy with a storage and further names.
func (i *Instance) Run(storage any, names ...string) {
	i.all.t.Helper()
	i.storage = storage
	file := filepath.Join(tempDir(i.all.t), "config.json")
	config, err := json.Marshal(i.Config(names...))
	if err != nil {
		i.all.t.Fatal(err)
	}
	WriteFile(i.all.t, file, string(config))
	env := "TSIG_KEY=" + i.all.BIND.Key
	if i.all.bin == "" {
		i.Caddy = StartCaddy(i.all.t, i.ns, file, env)
	} else {
		i.Caddy = StartProgram(i.all.t, i.ns, i.all.bin, file, env)
	}
}

// Config is the instance's configuration.
func (i *Instance) Config(names ...string) any {
	type object = map[string]any
	b := i.all.BIND
	config := object{
		"logging": object{"logs": object{"default": object{"level": "DEBUG"}}},
		"storage": i.storage,
		"apps": object{"dynamic_dns": object{
			"dns_provider": object{
				"name": "rfc2136", "server": b.Addr,
				"key_name": b.KeyName, "key_alg": b.KeyAlg, "key": "{env.TSIG_KEY}",
			},
			"domains":        object{"example.test": append([]string{"www"}, names...)},
			"ip_sources":     []object{{"source": "interface", "name": "eth0"}},
			"versions":       object{"ipv6": false},
			"check_interval": "1h",
			"cluster":        object{"name": i.Name(), "lease": Lease.String()},
		}},
	}
	if i.all.Change != nil {
		i.all.Change(i, config)
	}
	return config
}

// Dial connects from the instance's machine.
func (i *Instance) Dial(network, addr string) (net.Conn, error) { return i.ns.Dial(network, addr) }

// writer is who writes the zone, as far as the instance knows.
func (i *Instance) writer() string {
	var status struct {
		Zones []struct {
			Writer string `json:"writer"`
		} `json:"zones"`
	}
	_, body := i.Admin("GET", "/dynamic_dns/status", nil)
	if json.Unmarshal([]byte(body), &status) != nil || len(status.Zones) == 0 {
		return ""
	}
	return status.Zones[0].Writer
}

// Name is what the instance is called.
func (i *Instance) Name() string { return fmt.Sprintf("web%d", i.number+1) }

// poll notes what the name holds.
func (s *Instances) poll() {
	for {
		select {
		case <-s.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
		got := s.Addresses("www.example.test")
		s.mu.Lock()
		if n := len(s.answers); n == 0 || !slices.Equal(s.answers[n-1], got) {
			s.answers = append(s.answers, got)
		}
		s.mu.Unlock()
	}
}

// Addresses returns what a name holds, sorted.
func (s *Instances) Addresses(name string) []string {
	got, err := s.BIND.Lookup(name, 1)
	if err != nil {
		return []string{"no answer: " + err.Error()}
	}
	slices.Sort(got)
	return got
}

// Answers returns what was answered since the last call.
func (s *Instances) Answers() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.answers
	s.answers = nil
	if len(all) > 0 {
		s.answers = [][]string{all[len(all)-1]}
	}
	return all
}

func (s *Instances) last() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 {
		return nil
	}
	return s.answers[len(s.answers)-1]
}

// Expect waits until the name holds the addresses of these instances. Until
// then, it must always have held those of all that are in always, at least.
func (s *Instances) Expect(within time.Duration, what string, want []*Instance, always ...*Instance) {
	s.t.Helper()
	addrs := func(all []*Instance) (list []string) {
		for _, i := range all {
			list = append(list, i.Addr)
		}
		slices.Sort(list)
		return list
	}
	begin := time.Now()
	EventuallyEqual(s.t, within, what, func() []string { return s.Addresses("www.example.test") }, addrs(want)...)
	s.t.Logf("%s: after %s", what, time.Since(begin).Round(10*time.Millisecond))
	EventuallyEqual(s.t, within, what+", as noted", s.last, addrs(want)...)
	for _, answer := range s.Answers() {
		for _, addr := range addrs(always) {
			if !slices.Contains(answer, addr) {
				s.t.Errorf("%s: the name held %q, without %s, which is alive", what, answer, addr)
			}
		}
	}
}

// Writer returns the instance that writes the zone.
func (s *Instances) Writer() *Instance {
	s.t.Helper()
	var writer *Instance
	Eventually(s.t, 4*Lease, "one instance that writes the zone", func() bool {
		for _, i := range s.All {
			if i.Caddy != nil && i.running() && i.writer() == i.Name() {
				writer = i
			}
		}
		return writer != nil
	})
	return writer
}

// Others returns all but some.
func (s *Instances) Others(but ...*Instance) []*Instance {
	return slices.DeleteFunc(slices.Clone(s.All), func(i *Instance) bool { return slices.Contains(but, i) })
}

// Settled waits until BIND is not asked for anything any more.
func (s *Instances) Settled() (updates, transfers int) {
	s.t.Helper()
	last, since := [2]int{}, time.Now()
	Eventually(s.t, time.Minute, "silence", func() bool {
		if now := [2]int{s.BIND.Updates(), s.BIND.Transfers()}; now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
	return last[0], last[1]
}
