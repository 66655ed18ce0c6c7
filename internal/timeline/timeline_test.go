package timeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// memory is a storage that can fail and hang.
type memory struct {
	certmagic.Storage

	mu     sync.Mutex
	files  map[string][]byte
	err    error
	hang   chan struct{}
	panics bool
	stores int
}

func (m *memory) Load(_ context.Context, key string) ([]byte, error) {
	if m.hang != nil {
		<-m.hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.panics {
		panic("broken")
	}
	if m.err != nil {
		return nil, m.err
	}
	if data, ok := m.files[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stores++
	m.files[key] = value
	return nil
}

// writes is how many there were.
func (m *memory) writes() int {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stores
}

// set makes it fail, or panic, or well.
func (m *memory) set(err error, panics bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.panics = err, panics
}

func failure(i int) status.Event {
	return status.Event{Name: status.EventUpdateFailed, Zone: fmt.Sprintf("%d.example.com", i), Error: "no"}
}

// begin is a process that starts with the storage.
func begin(m *memory, instance string) (*Timeline, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	t := New()
	t.Keep(Kept{m, func() string { return instance }, zap.New(core)}, time.Now())
	return t, logs
}

func newMemory() *memory { return &memory{files: make(map[string][]byte)} }

// told is what the timeline says, the newest first.
func told(t *Timeline) string {
	var words []string
	for _, e := range t.Events() {
		words = append(words, strings.TrimSuffix(string(e.Name)+" "+e.Zone, " "))
	}
	return strings.Join(words, ", ")
}

func expect(t *testing.T, line *Timeline, want string) {
	t.Helper()
	if got := told(line); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestKeptOverRestarts: the next process knows what happened, also what
// happened just before the end, and shows it before its own.
func TestKeptOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		first, _ := begin(m, "one")
		synctest.Wait()
		first.Add(failure(1), time.Now())
		_ = first.Destruct()
		time.Sleep(time.Hour)
		second, logs := begin(m, "one")
		second.Add(failure(2), time.Now())
		time.Sleep(time.Minute)
		expect(t, second, "update_failed 2.example.com, started, update_failed 1.example.com, started")
		other, _ := begin(m, "other")
		time.Sleep(time.Minute)
		expect(t, other, "started")
		if len(m.files) != 2 || logs.Len() != 0 {
			t.Errorf("%d files, log %v", len(m.files), logs.All())
		}
		_, _ = second.Destruct(), other.Destruct()
	})
}

// TestReload: what outlives a configuration goes on, and no start is told.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		line, _ := begin(m, "one")
		time.Sleep(time.Minute)
		line.Keep(Kept{m, func() string { return "one" }, zap.NewNop()}, time.Now())
		time.Sleep(time.Minute)
		expect(t, line, "started")
		_ = line.Destruct()
	})
}

// TestLastFifty: no more are remembered, and many cost few writes.
func TestLastFifty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		line, _ := begin(m, "one")
		for i := range 200 {
			time.Sleep(100 * time.Millisecond)
			line.Add(failure(i), time.Now())
		}
		time.Sleep(time.Minute)
		events := line.Events()
		if len(events) != Most || events[0].Zone != "199.example.com" || events[Most-1].Zone != "150.example.com" {
			t.Errorf("%d events, from %s to %s", len(events), events[0].Zone, events[len(events)-1].Zone)
		}
		if n := m.writes(); n > 4 {
			t.Errorf("%d writes in 20 seconds", n)
		}
		_ = line.Destruct()
	})
}

// TestClockThatWasWrong: what is stamped later than now does not crowd out what
// happens, and nobody forgets it for a clock that is only not set yet.
func TestClockThatWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		line, _ := begin(m, "one")
		for i := range Most {
			line.Add(failure(i), time.Now().AddDate(10, 0, i))
		}
		_ = line.Destruct()
		time.Sleep(time.Hour)
		for i := range 2 { // also over a restart
			line, _ = begin(m, "one")
			line.Add(failure(100+i), time.Now())
			time.Sleep(time.Minute)
			_ = line.Destruct()
		}
		var now []string
		for _, e := range line.Events() {
			if !e.Time.After(time.Now()) {
				now = append(now, string(e.Name)+e.Zone)
			}
		}
		if got := strings.Join(now, ", "); got != "update_failed101.example.com, started, update_failed100.example.com, started" || len(line.Events()) != Most {
			t.Errorf("got %s of %d events", got, len(line.Events()))
		}
	})
}

// TestFlapping writes seldom, and at the end what is left.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		line, _ := begin(m, "one")
		for i := range 60 {
			time.Sleep(time.Second)
			line.Add(failure(i), time.Now())
		}
		if n := m.writes(); n > 7 {
			t.Errorf("%d writes in a minute", n)
		}
		_ = line.Destruct()
		next, _ := begin(m, "one")
		time.Sleep(time.Minute)
		if !strings.HasPrefix(told(next), "started, update_failed 59.example.com, ") {
			t.Errorf("got %s", told(next))
		}
		_ = next.Destruct()
	})
}

// TestNothingNew: what two observers tell, and a zone that fails in two ways by
// turns, is there once; a Caddy that is started again and again, too.
func TestNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for range 5 {
			line, _ := begin(m, "one")
			time.Sleep(time.Second)
			_ = line.Destruct()
		}
		line, _ := begin(m, "one")
		change := status.Event{Name: status.EventRecordsChanged, Zone: "example.com"}
		recovered := status.Event{Name: status.EventRecovered, Zone: "1.example.com"}
		for range 2 {
			line.Add(failure(1), time.Now())
		}
		time.Sleep(time.Minute)
		line.Add(status.Event{Name: status.EventUpdateFailed, Zone: "1.example.com", Error: "another"}, time.Now())
		for range 2 {
			line.Add(recovered, time.Now())
			line.Add(change, time.Now())
		}
		time.Sleep(time.Minute)
		line.Add(change, time.Now())
		line.Add(failure(1), time.Now())
		time.Sleep(time.Minute)
		expect(t, line, "update_failed 1.example.com, records_changed example.com, records_changed example.com, recovered 1.example.com, update_failed 1.example.com, started")
		_ = line.Destruct()
	})
}

// TestSameAddress: a process that starts finds the address that the one before
// had, and tells of one that is new.
func TestSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for _, addr := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"} {
			line, _ := begin(m, "one")
			line.Add(status.Event{Name: status.EventAddressChanged, Family: "ipv4", To: status.Addresses{netip.MustParseAddr(addr)}}, time.Now())
			time.Sleep(time.Minute)
			_ = line.Destruct()
		}
		line, _ := begin(m, "one")
		time.Sleep(time.Minute)
		expect(t, line, "started, address_changed, started, address_changed, started")
		_ = line.Destruct()
	})
}

// TestStorageFails: that is said once, costs nothing, and is over once it is.
func TestStorageFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set(errors.New("away"), false)
		line, logs := begin(m, "one")
		line.Add(failure(1), time.Now())
		time.Sleep(10 * time.Minute)
		expect(t, line, "update_failed 1.example.com, started")
		if logs.Len() != 1 {
			t.Errorf("log: %v", logs.All())
		}
		m.set(nil, true)
		time.Sleep(10 * time.Minute)
		m.set(nil, false)
		time.Sleep(2 * time.Minute)
		if logs.Len() != 2 || len(m.files) != 1 {
			t.Errorf("log: %v, %d files", logs.All(), len(m.files))
		}
		_ = line.Destruct()
	})
}

// TestStorageHangs: nobody waits for it, the end of Caddy no longer than a
// moment.
func TestStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.hang = make(chan struct{})
		began := time.Now()
		line, _ := begin(m, "one")
		for i := range 100 {
			line.Add(failure(i), time.Now())
		}
		if n := len(line.Events()); n != Most || time.Since(began) != 0 {
			t.Errorf("%d events after %s", n, time.Since(began))
		}
		_ = line.Destruct()
		if took := time.Since(began); took != lastPatience {
			t.Errorf("the end took %s", took)
		}
		close(m.hang)
	})
}

// TestDamage: what can be read is kept, and the damage is said once.
func TestDamage(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"cut off":    {`[{"time":"2026-01-02T03:04:05Z","name":"recovered"`, "started"},
		"of another": {`{"a": 1}`, "started"},
		"an event":   {`[{"time":"2000-01-01T00:00:00Z","name":"recovered"},{"time":7}]`, "started, recovered"},
		"no name":    {`[{"time":"2000-01-01T00:00:00Z"}]`, "started"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.files["dynamic_dns/timeline/one.json"] = []byte(test.file)
				time.Sleep(time.Minute)
				line, logs := begin(m, "one")
				time.Sleep(time.Minute)
				expect(t, line, test.want)
				line.Add(failure(1), time.Now())
				time.Sleep(time.Minute)
				if logs.Len() != 1 || !strings.Contains(logs.All()[0].Message, "damaged") {
					t.Errorf("log: %v", logs.All())
				}
				_ = line.Destruct()
			})
		})
	}
}

// TestTwoProcessesWithOneName lose nothing as long as they do not write at the
// same moment.
func TestTwoProcessesWithOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, _ := begin(m, "one")
		time.Sleep(time.Minute)
		b, _ := begin(m, "one")
		for i := range 6 {
			time.Sleep(10 * time.Second)
			[]*Timeline{a, b}[i%2].Add(failure(i), time.Now())
		}
		time.Sleep(time.Minute)
		a.Name("two")
		_, _ = a.Destruct(), b.Destruct()
		next, _ := begin(m, "one")
		time.Sleep(time.Minute)
		for i := range 6 {
			if !strings.Contains(told(next), fmt.Sprintf("%d.example.com", i)) {
				t.Errorf("%d is lost: %s", i, told(next))
			}
		}
		_ = next.Destruct()
	})
}

// TestShort: nothing that is remembered is long.
func TestShort(t *testing.T) {
	e := shorten(shorten(status.Event{Changes: make([]status.Change, 500), Error: strings.Repeat("ä", 4000)}))
	if len(e.Changes) != mostChanges || e.More != 500-mostChanges || len(e.Error) > mostText+len("…") || strings.Contains(e.Error, "\uFFFD") {
		t.Errorf("%d changes and %d more, error of %d bytes", len(e.Changes), e.More, len(e.Error))
	}
}

// FuzzRead: whatever is in the file, what is read of it is short, in order once
// merged, and the same when it is written and read again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`[{"time":"2000-01-01T00:00:00Z","name":"records_changed","changes":[{"name":"@","from":["192.0.2.1"],"to":[]}]}]`))
	f.Add([]byte(`[null, 1, {"time":"0000-01-01T00:00:00Z","name":"x"}]`))
	f.Fuzz(func(t *testing.T, file []byte) {
		events, _ := read(file)
		all := merge(events, nil, time.Now())
		for i, e := range all {
			if len(e.Changes) > mostChanges || len(e.Error) > mostText+len("…") || i > 0 && e.Time.Before(all[i-1].Time) {
				t.Fatalf("%+v", e)
			}
		}
		if again := merge(all, all, time.Now()); len(again) != len(all) || len(all) > Most {
			t.Fatalf("%d events, merged with themselves %d", len(all), len(again))
		}
	})
}

// atOnce adds events that happen at the same moment, each of which somebody
// tells who has other things to do.
func atOnce() (addOne func()) {
	line, now, i := New(), time.Now(), 0
	changes := make([]status.Change, mostChanges)
	for j := range changes {
		changes[j] = status.Change{Name: "www", To: status.Addresses{netip.MustParseAddr("192.0.2.1")}}
	}
	return func() {
		e := failure(i)
		e.Changes = changes
		line.Add(e, now)
		i++
	}
}

// TestManyAtOnce cost little each: no event is written out more than once for
// another one.
func TestManyAtOnce(t *testing.T) {
	addOne := atOnce()
	for range Most {
		addOne()
	}
	if n := testing.AllocsPerRun(100, addOne); n > 10000 {
		t.Errorf("%g allocations for an event", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	for addOne := atOnce(); b.Loop(); {
		addOne()
	}
}
