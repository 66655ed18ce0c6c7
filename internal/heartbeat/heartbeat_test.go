package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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

// service is what is asked.
type service struct {
	mu    sync.Mutex
	asked []string
	// answer is the status, 0 for none at all.
	answer int
	takes  time.Duration
	busy   int
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.busy++
	if s.busy > 1 {
		panic("two at a time")
	}
	answer, takes := s.answer, s.takes
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
	}()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if answer == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: answer, Header: http.Header{"Location": {"https://elsewhere.example/s3cret"}}, Body: io.NopCloser(strings.NewReader("OK"))}, nil
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *service) paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func run(t *testing.T, failureURL string, test func(h *Heartbeat, s *service, state *atomic.Int32, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		h, s, log := New(), &service{answer: 200}, new(bytes.Buffer)
		var err error
		if h.URL, err = Parse("https://hc.example/s3cret?key=s3cret"); err != nil {
			t.Fatal(err)
		}
		if failureURL != "" {
			if h.FailureURL, err = Parse(failureURL); err != nil {
				t.Fatal(err)
			}
		}
		state := new(atomic.Int32)
		state.Store(int32(Well))
		h.State = func() State { return State(state.Load()) }
		Transport = s
		h.Logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(log), zap.DebugLevel))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Run(ctx)
		}()
		test(h, s, state, log)
		cancel()
		begin := time.Now()
		<-ended
		if took := time.Since(begin); took > 0 {
			t.Errorf("ending took %s", took)
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("the log has the secret: %s", log)
		}
	})
}

// poke says that a check is done, and lets time pass.
func poke(h *Heartbeat, after time.Duration) {
	h.Poke()
	time.Sleep(after)
	synctest.Wait()
}

func TestWellAndFailing(t *testing.T) {
	run(t, "https://hc.example/fail", func(h *Heartbeat, s *service, state *atomic.Int32, _ *bytes.Buffer) {
		poke(h, time.Minute)
		state.Store(int32(Failing))
		poke(h, time.Minute)
		state.Store(int32(Well))
		poke(h, time.Minute)
		if got := s.paths(); !slices.Equal(got, []string{"/s3cret", "/fail", "/s3cret"}) {
			t.Errorf("asked %q", got)
		}
	})
}

func TestWithoutFailureURL(t *testing.T) {
	run(t, "", func(h *Heartbeat, s *service, state *atomic.Int32, _ *bytes.Buffer) {
		state.Store(int32(Failing))
		poke(h, time.Minute)
		if got := s.paths(); len(got) > 0 {
			t.Errorf("asked %q while all fails", got)
		}
	})
}

// TestSettles: what a check has found takes a moment to be published, and if
// it takes too long, that is no good news.
func TestSettles(t *testing.T) {
	run(t, "https://hc.example/fail", func(h *Heartbeat, s *service, state *atomic.Int32, _ *bytes.Buffer) {
		state.Store(int32(Settling))
		poke(h, 20*time.Second)
		if got := s.paths(); len(got) > 0 {
			t.Errorf("asked %q too early", got)
		}
		state.Store(int32(Well))
		time.Sleep(10 * time.Second)
		state.Store(int32(Settling))
		poke(h, time.Minute)
		if got := s.paths(); !slices.Equal(got, []string{"/s3cret", "/fail"}) {
			t.Errorf("asked %q", got)
		}
	})
}

func TestPace(t *testing.T) {
	run(t, "", func(h *Heartbeat, s *service, _ *atomic.Int32, _ *bytes.Buffer) {
		for range 600 {
			poke(h, 100*time.Millisecond)
		}
		if n := s.count(); n > 12 {
			t.Errorf("asked %d times in a minute", n)
		}
		s.mu.Lock()
		s.takes = time.Hour
		s.mu.Unlock()
		before := s.count()
		for range 60 {
			poke(h, time.Second)
		}
		if n := s.count() - before; n > 5 {
			t.Errorf("asked %d times in a minute of no answers", n)
		}
	})
}

// TestPaceOverReloads: that configurations follow each other quickly is no reason
// to ask more often.
func TestPaceOverReloads(t *testing.T) {
	run(t, "", func(h *Heartbeat, s *service, _ *atomic.Int32, _ *bytes.Buffer) {
		poke(h, 2*time.Second)
		for range 29 {
			next := New()
			next.URL, next.State, next.Logger = h.URL, h.State, h.Logger
			ctx, cancel := context.WithCancel(context.Background())
			next.Poke()
			go next.Run(ctx)
			time.Sleep(2 * time.Second)
			cancel()
			synctest.Wait()
		}
		if n := s.count(); n > 12 || n < 2 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

func TestLog(t *testing.T) {
	for _, answer := range []int{0, 301, 404, 500} {
		run(t, "", func(h *Heartbeat, s *service, _ *atomic.Int32, log *bytes.Buffer) {
			s.answer = answer
			poke(h, time.Minute)
			poke(h, time.Minute)
			if n := strings.Count(log.String(), "cannot send the heartbeat"); n != 1 || !strings.Contains(log.String(), "hc.example") {
				t.Errorf("answer %d: logged %s", answer, log)
			}
			s.answer = 200
			poke(h, time.Minute)
			if n := strings.Count(log.String(), "is sent again"); n != 1 {
				t.Errorf("answer %d: logged %s", answer, log)
			}
		})
	}
}

// TestEcho: what answers by repeating the request does not bring the secrets
// into the log.
func TestEcho(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	Transport = nil
	u, err := Parse("http://me:passw0rd@" + l.Addr().String() + "/ping/a%2Fs3cret?key=t0ken")
	if err != nil {
		t.Fatal(err)
	}
	err = New().send(t.Context(), u)
	if err == nil || !strings.Contains(err.Error(), "malformed HTTP") {
		t.Fatalf("asking an echo: %v", err)
	}
	for _, secret := range []string{"s3cret", "t0ken", "passw0rd"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, raw := range []string{"", "hc.example/s3cret", "ftp://hc.example/s3cret", "https:///s3cret", "https://hc.example/%zz-s3cret"} {
		if _, err := Parse(raw); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
