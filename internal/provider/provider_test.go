package provider

import (
	"context"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"
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
