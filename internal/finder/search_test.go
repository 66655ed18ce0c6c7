package finder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// world is a provider and DNS.
type world struct {
	mu sync.Mutex
	// zones are those that the provider has, and inDNS those of DNS.
	zones, inDNS     []string
	lists, reads     bool
	listErr, readErr error
	// hangs are hosts that DNS does not answer for.
	hangs          map[string]bool
	listed, looked []time.Duration
	// read are the zones that the provider was asked for.
	read  []string
	began time.Time
}

func (w *world) CanList() bool { return w.lists }
func (w *world) CanRead() bool { return w.reads }

func (w *world) Zones(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = append(w.listed, time.Since(w.began))
	return slices.Clone(w.zones), w.listErr
}

func (w *world) Has(_ context.Context, zone string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = append(w.read, zone)
	if w.readErr != nil {
		return w.readErr
	}
	if !slices.Contains(w.zones, zone) {
		return errors.New("no such zone")
	}
	return nil
}

func (w *world) locate(ctx context.Context, host string) (string, error) {
	w.mu.Lock()
	w.looked = append(w.looked, time.Since(w.began))
	hangs := w.hangs[host]
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if zone, _, ok := dnsname.Match(host, w.inDNS); ok {
		return zone, nil
	}
	return "", errors.New("no start of authority")
}

// hasListed and hasLooked return when the provider was asked for its zones, and
// DNS for one.
func (w *world) hasListed() (at []time.Duration) {
	w.set(func() { at = slices.Clone(w.listed) })
	return at
}

func (w *world) hasLooked() (at []time.Duration) {
	w.set(func() { at = slices.Clone(w.looked) })
	return at
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// start runs a search until the test ends.
func (w *world) start(t *testing.T, known *Known, hosts Hosts) *Search {
	if w.began.IsZero() {
		w.began = time.Now()
	}
	s := &Search{
		Known: known, Provider: w, Hosts: hosts, Locate: w.locate,
		NoSuchZone: func(err error) bool { return err.Error() == "no such zone" },
		Changed:    func() {}, Chance: func() float64 { return 0.999999 }, Logger: zap.NewNop(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func seconds(times []time.Duration) (all []int) {
	for _, d := range times {
		all = append(all, int(d.Round(time.Second).Seconds()))
	}
	return all
}

// TestBackoff: a name that must have a zone is looked for after 5 seconds, and
// then ever later up to ten minutes; one that is offered, once an hour.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com."}}
		known := new(Known)
		w.start(t, known, Hosts{Needed: []string{"www.example.net", "www.example.com"}})
		wait(30 * time.Minute)
		if got, want := seconds(w.hasListed()), []int{0, 5, 15, 35, 75, 155, 315, 635, 1235}; !slices.Equal(got, want) {
			t.Errorf("listed at %v, want %v", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com."}}
		w.start(t, new(Known), Hosts{Offered: []string{"www.example.net", "www.example.com"}})
		wait(2*time.Hour + time.Minute)
		if got, want := seconds(w.hasListed()), []int{0, 3600, 7200}; !slices.Equal(got, want) {
			t.Errorf("listed at %v, want %v", got, want)
		}
		if len(w.hasLooked()) > 0 {
			t.Error("DNS was asked for what the provider does not list")
		}
	})
}

// TestFailingList: DNS is asked once the list has failed three times, and the list
// counts again once there is one.
func TestFailingList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com.", "sub.example.com."}, inDNS: []string{"example.com."}, listErr: errors.New("503")}
		known := new(Known)
		w.start(t, known, Hosts{Needed: []string{"www.sub.example.com"}})
		wait(10 * time.Second)
		if a := known.Answer("www.sub.example.com"); a.Zone != "" || a.Err == nil || len(w.hasLooked()) > 0 {
			t.Errorf("after two failures: %+v", a)
		}
		wait(10 * time.Second)
		if a := known.Answer("www.sub.example.com"); a.Zone != "example.com." {
			t.Errorf("after three failures: %+v", a)
		}
		w.set(func() { w.listErr = nil })
		wait(time.Hour)
		if a := known.Answer("www.sub.example.com"); a.Zone != "sub.example.com." {
			t.Errorf("once there is a list: %+v", a)
		}
		// A list that fails once more does not make it forget.
		w.set(func() { w.listErr = errors.New("503") })
		wait(3 * time.Hour)
		if a := known.Answer("www.sub.example.com"); a.Zone != "sub.example.com." {
			t.Errorf("later: %+v", a)
		}
	})
}

// TestBlindReader: a provider that cannot list zones, and whose reads fail, does
// not keep a name that is needed from being managed; one that says that it has
// no such zone does, and so does a list without it.
func TestBlindReader(t *testing.T) {
	for name, test := range map[string]struct {
		lists   bool
		readErr error
		want    string
	}{
		"reads fail":             {false, errors.New("503"), "example.com."},
		"no such zone":           {false, errors.New("no such zone"), ""},
		"reads fail, not listed": {true, errors.New("503"), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{lists: test.lists, reads: true, inDNS: []string{"example.com."}, readErr: test.readErr}
			known := new(Known)
			w.start(t, known, Hosts{Needed: []string{"www.example.com"}, Offered: []string{"blog.example.com"}})
			wait(time.Minute)
			if a := known.Answer("www.example.com"); a.Zone != test.want || (a.Err == nil) != (test.want != "") {
				t.Errorf("%s: needed: %+v", name, a)
			}
			if a := known.Answer("blog.example.com"); a.Zone != "" || a.Err == nil {
				t.Errorf("%s: offered: %+v", name, a)
			}
		})
	}
}

// TestManyHosts: the provider is asked once for a zone that many hosts are in, and
// what is found together is told together.
func TestManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{reads: true, zones: []string{"example.com."}, inDNS: []string{"example.com.", "example.net."}}
		var hosts Hosts
		for i := range 100 {
			hosts.Needed = append(hosts.Needed, fmt.Sprintf("host%d.example.com", i))
			hosts.Offered = append(hosts.Offered, fmt.Sprintf("host%d.example.net", i))
		}
		told := 0
		s := &Search{
			Known: new(Known), Provider: w, Hosts: hosts, Locate: w.locate,
			NoSuchZone: func(err error) bool { return err.Error() == "no such zone" },
			Changed:    func() { told++ }, Chance: func() float64 { return 0 }, Logger: zap.NewNop(),
		}
		s.Once(t.Context())
		if len(w.read) != 2 || told > 2 {
			t.Errorf("asked for %v, told %d times", w.read, told)
		}
		if a := s.Known.Answer("host99.example.com"); a.Zone != "example.com." {
			t.Errorf("got %+v", a)
		}
	})
}

// TestHangingLookup: a host for which DNS does not answer holds up no other.
func TestHangingLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{reads: true, zones: []string{"example.com."}, inDNS: []string{"example.com."}, hangs: map[string]bool{"a.example.org": true}}
		known := new(Known)
		w.start(t, known, Hosts{Needed: []string{"a.example.org", "www.example.com"}})
		wait(time.Second)
		if a := known.Answer("www.example.com"); a.Zone != "example.com." {
			t.Errorf("got %+v", a)
		}
		wait(lookTimeout)
		if a := known.Answer("a.example.org"); a.Err == nil {
			t.Errorf("got %+v", a)
		}
	})
}

// TestDoubt: a zone that the provider says it has not is looked up again, at most
// every 30 seconds, until it is trusted again or no name is in it.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com."}}
		known := new(Known)
		s := w.start(t, known, Hosts{Needed: []string{"www.example.com"}})
		wait(time.Hour)
		if len(w.hasListed()) != 1 {
			t.Fatalf("listed at %v", w.hasListed())
		}
		for range 100 {
			s.Doubt("example.com.")
			s.Trust("example.com.")
			wait(time.Second)
		}
		if n := len(w.hasListed()); n > 1 {
			t.Errorf("%d lists while the zone is trusted", n)
		}
		for range 100 {
			s.Doubt("example.com.")
			wait(time.Second)
		}
		if n := len(w.hasListed()); n < 2 || n > 7 {
			t.Errorf("%d lists in 100 seconds of doubt", n)
		}
		w.set(func() { w.zones = []string{"com."} })
		wait(15 * time.Minute)
		if a := known.Answer("www.example.com"); a.Zone != "com." {
			t.Errorf("got %+v", a)
		}
		n := len(w.hasListed())
		wait(10 * time.Hour)
		if len(w.hasListed()) > n {
			t.Error("still in doubt")
		}
	})
}

// TestAsk: who asks has it looked for now.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true}
		known := new(Known)
		s := w.start(t, known, Hosts{Needed: []string{"www.example.com"}, Offered: []string{"www.example.net"}})
		wait(9 * time.Hour)
		w.set(func() { w.zones = []string{"example.com.", "example.net."} })
		if err := s.Ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"www.example.com", "www.example.net"} {
			if a := known.Answer(host); a.Zone == "" {
				t.Errorf("%s: %+v", host, a)
			}
		}
	})
}

// TestAskForLongerZone: who asks has it looked in a new list.
func TestAskForLongerZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com."}}
		known := new(Known)
		s := w.start(t, known, Hosts{Needed: []string{"www.sub.example.com"}, Offered: []string{"a.sub.example.com"}})
		wait(time.Hour)
		w.set(func() { w.zones = append(w.zones, "sub.example.com.") })
		if err := s.Ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"www.sub.example.com", "a.sub.example.com"} {
			if a := known.Answer(host); a.Zone != "sub.example.com." {
				t.Errorf("%s: %+v", host, a)
			}
		}
	})
}

// TestAnotherSearch: what one search knows the next one does not ask for, but
// for what has come to be needed.
func TestAnotherSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lists: true, reads: true, zones: []string{"example.com."}}
		known := new(Known)
		w.start(t, known, Hosts{Offered: []string{"www.example.com", "www.example.net"}})
		wait(time.Minute)
		w.start(t, known, Hosts{Offered: []string{"www.example.com", "www.example.net", "blog.example.com"}})
		wait(time.Minute)
		if n := len(w.hasListed()); n != 1 {
			t.Errorf("%d lists", n)
		}
		w.start(t, known, Hosts{Needed: []string{"www.example.net"}})
		wait(time.Second)
		if n := len(w.hasListed()); n != 2 {
			t.Errorf("%d lists once a name is needed", n)
		}
	})
}
