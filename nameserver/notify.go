package nameserver

import (
	"context"
	"sync"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

const (
	notifyTries   = 5
	notifyTimeout = 2 * time.Second
)

// notifyAll tells the secondaries of a zone about each of its serials, once.
// It begins when the configuration has come to run.
func notifyAll(ctx context.Context, z *keeper, keys tsigKeys) {
	select {
	case <-z.started:
	case <-ctx.Done():
		return
	}
	changes := z.watch()
	defer z.unwatch(changes)
	var (
		round  sync.WaitGroup
		cancel context.CancelFunc = func() {}
		told   *zonedata.Snapshot
	)
	for {
		if s := z.served.Load(); s != nil && (told == nil || told.SOA.Serial != s.SOA.Serial) {
			cancel()
			round.Wait()
			told = s
			var rctx context.Context
			rctx, cancel = context.WithCancel(ctx)
			for _, to := range z.policy.notify {
				if z.knows(to.addr, s.SOA.Serial) {
					continue
				}
				round.Go(func() {
					if notify(rctx, z.name, s.SOA.Serial, to, keys, z.logger) {
						z.learned(to.addr, s.SOA.Serial)
					}
				})
			}
		}
		select {
		case <-changes:
		case <-ctx.Done():
			cancel()
			round.Wait()
			return
		}
	}
}

// notify tells a secondary that the zone has changed (RFC 1996) until it
// answers, the tries are used up or the context ends. It reports whether the
// secondary answered.
func notify(ctx context.Context, zone string, serial uint32, to secondary, keys tsigKeys, logger *zap.Logger) bool {
	m := new(dns.Msg)
	m.SetNotify(zone)
	m.Answer = nil
	logger = logger.With(zap.String("zone", zone), zap.Uint32("serial", serial), zap.String("secondary", to.addr))
	pause := notifyTimeout
	for try := 1; ; try++ {
		r, err := exchange(ctx, m, to, keys)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil && r.Rcode != dns.RcodeSuccess:
			logger.Warn("secondary refused notification", zap.String("rcode", dns.RcodeToString[r.Rcode]))
			return true
		case err == nil:
			logger.Debug("notified secondary")
			return true
		case try == notifyTries:
			logger.Warn("secondary does not answer notifications", zap.Error(err))
			return false
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return false
		}
	}
}

// exchange asks over UDP, signing the message where there is a key for that, and ends with its context: the library's client does
// not while it waits for the answer.
func exchange(ctx context.Context, m *dns.Msg, with secondary, keys tsigKeys) (*dns.Msg, error) {
	client := &dns.Client{Timeout: notifyTimeout}
	if with.key != "" {
		client.TsigProvider = keys
		m = m.Copy()
		m.SetTsig(with.key, keys[with.key].algorithm, fudge, time.Now().Unix())
	}
	conn, err := client.DialContext(ctx, with.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	r, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return r, err
}

// knows reports whether a secondary has been told of a serial. That outlives
// configurations, so that a reload tells nobody what is not new.
func (z *zone) knows(secondary string, serial uint32) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	told, ok := z.told[secondary]
	return ok && told == serial
}

func (z *zone) learned(secondary string, serial uint32) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.told[secondary] = serial
}
