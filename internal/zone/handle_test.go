package zone

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"go.uber.org/zap"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// open fails if the handle is resolved.
func (b *bench) open(h *Handle) {
	b.t.Helper()
	synctest.Wait()
	select {
	case <-h.Done():
		b.t.Errorf("resolved too early: %v", h.Err())
	default:
	}
}

// TestOvertaken: what something newer overtakes shares that one's fate, and is
// never called confirmed.
func TestOvertaken(t *testing.T) {
	inBubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		older := b.set(www, addr1)
		time.Sleep(time.Second)
		newer := b.set(www, addr2)
		b.open(older)
		if err := b.outcome(newer, time.Minute); err != nil {
			t.Error(err)
		}
		if err := b.outcome(older, time.Second); !errors.Is(err, ErrSuperseded) {
			t.Errorf("overtaken by what was confirmed: %v", err)
		}
		b.expect(www, addr2)

		same := []*Handle{b.set(www, addr1), b.set(www, addr1)}
		for _, h := range same {
			if err := b.outcome(h, time.Minute); err != nil {
				t.Error(err)
			}
		}

		b.z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.Set {
				return standin.Fault{Err: errors.New("quota exceeded")}
			}
			return standin.Fault{}
		})
		for _, h := range []*Handle{b.set(www, addr2), b.set(www, "93.184.216.36")} {
			if err := b.outcome(h, time.Minute); err == nil || !strings.Contains(err.Error(), "quota exceeded") {
				t.Errorf("overtaken by what failed: %v", err)
			}
		}
	})
}

// TestConfirmedBefore: what is set while the confirmation of something older is
// on its way waits for its own.
func TestConfirmedBefore(t *testing.T) {
	inBubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		older := b.set(www, addr1)
		var newer *Handle
		synctest.Wait()
		// Read, write and read back take 6s; both come in one batch of mail.
		time.Sleep(6*time.Second - time.Millisecond)
		held := make(chan struct{})
		b.zone.post(func() { <-held })
		time.Sleep(time.Second)
		newer = b.set(www, addr2)
		close(held)
		if err := b.outcome(older, time.Second); err != nil {
			t.Error(err)
		}
		if got := older.Confirmed(); got == nil || got.Addrs[0].String() != addr1 {
			t.Errorf("%+v was confirmed", got)
		}
		b.open(newer)
		if err := b.outcome(newer, time.Minute); err != nil {
			t.Error(err)
		}
	})
}

// TestForget: what nobody waits for is kept no longer.
func TestForget(t *testing.T) {
	inBubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		forgotten, kept := b.set(www, addr1), b.set(www, addr2)
		forgotten.Forget()
		if err := b.outcome(kept, time.Minute); err != nil {
			t.Error(err)
		}
		select {
		case <-forgotten.Done():
			t.Error("a forgotten handle was resolved")
		default:
		}
	})
}

// TestInSync follows the newest evidence.
func TestInSync(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		if b.zone.InSync(www) {
			t.Error("nothing is desired yet")
		}
		b.outcome(b.set(www, addr1), time.Minute)
		if !b.zone.InSync(www) || b.zone.InSync(www, mail) {
			t.Error("www is as desired, and mail unknown")
		}
		b.z.Fail(func(c standin.Call) standin.Fault { return standin.Fault{Err: errors.New("down")} })
		b.outcome(b.set(www, addr2), time.Minute)
		if b.zone.InSync(www) {
			t.Error("the write has failed")
		}
	})
}

// TestClasses: holders of two classes share a zone. If the newer of each goes,
// each gets its own back.
func TestClasses(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.set(www, addr1)
		reclaimed := make(chan string, 4)
		b.holder.reclaim = func(*Holder) { reclaimed <- "own" }
		others := b.attachClass(plan.Client, map[plan.Key]*plan.Desired{mail: set(addr1)})
		others.reclaim = func(*Holder) { reclaimed <- "client" }
		newer := []*Holder{b.attach(map[plan.Key]*plan.Desired{www: set(addr2)}), b.attachClass(plan.Client, map[plan.Key]*plan.Desired{mail: set(addr2)})}
		time.Sleep(time.Minute)
		b.expect(mail, addr2)
		newer[0].Release()
		if who := <-reclaimed; who != "own" {
			t.Errorf("the %s addresses came back", who)
		}
		newer[1].Release()
		if who := <-reclaimed; who != "client" {
			t.Errorf("the %s addresses came back", who)
		}
		others.Release()
	})
}

// TestIdleForAll: where one of those who share a zone may not keep it now, it is
// left alone, whoever came last.
func TestIdleForAll(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		var may atomic.Bool
		backend := *b.holder.backend
		backend.May = may.Load
		own := b.zone.Attach(&backend, nil, nil)
		others := b.attachClass(plan.Client, nil)
		h := others.Set(set(addr1), mail)[0]
		time.Sleep(time.Minute)
		b.expect(mail)
		may.Store(true)
		b.zone.Verify()
		if err := b.outcome(h, time.Minute); err != nil {
			t.Error(err)
		}
		others.Release()
		own.Release()
	})
}

// TestLedgerBesideClients: what this machine publishes is in its ledger, also
// where a holder without one came later.
func TestLedgerBesideClients(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		backend := *b.holder.backend
		backend.Ledger = NewLedger("dynamic_dns", "standin", origin)
		backend.Ledger.Use(&box{files: make(map[string]string)})
		own := b.zone.Attach(&backend, nil, nil)
		others := b.attachClass(plan.Client, map[plan.Key]*plan.Desired{mail: set(addr2)})
		d := set(addr1)
		d.Withdraw = true
		if err := b.outcome(own.Set(d, www)[0], time.Minute); err != nil {
			t.Error(err)
		}
		if got := backend.Ledger.Keys(); !slices.Equal(got, []plan.Key{www}) {
			t.Errorf("the ledger has %v", got)
		}
		others.Release()
		own.Release()
	})
}

// TestOlderHolderEndsNoHandle: what a configuration says that no longer has the
// RRset leaves the handles of the one that has it open.
func TestOlderHolderEndsNoHandle(t *testing.T) {
	inBubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		newer := b.attach(nil)
		handle := newer.Set(set(addr2), www)[0]
		if err := b.outcome(b.set(www, addr1), time.Second); !errors.Is(err, ErrSuperseded) {
			t.Errorf("set by the older holder: %v", err)
		}
		b.open(handle)
		if err := b.outcome(handle, time.Minute); err != nil {
			t.Error(err)
		}
		b.expect(www, addr2)
		newer.Release()
	})
}

// TestUnknownNeedsNoConfirmation also where something else was on its way.
func TestUnknownNeedsNoConfirmation(t *testing.T) {
	inBubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		before := b.set(www, addr1)
		for _, h := range b.holder.Set(&plan.Desired{}, www, mail) {
			if err := b.outcome(h, time.Second); err != nil {
				t.Error(err)
			}
		}
		if err := b.outcome(before, time.Second); !errors.Is(err, ErrSuperseded) {
			t.Errorf("what is no longer desired: %v", err)
		}
	})
}

// TestSameAgain: what is left alone, or cannot be had, is told at once when it
// is set again, and costs the provider nothing.
func TestSameAgain(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.z.Put(origin, libdns.RR{Name: "www", Type: "CNAME", Data: "elsewhere.example.net.", TTL: time.Hour})
		d := set(addr1)
		b.outcome(b.holder.Set(d, www)[0], time.Minute)
		calls := len(b.z.Calls())
		if err := b.outcome(b.holder.Set(d, www)[0], time.Second); err == nil || !strings.Contains(err.Error(), "CNAME") {
			t.Errorf("beside a CNAME: %v", err)
		}
		if n := len(b.z.Calls()) - calls; n > 0 {
			t.Errorf("%d calls to say it again", n)
		}
	})
}

// TestHungWriteIsTold: while a write does not return, whoever waits is told
// that, and so is whoever comes.
func TestHungWriteIsTold(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		end := make(chan struct{})
		b.z.Fail(standin.OnCall(standin.Set, standin.Fault{Do: func() { <-end }}, 1))
		first := b.set(www, addr1)
		time.Sleep(time.Second)
		beside := b.set(mail, addr1)
		verified := b.zone.Verify()
		if err := b.outcome(first, 3*time.Minute); !errors.Is(err, provider.ErrAbandoned) {
			t.Errorf("what is being written: %v", err)
		}
		if err := b.outcome(beside, time.Second); !errors.Is(err, reconcile.ErrStillWriting) {
			t.Errorf("what waits for it: %v", err)
		}
		within := func(what string, done <-chan struct{}) {
			select {
			case <-done:
			case <-time.After(time.Second):
				t.Errorf("%s is still being waited for", what)
			}
		}
		within("the verification", verified)
		if err := b.outcome(b.set(mail, addr2), time.Second); !errors.Is(err, reconcile.ErrStillWriting) {
			t.Errorf("what comes later: %v", err)
		}
		within("a later verification", b.zone.Verify())
		close(end)
		time.Sleep(15 * time.Minute)
		b.expect(www, addr1)
		b.expect(mail, addr2)
	})
}

// TestReleaseEndsVerify: nobody waits for a zone of which nothing is desired
// any more.
func TestReleaseEndsVerify(t *testing.T) {
	inBubble(t, standin.Character{}, func(b *bench) {
		b.z.Fail(func(c standin.Call) standin.Fault { return standin.Fault{Do: func() { time.Sleep(30 * time.Second) }} })
		b.set(www, addr1)
		time.Sleep(time.Second)
		verified := b.zone.Verify()
		b.holder.Release()
		time.Sleep(2 * time.Minute)
		select {
		case <-verified:
		default:
			t.Error("still being waited for")
		}
	})
}

// TestHungDryRun: while the read of a dry run hangs, no second one begins
// beside it, and writing goes on.
func TestHungDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		end := make(chan struct{})
		var reads, most atomic.Int32
		var wrote atomic.Bool
		module := &stubborn{get: func(context.Context) error {
			most.Store(max(most.Load(), reads.Add(1)))
			<-end
			reads.Add(-1)
			return nil
		}, set: func(context.Context) error { wrote.Store(true); return nil }}
		z := r.Acquire(Key{Zone: origin})
		h := hold(t, z, provider.NewSlots(), module, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := z.DryRun(ctx); err == nil {
			t.Error("the dry run saw something")
		}
		time.Sleep(2 * time.Minute)
		h.Set(set(addr1), www)
		time.Sleep(10 * time.Minute)
		if most.Load() > 1 || !wrote.Load() {
			t.Errorf("%d reads at a time; written: %t", most.Load(), wrote.Load())
		}
		close(end)
		h.Release()
		r.Release(z)
		time.Sleep(time.Hour)
	})
}

// slowStorage takes its time with what has the first address.
type slowStorage struct {
	certmagic.Storage
	stored atomic.Pointer[[]byte]
}

func (s *slowStorage) Load(context.Context, string) ([]byte, error) {
	if stored := s.stored.Load(); stored != nil {
		return *stored, nil
	}
	return []byte("[]"), nil
}

func (s *slowStorage) Store(_ context.Context, _ string, data []byte) error {
	if strings.Contains(string(data), addr1) {
		time.Sleep(time.Minute)
	}
	s.stored.Store(&data)
	return nil
}

// blind is a provider that cannot be read.
type blind struct{}

func (blind) SetRecords(_ context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, nil
}

// TestMemoryInOrder: where storing takes long, what a zone has to remember is
// not overtaken by what its successor has.
func TestMemoryInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		storage := new(slowStorage)
		p, err := provider.New("standin", blind{}, provider.NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		b := &Backend{Provider: p, Memory: Memory{Storage: storage}, VerifyEvery: time.Hour, Observer: deaf{}, Logger: zap.NewNop()}
		for _, addr := range []string{addr1, addr2} {
			z := r.Acquire(Key{Zone: origin})
			h := z.Attach(b, map[plan.Key]*plan.Desired{www: set(addr)}, nil)
			time.Sleep(10 * time.Second)
			r.Release(z)
			h.Release()
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Hour)
		var stored []remembered
		if err := json.Unmarshal(*storage.stored.Load(), &stored); err != nil {
			t.Fatal(err)
		}
		if len(stored) != 1 || len(stored[0].Addrs) != 1 || stored[0].Addrs[0].String() != addr2 {
			t.Errorf("remembered %+v, want %s", stored, addr2)
		}
	})
}
