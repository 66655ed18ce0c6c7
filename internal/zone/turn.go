package zone

import (
	"context"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// sharedTurn is shared by the zones of one name at one provider module: two
// configurations may well lead to the same zone, and some providers rewrite
// it whole.
type sharedTurn struct {
	token chan struct{}
	zones int
}

// turn is one zone's part in it. It belongs to the zone's goroutine.
type turn struct {
	shared *sharedTurn
	has    bool
	// waiting is closed once the turn is granted, waits once nobody waits for
	// it any more.
	waiting, waits chan struct{}
}

// hangs is how long a call that was given up may keep the turn.
const hangs = 10*time.Minute - provider.WriteTimeout

// take reports whether the zone has the turn. If not, it calls ready once
// that is worth another try.
func (t *turn) take(ctx context.Context, ready func()) bool {
	if t.waiting != nil {
		select {
		case <-t.waiting:
			t.waiting, t.has = nil, true
		default:
			return false
		}
	}
	if t.has {
		return true
	}
	select {
	case t.shared.token <- struct{}{}:
		t.has = true
		return true
	default:
	}
	granted, waits := make(chan struct{}), make(chan struct{})
	t.waiting, t.waits = granted, waits
	go func() {
		defer close(waits)
		select {
		case t.shared.token <- struct{}{}:
			close(granted)
			ready()
		case <-ctx.Done():
		}
	}()
	return false
}

// end leaves for good, once the context of take is done.
func (t *turn) end() {
	if t.waits != nil {
		<-t.waits
	}
	t.leave()
}

// leave lets others have the turn.
func (t *turn) leave() {
	if t.waiting != nil {
		select {
		case <-t.waiting:
			t.waiting, t.has = nil, true
		default:
		}
	}
	if t.has {
		t.has = false
		<-t.shared.token
	}
}
