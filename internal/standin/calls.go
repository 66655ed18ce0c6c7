package standin

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/libdns/libdns"
)

// The names of the methods, in calls and changes.
const (
	Get    = "GetRecords"
	Set    = "SetRecords"
	Append = "AppendRecords"
	Delete = "DeleteRecords"
	List   = "ListZones"
)

// Call is a call of one of the provider's methods.
type Call struct {
	Method string
	// As it was given.
	Zone string
	// The records of the input.
	Records []libdns.RR
	// The call's number among those of this method, from 1, over all zones.
	N int
	// When it began, and when it returned: zero while it has not.
	Began, Ended time.Time
	// What it returned. A call that panicked has none.
	Err error
}

// Fault is what goes wrong in a call. The zero value is nothing.
type Fault struct {
	// Runs at first. It may panic, and it may block whatever the context says;
	// when it returns the call goes on, without regard to its context.
	Do func()
	// What the call returns.
	Err error
	// How many of the call's API calls take effect before the error. It
	// counts records; with [Everything] only the answer is lost.
	After int
	// The call succeeds and has no effect.
	Lost bool
}

// Everything is the Fault.After of a call whose answer alone is lost.
const Everything = math.MaxInt

// Fail decides from now on what goes wrong in each call, instead of the
// character's Fault; nil is for nothing. The function must not use the zones.
func (z *Zones) Fail(fail func(Call) Fault) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fail = fail
}

// OnCall makes a function for [Zones.Fail] by which the fault befalls the
// numbered calls of a method.
func OnCall(method string, fault Fault, numbers ...int) func(Call) Fault {
	return func(c Call) Fault {
		if c.Method == method && slices.Contains(numbers, c.N) {
			return fault
		}
		return Fault{}
	}
}

// do runs a call; body gets the zone, which is nil for ListZones, and the
// input, cut to the records that may take effect.
func (z *Zones) do(ctx context.Context, method, zoneName string, records []libdns.Record,
	body func(ctx context.Context, call *Call, zn *zone, rrs []libdns.RR) ([]libdns.Record, error)) (out []libdns.Record, err error) {
	call, zn, fail := z.begin(method, zoneName, records)
	defer func() {
		z.mu.Lock()
		defer z.mu.Unlock()
		call.Ended, call.Err = time.Now(), err
		if zn != nil {
			delete(zn.writing, call)
		}
	}()

	var fault Fault
	if fail != nil {
		fault = fail(*call)
	}
	if fault.Do != nil {
		fault.Do()
		ctx = context.WithoutCancel(ctx)
	}
	if zn == nil && method != List {
		return nil, z.explain(fmt.Errorf("no such zone: %q", zoneName))
	}
	rrs, err := check(records)
	if err != nil {
		return nil, z.explain(err)
	}
	if fault.Lost {
		return records, z.wait(ctx)
	}
	if fault.Err != nil && fault.After < len(rrs) {
		rrs = rrs[:fault.After]
	}
	if fault.Err == nil || len(rrs) > 0 {
		out, err = body(ctx, call, zn, rrs)
	} else {
		err = z.wait(ctx)
	}
	if err == nil {
		err = fault.Err
	}
	if err != nil {
		return nil, z.explain(err)
	}
	return out, nil
}

func (z *Zones) begin(method, zoneName string, records []libdns.Record) (*Call, *zone, func(Call) Fault) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.counts[method]++
	call := &Call{Method: method, Zone: zoneName, N: z.counts[method], Began: time.Now()}
	for _, record := range records {
		call.Records = append(call.Records, record.RR())
	}
	z.calls = append(z.calls, call)
	zn := z.zones[zoneName]
	if zn != nil && method != Get {
		for other := range zn.writing {
			z.overlaps = append(z.overlaps, Overlap{Zone: zoneName, At: call.Began, Methods: [2]string{other.Method, method}})
		}
		zn.writing[call] = true
	}
	return call, zn, z.fail
}

// wait is the time that an API call takes.
func (z *Zones) wait(ctx context.Context) error {
	if z.character.IgnoresContext {
		time.Sleep(z.character.Latency)
		return nil
	}
	if z.character.Latency > 0 {
		timer := time.NewTimer(z.character.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// explain puts the token into an error's text, as a URL would.
func (z *Zones) explain(err error) error {
	if z.character.Token == "" {
		return err
	}
	return &url.Error{Op: "Get", URL: "https://dns.test/update?token=" + z.character.Token, Err: err}
}
