package nameserver

import (
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

func isTransfer(q dns.Question) bool { return q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR }

// envelopeSize bounds one message of a zone transfer.
const envelopeSize = 32 << 10

// transfer sends a whole zone (RFC 5936), also to those who ask for changes
// only (RFC 1995, section 4). It reports whether it sent the reply itself, and
// prepares it otherwise.
func transfer(w dns.ResponseWriter, q, m *dns.Msg, opt *dns.OPT, z *zone, policy *transferPolicy, now time.Time, logger *zap.Logger) bool {
	client, tcp := clientOf(w.RemoteAddr())
	key := ""
	if tsig := q.IsTsig(); tsig != nil {
		key = dns.CanonicalName(tsig.Hdr.Name)
	}
	if q.Question[0].Qclass != dns.ClassINET || !policy.allows(client, key) {
		m.Rcode = dns.RcodeRefused
		counted.refused.Add(1)
		logger.Debug("refused a zone transfer", zap.String("zone", z.name), zap.Stringer("client", client))
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
		m.Answer = []dns.RR{s.SOA}
		return false
	}
	logger.Info("sending zone", zap.String("zone", z.name), zap.Uint32("serial", s.SOA.Serial), zap.Stringer("client", client))
	counted.transfers.Add(1)
	if err := sendZone(w, q, s, opt, now); err != nil {
		logger.Warn("sending zone", zap.String("zone", z.name), zap.Stringer("client", client), zap.Error(err))
	}
	return true
}

// upToDate reports whether the asker of an IXFR has the zone already.
func upToDate(q *dns.Msg, s *zonedata.Snapshot) bool {
	if len(q.Ns) != 1 {
		return false
	}
	soa, ok := q.Ns[0].(*dns.SOA)
	return ok && !zonedata.SerialLess(soa.Serial, s.SOA.Serial)
}

// sendZone sends a zone in as many messages as it takes. The first one has the
// OPT record (RFC 5936, section 2.2.5).
func sendZone(w dns.ResponseWriter, q *dns.Msg, s *zonedata.Snapshot, opt *dns.OPT, now time.Time) error {
	batch, size := []dns.RR{s.SOA}, 0
	flush := func() error {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative = true
		m.Answer, batch, size = batch, nil, 0
		if opt != nil {
			m.Extra, opt = []dns.RR{opt}, nil
		}
		if tsig := q.IsTsig(); tsig != nil {
			m.SetTsig(tsig.Hdr.Name, tsig.Algorithm, fudge, now.Unix())
		}
		err := w.WriteMsg(m)
		w.TsigTimersOnly(true)
		return err
	}
	for r := range s.All() {
		n := dns.Len(r.RR)
		if size+n > envelopeSize {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, r.RR), size+n
	}
	batch = append(batch, s.SOA)
	return flush()
}
