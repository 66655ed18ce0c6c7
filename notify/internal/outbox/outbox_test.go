package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// recipient is a service that tests break.
type recipient struct {
	mu    sync.Mutex
	err   error
	takes time.Duration
	panic bool
	busy  int
	// got are the texts that came, with when that was, since the start.
	got   []string
	start time.Time
	tries int
}

func (*recipient) String() string { return "fake://host" }

func (r *recipient) Deliver(title, text string) error {
	r.mu.Lock()
	r.tries++
	if r.busy++; r.busy > 1 {
		panic("two at a time")
	}
	err, takes, doPanic := r.err, r.takes, r.panic
	r.mu.Unlock()
	time.Sleep(takes)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	if doPanic {
		panic("s3cret")
	}
	if err == nil {
		r.got = append(r.got, fmt.Sprintf("%s %s: %s", time.Since(r.start), title, strings.ReplaceAll(text, "\n\n", " / ")))
	}
	return err
}

// lines are those of a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (r *recipient) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

func (r *recipient) set(err error, takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.takes = err, takes
}

func (r *recipient) taken() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func run(t *testing.T, test func(o *Outbox, r *recipient, log *lines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, log := &recipient{start: time.Now()}, new(lines)
		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(log), zap.DebugLevel))
		o := New(r, func() *zap.Logger { return logger })
		test(o, r, log)
		if o.closed.Err() == nil {
			_ = o.Destruct()
		}
		time.Sleep(time.Hour)
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("the log has the secret: %s", log)
		}
	})
}

func add(o *Outbox, thing, text string) {
	o.Add(thing, Message{Title: "T", Text: text, At: time.Now()})
}

func (r *recipient) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.taken(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestOneAMinute: about one thing, with a count of what was held back.
func TestOneAMinute(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		add(o, "a", "1")
		add(o, "b", "other")
		r.want(t, "0s T: 1", "0s T: other")
		time.Sleep(10 * time.Second)
		add(o, "a", "2")
		time.Sleep(49 * time.Second)
		r.want(t, "0s T: 1", "0s T: other")
		time.Sleep(time.Second)
		r.want(t, "0s T: 1", "0s T: other", "1m0s T: 2")
		time.Sleep(500 * time.Millisecond)
		for i := range 120 {
			add(o, "a", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		r.want(t, "0s T: 1", "0s T: other", "1m0s T: 2",
			"2m0s T: 59 / 59 earlier messages like this were held back.",
			"3m0s T: 119 / 59 earlier messages like this were held back.")
		add(o, "a", "at once")
		synctest.Wait()
		add(o, "a", "x")
		add(o, "a", "y")
		time.Sleep(time.Minute)
		if got := r.taken(); got[5] != "1h3m0.5s T: at once" || len(got) != 7 {
			t.Errorf("after a long time: %q", got[5:])
		}
		if log.String() != "" {
			t.Errorf("logged %s", log)
		}
	})
}

// TestOneHeldBack: its words are right, and what is told twice counts once.
func TestOneHeldBack(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, _ *lines) {
		add(o, "a", "1")
		add(o, "a", "1") // The same event, from another handler.
		synctest.Wait()
		add(o, "a", "1")
		add(o, "a", "2")
		add(o, "a", "2")
		add(o, "a", "3")
		time.Sleep(time.Minute)
		r.want(t, "0s T: 1", "1m0s T: 3 / 1 earlier message like this was held back.")
	})
}

// TestRetries: with pauses that grow, until it works, and the message then says
// when it happened. The log has a line at the beginning and one at the end.
func TestRetries(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		r.set(errors.New("503"), 0)
		at := time.Now()
		add(o, "a", "1")
		var tried []time.Duration
		for before := 0; time.Since(at) < time.Hour; time.Sleep(time.Second) {
			synctest.Wait()
			if n := r.tried(); n > before {
				before = n
				tried = append(tried, time.Since(at))
			}
		}
		if got := fmt.Sprint(tried); !strings.HasPrefix(got, "[0s 5s 15s 35s 1m15s 2m35s 5m15s 10m35s 20m35s 30m35s") {
			t.Errorf("tried after %s", got)
		}
		before := r.tried()
		add(o, "a", "2")
		time.Sleep(5 * time.Minute)
		if n := r.tried() - before; n != 1 {
			t.Errorf("something new was tried %d times", n)
		}
		r.set(nil, 0)
		time.Sleep(10 * time.Minute)
		if got := r.taken(); len(got) != 1 || !strings.Contains(got[0], "T: 2 / That was at 2000-01-01 01:00:00 UTC. / 1 earlier message like this was held back.") {
			t.Errorf("got %q", got)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "503") || !strings.Contains(log.String(), "sent again") {
			t.Errorf("logged %s", log)
		}
	})
}

// TestNewsHurries: what is new is tried soon, for it may be that the internet is
// back; yet not more often than every 30 seconds.
func TestNewsHurries(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, _ *lines) {
		r.set(errors.New("no route"), 0)
		add(o, "lost", "1")
		time.Sleep(time.Hour)
		before := r.tried()
		for range 600 {
			add(o, "flaps", "x")
			time.Sleep(time.Second)
		}
		if n := r.tried() - before; n < 15 || n > 21 {
			t.Errorf("tried %d times in 10 minutes of news", n)
		}
		r.set(nil, 0)
		time.Sleep(time.Second)
		add(o, "found", "2")
		time.Sleep(30 * time.Second)
		if got := r.taken(); len(got) != 3 {
			t.Errorf("got %q", got)
		}
	})
}

// TestGivesUp: after a day, which is an error in the log.
func TestGivesUp(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		r.set(errors.New("404"), 0)
		add(o, "a", "1")
		time.Sleep(25 * time.Hour)
		tries := r.tried()
		time.Sleep(25 * time.Hour)
		if r.tried() != tries || tries > 170 {
			t.Errorf("tried %d times, then %d more", tries, r.tried()-tries)
		}
		if n := strings.Count(log.String(), "losing"); n != 1 {
			t.Errorf("logged %s", log)
		}
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.running {
			t.Error("there is a goroutine, and nothing waits")
		}
	})
}

// TestSlow: who adds waits for nobody, and nothing is begun while a delivery
// hangs, which may still work.
func TestSlow(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		r.set(nil, 5*time.Minute)
		began := time.Now()
		for range 1000 {
			add(o, "a", "1")
			add(o, "b", "1")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("adding took %s", took)
		}
		time.Sleep(time.Minute)
		if r.tried() != 1 || strings.Count(log.String(), "no answer within 30s") != 1 {
			t.Errorf("tried %d times, logged %s", r.tried(), log)
		}
		r.set(nil, 0)
		time.Sleep(time.Hour)
		if got := r.taken(); len(got) < 2 {
			t.Errorf("got %q", got)
		}
	})
}

// hanging is a service of which the first deliveries never end.
type hanging struct {
	recipient
	hangs atomic.Int32
	end   chan struct{}
}

func (h *hanging) Deliver(title, text string) error {
	if h.hangs.Add(-1) >= 0 {
		<-h.end
		return errors.New("the connection was closed")
	}
	return h.recipient.Deliver(title, text)
}

// TestHangsForever: a delivery that never ends does not keep all others from
// being sent, unless many do.
func TestHangsForever(t *testing.T) {
	for hangs, delivered := range map[int32]bool{1: true, mostHung: true, mostHung + 1: false} {
		synctest.Test(t, func(t *testing.T) {
			h := &hanging{recipient: recipient{start: time.Now()}, end: make(chan struct{})}
			h.hangs.Store(hangs)
			o := New(h, zap.NewNop)
			add(o, "a", "1")
			time.Sleep(2 * time.Hour)
			if got := h.taken(); (len(got) == 1) != delivered {
				t.Errorf("after %d that hang: got %q", hangs, got)
			}
			close(h.end)
			time.Sleep(2 * time.Hour)
			if got := h.taken(); len(got) != 1 {
				t.Errorf("after %d that hung: got %q", hangs, got)
			}
			synctest.Wait()
			if n := o.hung.Load(); n != 0 {
				t.Errorf("%d are still thought to hang", n)
			}
			_ = o.Destruct()
		})
	}
}

// TestManyThatHang: outboxes that come and go leave no more behind than is
// bounded, and others send again once some of that has ended.
func TestManyThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int32
		end := make(chan struct{})
		for range 2 * mostUnderWay {
			o := New(deliver(func() error {
				begun.Add(1)
				<-end
				return nil
			}), zap.NewNop)
			add(o, "a", "1")
			time.Sleep(time.Second)
			_ = o.Destruct()
		}
		time.Sleep(time.Hour)
		if n := begun.Load(); n != mostUnderWay {
			t.Errorf("%d deliveries hang", n)
		}
		log := new(lines)
		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(log), zap.DebugLevel))
		r := &recipient{start: time.Now()}
		o := New(r, func() *zap.Logger { return logger })
		add(o, "a", "1")
		time.Sleep(time.Hour)
		r.want(t)
		if n := strings.Count(log.String(), "messages are being sent or hang"); n != 1 {
			t.Errorf("logged %s", log)
		}
		close(end)
		time.Sleep(time.Hour)
		if got := r.taken(); len(got) != 1 {
			t.Errorf("got %q", got)
		}
		_ = o.Destruct()
	})
}

// deliver is a recipient of one function.
type deliver func() error

func (deliver) String() string                 { return "fake://host" }
func (d deliver) Deliver(string, string) error { return d() }

func TestPanics(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		r.mu.Lock()
		r.panic = true
		r.mu.Unlock()
		add(o, "a", "1")
		time.Sleep(time.Second)
		r.mu.Lock()
		r.panic = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		r.want(t, "5s T: 1")
		if !strings.Contains(log.String(), "panicked") {
			t.Errorf("logged %s", log)
		}
	})
}

// TestClosed: what is held back or paused is sent at once, one after the other,
// and what cannot be sent is said.
func TestClosed(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		takes time.Duration
		got   int
		lost  int
		ends  time.Duration
	}{
		{"works", nil, 0, 4, 0, 0},
		{"fails", errors.New("503"), 0, 2, 2, 0},
		{"slow", nil, 2 * time.Second, 4, 0, 4 * time.Second},
		{"hangs", nil, time.Minute, 3, 2, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(o *Outbox, r *recipient, log *lines) {
				add(o, "a", "1")
				add(o, "b", "1")
				synctest.Wait()
				add(o, "a", "2")
				add(o, "b", "2")
				synctest.Wait()
				r.set(test.err, test.takes)
				began := time.Now()
				_ = o.Destruct()
				if took := time.Since(began); took > 0 {
					t.Errorf("closing took %s", took)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				o.Wait(ctx)
				if took := time.Since(began); took != test.ends {
					t.Errorf("it ended after %s, want %s", took, test.ends)
				}
				add(o, "c", "too late")
				time.Sleep(2 * time.Minute)
				if got := r.taken(); len(got) != test.got {
					t.Errorf("got %q", got)
				}
				if n := strings.Count(log.String(), "losing a notification that could not be sent"); n != test.lost {
					t.Errorf("logged %s", log)
				}
			})
		})
	}
}

// TestClosedEmpty waits for nobody.
func TestClosedEmpty(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, _ *lines) {
		add(o, "a", "1")
		time.Sleep(time.Hour)
		o.Wait(context.Background())
		_ = o.Destruct()
		o.Wait(context.Background())
		r.want(t, "0s T: 1")
	})
}

// TestMany: what waits is bounded, and so are goroutines.
func TestMany(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, log *lines) {
		r.set(errors.New("503"), 0)
		before := runtime.NumGoroutine()
		for i := range 1000 {
			add(o, fmt.Sprint(i), fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines, before %d", n, before)
		}
		if n := strings.Count(log.String(), "too many wait"); n < 1000-maxThings-1 || n > 1000-maxThings {
			t.Errorf("%d losses were logged", n)
		}
		r.set(nil, 0)
		time.Sleep(time.Hour)
		got := r.taken()
		// One was under way when the others came.
		if n := len(got); n < maxThings || n > maxThings+1 || !strings.Contains(strings.Join(got, "\n"), " T: 999 ") {
			t.Errorf("%d came", n)
		}
	})
}

// TestTry delivers though others wait, and takes turns with them.
func TestTry(t *testing.T) {
	run(t, func(o *Outbox, r *recipient, _ *lines) {
		if err := o.Try(context.Background(), "T", "try"); err != nil {
			t.Error(err)
		}
		r.set(nil, time.Minute)
		add(o, "a", "1")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := o.Try(ctx, "T", "try"); err == nil {
			t.Error("two were delivered at a time")
		}
		time.Sleep(time.Hour)
		r.set(errors.New("no"), 0)
		if err := o.Try(context.Background(), "T", "try"); err == nil || err.Error() != "no" {
			t.Errorf("got %v", err)
		}
	})
}
