package provider

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

type deaf struct{}

func (deaf) Called(string, string, bool, time.Duration) {}

// jumpy is a provider that panics when it is to tell of changes.
type jumpy struct{ subscribed, returns bool }

func (*jumpy) SetRecords(_ context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, nil
}

func (j *jumpy) NotifyChanged(string, func()) func() {
	if j.subscribed = true; !j.returns {
		panic("not ready")
	}
	return func() { panic("not ready either") }
}

// TestNotifyChangedMayPanic: a provider that cannot tell of changes is read now
// and then like any other.
func TestNotifyChangedMayPanic(t *testing.T) {
	for _, returns := range []bool{false, true} {
		module := &jumpy{returns: returns}
		p, err := New("jumpy", module, NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		p.NotifyChanged("example.com.", func() {})()
		if !module.subscribed {
			t.Error("was not asked to tell")
		}
	}
}

// TestLongError: a whole page that a provider has answered is not told again and
// again, and no secret is cut in two by that.
func TestLongError(t *testing.T) {
	const secret = "s3cret-token"
	redact := func(s string) string { return strings.ReplaceAll(s, secret, "[redacted]") }
	p, err := New("shelf", shelf(nil), NewSlots(), redact, deaf{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Repeat("é", (mostText-6)/2) + secret + strings.Repeat("x", 1<<20)
	for name, fn := range map[string]func(context.Context) error{
		"an error": func(context.Context) error { return errors.New(page) },
		"a panic":  func(context.Context) error { panic(page) },
	} {
		_, err := p.Call(t.Context(), false, fn)
		if err == nil || len(err.Error()) > mostText+10 || !utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "s3") {
			t.Errorf("%s: %d bytes: %.100v", name, len(err.Error()), err)
		}
	}
}

// TestQuestionsOfHungProvider: calls that were given up and never end are not made
// again and again.
func TestQuestionsOfHungProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var hung atomic.Int32
		z := standin.New(standin.Character{ListsZones: true, Fault: func(standin.Call) standin.Fault {
			return standin.Fault{Do: func() { hung.Add(1); <-end }}
		}}, "example.com.")
		p, err := New("hung", z.Provider(), NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := p.Zones(t.Context()); !errors.Is(err, ErrAbandoned) {
				t.Errorf("got %v", err)
			}
			if err := p.Has(t.Context(), "example.com."); !errors.Is(err, ErrAbandoned) {
				t.Errorf("got %v", err)
			}
		}
		if n := hung.Load(); n > maxQuestions {
			t.Errorf("%d calls hang", n)
		}
		close(end)
		synctest.Wait()
		z.Fail(nil)
		if err := p.Has(t.Context(), "example.com."); err != nil {
			t.Errorf("once it answers: %v", err)
		}
	})
}
