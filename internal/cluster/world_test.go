package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const testLease = 15 * time.Second

var testZone = lease.ZoneID{Zone: "example.com.", Provider: "fake"}

// world is a storage, a zone, and the instances that share both.
type world struct {
	t     *testing.T
	share lease.Share
	// names are what each instance has.
	names []string

	mu        sync.Mutex
	files     map[string][]byte
	locks     map[string]bool
	instances []*instance
	// dns is what the name www holds, writes counts how often it was written.
	dns    []netip.Addr
	writes int
	lines  []string
	begun  time.Time
	random *rand.Rand
	// lossy is set while locks do not exclude.
	lossy bool
	// wrap, if not nil, makes the storage of an instance.
	wrap func(*instance) certmagic.Storage
}

func newWorld(t *testing.T) *world {
	return &world{t: t, names: []string{"www"}, files: make(map[string][]byte), locks: make(map[string]bool), begun: time.Now(), random: rand.New(rand.NewPCG(1, 1))}
}

func (w *world) notef(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf("%7.2fs ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

// instance is one Caddy.
type instance struct {
	w      *world
	name   string
	member *Member
	cancel context.CancelFunc
	ended  chan struct{}
	// publishing keeps what is older from being written last.
	publishing sync.Mutex

	// What follows is guarded by the world's lock.

	claimed *plan.Desired
	// operations counts calls of the storage.
	operations int
	addr       netip.Addr
	lost       bool
	running    bool
	failing    bool // the storage refuses its calls
	hanging    bool // the storage does not answer it
	delay      time.Duration
	elsewhen   map[string][]byte // its own storage, if it sees another one
	deceived   bool              // and others were well when that began
	refused    time.Time         // since when the provider refuses it
	// sound is since when nothing was wrong with it.
	sound time.Time
}

func (w *world) start(name, addr string) *instance {
	w.mu.Lock()
	n := 0
	for _, i := range w.instances {
		if i.name == name {
			n++
		}
	}
	i := &instance{w: w, name: name, addr: netip.MustParseAddr(addr), running: true, sound: time.Now(), ended: make(chan struct{})}
	i.member = New(name, fmt.Sprintf("p%d", n), "host-"+name)
	w.instances = append(w.instances, i)
	w.notef("%s starts with %s", name, addr)
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	var storage certmagic.Storage = i
	if w.wrap != nil {
		storage = w.wrap(i)
	}
	i.member.Configure(Settings{
		Storage: storage, Share: w.share, Lease: testLease, Sets: i.sets, Report: i.report, Changed: func() { i.claim(); go i.publish() }, Begin: func(lease.ZoneID) func() { return func() { go i.publish() } },
		Observer: silent{}, Logger: zap.NewNop(),
	})
	go func() {
		defer close(i.ended)
		i.member.Run(ctx)
	}()
	return i
}

// kill ends it without a word.
func (i *instance) kill() {
	i.w.mu.Lock()
	i.running = false
	i.w.notef("%s is killed", i.name)
	i.w.mu.Unlock()
	i.cancel()
	<-i.ended
}

// stop ends it cleanly.
func (i *instance) stop() {
	i.w.mu.Lock()
	i.w.notef("%s is stopped", i.name)
	i.w.mu.Unlock()
	i.cancel()
	<-i.ended
	i.member.Leave(context.Background())
	i.w.mu.Lock()
	i.running = false
	i.w.mu.Unlock()
}

// change does something to it.
func (i *instance) change(what string, do func()) {
	i.w.mu.Lock()
	i.w.notef("%s: %s", i.name, what)
	do()
	i.sound = time.Now()
	i.w.mu.Unlock()
	i.member.Poke()
	// A zone tries again what the provider has refused.
	go i.publish()
}

func (i *instance) sets() []lease.Set {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	return []lease.Set{{
		ZoneID: testZone, Names: i.w.names,
		Found: [ipaddr.Families]*lease.Found{ipaddr.V4: {Addrs: []netip.Addr{i.addr}, Source: "test", Lost: i.lost}},
	}}
}

func (i *instance) report(lease.ZoneID) (*bool, time.Duration) {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if i.refused.IsZero() {
		return new(true), 0
	}
	return new(false), time.Since(i.refused)
}

// claim tells the zone what it should hold.
func (i *instance) claim() {
	want := i.member.Desired(testZone)[plan.Key{Name: "www", Family: ipaddr.V4}]
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	i.claimed = want
}

// publish does what a zone would, if the instance writes it.
func (i *instance) publish() {
	i.publishing.Lock()
	defer i.publishing.Unlock()
	i.w.mu.Lock()
	want := i.claimed
	i.w.mu.Unlock()
	if want == nil || want.State != plan.Set || !i.member.Writes(testZone) {
		return
	}
	w := i.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !i.running || !i.refused.IsZero() || slices.Equal(w.dns, want.Addrs) {
		return
	}
	w.notef("%s writes %v", i.name, want.Addrs)
	w.writes++
	before := w.dns
	w.dns = want.Addrs
	w.check(i, before)
}

// well reports whether nothing has been wrong with it for a while.
func (i *instance) well() bool {
	return i.running && !i.lost && !i.failing && !i.hanging && i.elsewhen == nil && i.delay < time.Second && time.Since(i.sound) > 2*testLease
}

// check is what must hold at every write.
func (w *world) check(writer *instance, before []netip.Addr) {
	if w.share == lease.First && len(w.dns) != 1 {
		w.fail("%d addresses are published where one should be", len(w.dns))
	}
	if writer.deceived && time.Since(writer.sound) > testLease {
		w.fail("%s wrote while it saw another storage", writer.name)
	}
	if writer.elsewhen != nil && !writer.deceived {
		// It was alone when it came to see another storage, and is again.
		return
	}
	for _, i := range w.instances {
		// One that is well and was there stays.
		if w.share == lease.All && i.well() && slices.Contains(before, i.addr) && !slices.Contains(w.dns, i.addr) {
			w.fail("%s took away the address of %s, which is alive", writer.name, i.name)
		}
	}
	if (writer.failing || writer.hanging) && time.Since(writer.sound) > testLease+time.Second {
		w.fail("%s wrote though its lease was over", writer.name)
	}
}

// describe says what each instance believes.
func (w *world) describe() {
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	for _, i := range all {
		if !i.alive() {
			continue
		}
		s := i.member.Status()
		w.notef("%s: cut off %v, trouble %v, writers %v", i.name, s.CutOff, s.Trouble, s.Writers)
		for _, m := range s.Members {
			w.notef("  sees %s/%s, alive: %v, seen at %.2fs: %v, writes %v", m.Name, m.Process, m.Alive, m.Seen.Sub(w.begun).Seconds(), m.Sets[0].Found[0], m.Writes)
		}
		for key, d := range i.member.Desired(testZone) {
			w.notef("  desires %s: %v", key, d.Addrs)
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Errorf(format+"\n%s", append(args, strings.Join(w.lines, "\n"))...)
}

func (w *world) operations() (n int) {
	for _, i := range w.instances {
		n += i.operations
	}
	return n
}

// writers returns who believes that it writes.
func (w *world) writers() (names []string) {
	w.mu.Lock()
	all := slices.Clone(w.instances)
	w.mu.Unlock()
	for _, i := range all {
		if i.alive() && i.member.Writes(testZone) {
			names = append(names, i.name)
		}
	}
	return names
}

func (i *instance) alive() bool {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	return i.running
}

// begin is the storage's answer to any call.
func (i *instance) begin(ctx context.Context) error {
	i.w.mu.Lock()
	i.operations++
	failing, hanging, delay := i.failing, i.hanging, i.delay
	i.w.mu.Unlock()
	if hanging {
		<-ctx.Done()
		return ctx.Err()
	}
	if failing {
		return errors.New("the storage is gone")
	}
	if delay > 0 {
		i.w.mu.Lock()
		delay = time.Duration(i.w.random.Int64N(int64(delay)))
		i.w.mu.Unlock()
		time.Sleep(delay)
	}
	return nil
}

func (i *instance) place() map[string][]byte {
	if i.elsewhen != nil {
		return i.elsewhen
	}
	return i.w.files
}

func (i *instance) Store(ctx context.Context, key string, value []byte) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if !i.running {
		return errors.New("killed")
	}
	i.place()[key] = value
	return nil
}

func (i *instance) Load(ctx context.Context, key string) ([]byte, error) {
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if data, ok := i.place()[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (i *instance) Delete(ctx context.Context, key string) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	delete(i.place(), key)
	return nil
}

func (i *instance) Exists(ctx context.Context, key string) bool {
	_, err := i.Load(ctx, key)
	return err == nil
}

func (i *instance) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(i.place())) {
		if path.Dir(key) == prefix {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (i *instance) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	return certmagic.KeyInfo{}, errors.ErrUnsupported
}

// Lock waits for the lock, unless locks do not work.
func (i *instance) Lock(ctx context.Context, name string) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	for {
		i.w.mu.Lock()
		if i.w.lossy || !i.w.locks[name] {
			i.w.locks[name] = true
			i.w.mu.Unlock()
			return nil
		}
		i.w.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (i *instance) Unlock(ctx context.Context, name string) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	i.w.locks[name] = false
	return nil
}

type silent struct{}

func (silent) InstanceJoined(name, host string)        {}
func (silent) InstanceGone(name string)                {}
func (silent) ZoneTakenOver(zone, provider, by string) {}
