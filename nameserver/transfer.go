package nameserver

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// transferPolicy says who may fetch a zone, and who is told of changes.
type transferPolicy struct {
	networks []netip.Prefix
	keys     []string // canonical names
	notify   []string // host:port
}

func (p *transferPolicy) allows(client netip.Addr, key string) bool {
	return p != nil && (key != "" && slices.Contains(p.keys, key) ||
		slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(client) }))
}

func isTransfer(q dns.Question) bool { return q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR }

// envelopeSize bounds one message of a zone transfer.
const envelopeSize = 32 << 10

// transfer sends a whole zone (RFC 5936), also to those who ask for changes
// only (RFC 1995, section 4). It reports whether it sent the reply itself.
func (h *handler) transfer(w dns.ResponseWriter, q, m *dns.Msg, client netip.Addr, tcp bool) bool {
	name := dns.CanonicalName(q.Question[0].Name)
	key := ""
	if tsig := q.IsTsig(); tsig != nil {
		key = dns.CanonicalName(tsig.Hdr.Name)
	}
	z := h.zones[name]
	switch {
	case z == nil:
		m.Rcode = dns.RcodeNotAuth
		if h.zones.closest(name, dns.TypeSOA) == nil {
			m.Rcode = dns.RcodeRefused
		}
		return false
	case q.Question[0].Qclass != dns.ClassINET || !h.transfers[name].allows(client, key):
		m.Rcode = dns.RcodeRefused
		h.logger.Debug("refused a zone transfer", zap.String("zone", name), zap.Stringer("client", client))
		return false
	}
	s := z.served.Load()
	switch {
	case s == nil:
		m.Rcode = dns.RcodeServerFailure
		return false
	case !tcp && q.Question[0].Qtype == dns.TypeAXFR:
		m.Rcode = dns.RcodeFormatError // RFC 5936, section 4.2: only over TCP
		return false
	case !tcp, q.Question[0].Qtype == dns.TypeIXFR && upToDate(q, s):
		m.Authoritative = true
		m.Answer = []dns.RR{s.soa}
		return false
	}
	h.logger.Info("sending zone", zap.String("zone", name), zap.Uint32("serial", s.soa.Serial), zap.Stringer("client", client))
	envelopes := make(chan *dns.Envelope)
	done := make(chan struct{})
	go func() {
		defer close(envelopes)
		s.envelopes(envelopes, done)
	}()
	err := new(dns.Transfer).Out(w, q, envelopes)
	close(done)
	if err != nil {
		h.logger.Warn("sending zone", zap.String("zone", name), zap.Stringer("client", client), zap.Error(err))
	}
	return true
}

// upToDate reports whether the asker of an IXFR has the zone already.
func upToDate(q *dns.Msg, s *snapshot) bool {
	if len(q.Ns) != 1 {
		return false
	}
	soa, ok := q.Ns[0].(*dns.SOA)
	return ok && !serialLess(soa.Serial, s.soa.Serial)
}

func (s *snapshot) envelopes(to chan<- *dns.Envelope, done <-chan struct{}) {
	batch, size := []dns.RR{s.soa}, 0
	flush := func() bool {
		select {
		case to <- &dns.Envelope{RR: batch}:
			batch, size = nil, 0
			return true
		case <-done:
			return false
		}
	}
	for _, r := range s.records {
		n := dns.Len(r.rr)
		if size+n > envelopeSize && !flush() {
			return
		}
		batch, size = append(batch, r.rr), size+n
	}
	batch = append(batch, s.soa)
	flush()
}

const (
	notifyTries   = 5
	notifyTimeout = 2 * time.Second
)

// notify tells a secondary that the zone has changed (RFC 1996) until it
// answers, the tries are used up or the context ends.
func notify(ctx context.Context, zone string, serial uint32, secondary string, logger *zap.Logger) {
	m := new(dns.Msg)
	m.SetNotify(zone)
	m.Answer = nil
	client := &dns.Client{Timeout: notifyTimeout}
	pause := notifyTimeout
	for try := 1; ; try++ {
		r, _, err := client.ExchangeContext(ctx, m, secondary)
		logger := logger.With(zap.String("zone", zone), zap.Uint32("serial", serial), zap.String("secondary", secondary))
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && r.Rcode != dns.RcodeSuccess:
			logger.Warn("secondary refused notification", zap.String("rcode", dns.RcodeToString[r.Rcode]))
			return
		case err == nil:
			logger.Debug("notified secondary")
			return
		case try == notifyTries:
			logger.Warn("secondary does not answer notifications", zap.Error(err))
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return
		}
	}
}

// tsigKeys verifies and signs messages (RFC 8945) with keys by canonical name.
type tsigKeys map[string]tsigKey

type tsigKey struct {
	algorithm string
	secret    []byte
}

var tsigHashes = map[string]func() hash.Hash{
	dns.HmacSHA1:   sha1.New,
	dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New,
	dns.HmacSHA384: sha512.New384,
	dns.HmacSHA512: sha512.New,
}

// Generate returns the signature of a message.
func (k tsigKeys) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	key, ok := k[dns.CanonicalName(t.Hdr.Name)]
	if !ok {
		return nil, dns.ErrSecret
	}
	if dns.CanonicalName(t.Algorithm) != key.algorithm {
		return nil, dns.ErrKeyAlg
	}
	mac := hmac.New(tsigHashes[key.algorithm], key.secret)
	mac.Write(msg)
	return mac.Sum(nil), nil
}

// Verify checks the signature of a message.
func (k tsigKeys) Verify(msg []byte, t *dns.TSIG) error {
	want, err := k.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil {
		return err
	}
	if !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

func decodeSecret(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }
