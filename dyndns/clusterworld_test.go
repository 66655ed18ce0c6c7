package dyndns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

const clusterLease = 15 * time.Second

var sharedZone = lease.ZoneID{Zone: origin, Provider: "standin"}

// caddys are instances that share a storage and a zone, of Caddy's part of
// which only the app is there: one process has one Caddy.
type caddys struct {
	t *testing.T
	z *standinZone

	mu    sync.Mutex
	files map[string][]byte
	locks map[string]bool
	all   []*instance
	lines []string
	begun time.Time
	// count counts calls of the storage, each of which takes this long.
	count int
	delay time.Duration
	// withdraw is set where hosts without a user are taken away, and finds where
	// the zone is in no configuration.
	withdraw, finds bool
}

func together(t *testing.T, test func(s *caddys)) {
	realChance := zone.Chance
	t.Cleanup(func() { zone.Chance = realChance })
	zone.Chance = func(zone.Key) func() float64 { return rand.New(rand.NewPCG(1, 1)).Float64 }
	synctest.Test(t, func(t *testing.T) {
		s := &caddys{t: t, files: make(map[string][]byte), locks: make(map[string]bool), begun: time.Now()}
		s.z = newStandinZone()
		test(s)
		for _, i := range s.all {
			if i.isRunning() {
				i.kill()
			}
		}
		if t.Failed() {
			s.mu.Lock()
			t.Log("\n" + strings.Join(s.lines, "\n"))
			s.mu.Unlock()
		}
		time.Sleep(time.Hour)
	})
}

func (s *caddys) notef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%8.2fs ", time.Since(s.begun).Seconds())+fmt.Sprintf(format, args...))
}

// instance is one of them. It is its own storage, and its own way to the
// provider.
type instance struct {
	s        *caddys
	name     string
	app      *App
	member   *cluster.Member
	provider *provider.Provider
	handle   *Handler
	cancel   context.CancelFunc
	ended    sync.WaitGroup

	// What follows is guarded by the lock of all.

	shares  []cluster.Zone
	running bool
	failing bool // the storage refuses its calls
	hanging bool // they wait, whatever their context says
	// unreadable is a host whose entry it cannot read.
	unreadable string
	// stuck is what becomes of the next storing of a host, if it is set.
	stuck   func(context.Context) error
	refused bool // the provider does
	// readOnly is set while the provider refuses writes alone.
	readOnly bool
}

// pair starts two instances, and returns the one that comes to write the zone and
// the one that does not.
func (s *caddys) pair() (writer, other *instance) {
	s.start("a")
	s.start("b")
	time.Sleep(2 * clusterLease)
	return s.writer(), s.other()
}

// start starts one that serves these hosts, or those of all.
func (s *caddys) start(name string, hosts ...string) *instance {
	i := &instance{s: s, name: name, running: true}
	s.mu.Lock()
	number := len(s.all)
	s.all = append(s.all, i)
	s.mu.Unlock()
	s.notef("%s starts", name)
	i.member = cluster.New(name, fmt.Sprintf("p%d", number), "host-"+name)
	p, err := provider.New(sharedZone.Provider, i, provider.NewSlots(), func(s string) string { return s }, (*observe.Observer)(nil), zap.NewNop())
	if err != nil {
		s.t.Fatal(err)
	}
	a := new(App)
	a.keeper = keeper{
		storage: bounded{i}, logger: zap.NewNop(), shared: newShared().(*shared), other: i,
		exact: make(map[string]*service), below: make(map[string]*service),
		zones: make(map[zone.Key]*keptZone), attached: make(chan struct{}),
	}
	i.app, i.provider = a, p
	// zone.Shared has the zones of all.
	key := zone.Key{Config: fmt.Sprintf("instance %d", number), Module: p.Name, Zone: origin}
	service := &service{
		zones: make(map[string]*keptZone), ttl: time.Minute, withdraw: s.withdraw,
		provider: p, key: key.Config, keptAt: a.keptAt,
	}
	a.services = append(a.services, service)
	if len(hosts) == 0 {
		hosts = []string{"home.example.com", "www.example.com"}
	}
	if s.finds {
		service.search = i.search(hosts)
		a.searches = map[string]*finder.Search{key.Config: service.search}
	} else {
		z := a.newKept(key)
		a.zones[key], service.zones[origin], service.names = z, z, []string{origin}
	}
	for _, host := range hosts {
		a.exact[host] = service
	}
	filter, err := ipaddr.NewFilter(nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	i.handle = &Handler{app: a, logger: zap.NewNop(), rules: &request.Rules{PrefixLength: 64, Filter: filter}}
	a.acquire(false)

	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = func() {
		cancel()
		i.ended.Wait()
		a.detach()
		for _, z := range a.kept() {
			zone.Shared.Release(z.zone)
		}
	}
	i.member.Configure(cluster.Settings{
		Storage: i, Lease: clusterLease, Sets: i.sets, Report: i.report, Changed: func() {}, Begin: i.begin,
		Observer: silent{}, Logger: zap.NewNop(),
	})
	a.attach()
	i.ended.Go(func() { i.member.Run(ctx) })
	i.ended.Go(func() { a.follow(ctx) })
	if s.finds {
		i.ended.Go(func() { service.search.Run(ctx) })
	}
	return i
}

// kill ends it without a word.
func (i *instance) kill() {
	i.s.notef("%s is killed", i.name)
	i.set(func() { i.running = false })
	i.cancel()
}

// stop ends it cleanly.
func (i *instance) stop() {
	i.s.notef("%s is stopped", i.name)
	i.set(func() { i.hanging = false })
	i.cancel()
	i.member.Leave(context.Background())
	i.set(func() { i.running = false })
}

func (i *instance) set(do func()) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	do()
}

func (i *instance) isRunning() (running bool) {
	i.set(func() { running = i.running })
	return running
}

func (i *instance) sets() []lease.Set {
	return []lease.Set{{ZoneID: sharedZone, Clients: true}}
}

func (i *instance) report(lease.ZoneID) (*bool, time.Duration) {
	inSync, refusedFor := new(true), time.Duration(0)
	for _, z := range i.clients() {
		inSync, refusedFor = z.Report()
	}
	return inSync, refusedFor
}

func (i *instance) begin(lease.ZoneID) func() {
	begun := func() {}
	for _, z := range i.clients() {
		begun = z.Begin()
	}
	return begun
}

func (i *instance) clients() []cluster.Zone {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	return slices.Clone(i.shares)
}

// update is a client's request of the instance: "good", "nochg" or what went
// wrong, each followed by what is said to be in DNS.
func (i *instance) update(host, addr string) string {
	r := httptest.NewRequest(http.MethodGet, "/nic/update?hostname="+host+"&myip="+addr, nil)
	params, err := request.Read(r)
	if err != nil {
		i.s.t.Error(err)
		return ""
	}
	req, err := request.Parse(params)
	if err != nil {
		i.s.t.Error(err)
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	u := &update{handler: i.handle, user: &auth.User{Name: "home"}, hosts: []string{host}}
	lines, err := u.apply(ctx, req)
	answer := ""
	var refused *reply.Error
	switch {
	case errors.As(err, &refused):
		answer = string(refused.Word)
	case err != nil:
		answer = err.Error()
	default:
		answer = strings.Trim(fmt.Sprintln(map[bool]string{true: "good", false: "nochg"}[lines[0].Changed], fmt.Sprint(lines[0].Addrs)), "\n")
		answer = strings.NewReplacer("[", "", "]", "").Replace(answer)
	}
	i.s.notef("%s is told %s of %s, and answers %q after %s (%v)", i.name, addr, host, answer, time.Since(began), err)
	return answer
}

// DNSProvider and others are of the dynamic_dns app.
func (*instance) DNSProvider() json.RawMessage { return nil }
func (*instance) ZoneNames() []string          { return nil }
func (*instance) Manages(func(string))         {}
func (*instance) Keeps(string) bool            { return false }

func (i *instance) Share(z cluster.Zone) *cluster.Member {
	i.set(func() { i.shares = append(i.shares, z) })
	// The member is poked, and may ask at once.
	z.Report()
	return i.member
}

// use is the answer to any call of the storage.
func (i *instance) use(do func(files map[string][]byte) error) error {
	for hanging := true; hanging; {
		i.set(func() { hanging = i.hanging && i.running })
		if hanging {
			time.Sleep(100 * time.Millisecond)
		}
	}
	i.s.mu.Lock()
	delay := i.s.delay
	i.s.mu.Unlock()
	time.Sleep(delay)
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	i.s.count++
	if i.failing || !i.running {
		return errors.New("the storage is gone")
	}
	return do(i.s.files)
}

func (i *instance) Store(ctx context.Context, key string, value []byte) error {
	if strings.Contains(key, "/hosts/") {
		var stuck func(context.Context) error
		i.set(func() { stuck, i.stuck = i.stuck, nil })
		if stuck != nil {
			return stuck(ctx)
		}
	}
	return i.use(func(files map[string][]byte) error { files[key] = value; return nil })
}

func (i *instance) Load(_ context.Context, key string) (data []byte, err error) {
	err = i.use(func(files map[string][]byte) error {
		if i.unreadable != "" && strings.Contains(key, i.unreadable) {
			return fs.ErrPermission
		}
		there, ok := files[key]
		if data = there; !ok {
			return fs.ErrNotExist
		}
		return nil
	})
	return data, err
}

func (i *instance) Delete(_ context.Context, key string) error {
	return i.use(func(files map[string][]byte) error { delete(files, key); return nil })
}

func (i *instance) Exists(ctx context.Context, key string) bool {
	_, err := i.Load(ctx, key)
	return err == nil
}

func (i *instance) List(_ context.Context, prefix string, _ bool) (keys []string, err error) {
	err = i.use(func(files map[string][]byte) error {
		keys = slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(key string) bool { return path.Dir(key) != prefix })
		return nil
	})
	return keys, err
}

func (*instance) Stat(context.Context, string) (certmagic.KeyInfo, error) {
	return certmagic.KeyInfo{}, errors.ErrUnsupported
}

func (i *instance) Lock(ctx context.Context, name string) error {
	for {
		locked := false
		err := i.use(func(map[string][]byte) error {
			locked = !i.s.locks[name]
			i.s.locks[name] = true
			return nil
		})
		if err != nil || locked {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (i *instance) Unlock(_ context.Context, name string) error {
	return i.use(func(map[string][]byte) error { i.s.locks[name] = false; return nil })
}

// reach is what each call of the provider begins with.
func (i *instance) reach() error {
	time.Sleep(100 * time.Millisecond)
	var err error
	i.set(func() {
		if i.refused || !i.running {
			err = errors.New("the provider refuses it")
		}
	})
	return err
}

func (i *instance) GetRecords(context.Context, string) ([]libdns.Record, error) {
	if err := i.reach(); err != nil {
		return nil, err
	}
	return i.s.z.get(), nil
}

func (i *instance) SetRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	if err := i.reach(); err != nil {
		return nil, err
	}
	i.s.mu.Lock()
	readOnly := i.readOnly
	i.s.mu.Unlock()
	if readOnly {
		return nil, errors.New("read-only")
	}
	i.s.z.set(records)
	for _, r := range records {
		i.s.notef("%s writes %s %s", i.name, r.RR().Name, r.RR().Data)
	}
	return records, nil
}

func (i *instance) DeleteRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	if err := i.reach(); err != nil {
		return nil, err
	}
	i.s.z.delete(records)
	return records, nil
}

// standinZone is the zone, in which each name has one address.
type standinZone struct {
	mu    sync.Mutex
	addrs map[string]netip.Addr
	calls int
	// wrote is called with what is written.
	wrote func(name string, addr netip.Addr)
}

func newStandinZone() *standinZone { return &standinZone{addrs: make(map[string]netip.Addr)} }

func (z *standinZone) get() (records []libdns.Record) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.calls++
	for _, name := range slices.Sorted(maps.Keys(z.addrs)) {
		records = append(records, libdns.Address{Name: name, TTL: time.Minute, IP: z.addrs[name]})
	}
	return records
}

func (z *standinZone) set(records []libdns.Record) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.calls++
	for _, r := range records {
		rr := r.RR()
		addr := netip.MustParseAddr(rr.Data)
		z.addrs[rr.Name] = addr
		if z.wrote != nil {
			z.wrote(rr.Name, addr)
		}
	}
}

func (z *standinZone) delete(records []libdns.Record) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.calls++
	for _, r := range records {
		if rr := r.RR(); z.addrs[rr.Name].String() == rr.Data {
			delete(z.addrs, rr.Name)
		}
	}
}

func (z *standinZone) holds(name string) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	if addr, ok := z.addrs[name]; ok {
		return addr.String()
	}
	return ""
}

func (z *standinZone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.calls
}

type silent struct{}

func (silent) InstanceJoined(string, string)        {}
func (silent) InstanceGone(string)                  {}
func (silent) ZoneTakenOver(string, string, string) {}
