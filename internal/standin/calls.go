package standin

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/libdns/libdns"
)

// Fail decides from now on what goes wrong in each call, instead of the
// character's Fault; nil is for nothing. The function must not use the zones.
func (z *Zones) Fail(fail func(Call) Fault) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fail = fail
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
