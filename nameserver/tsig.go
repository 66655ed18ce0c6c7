package nameserver

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/miekg/dns"
)

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

// fudge is how many seconds clocks may differ (RFC 8945, section 10).
const fudge = 300

// signatureSize is what the signature of the answer to a query takes.
func signatureSize(t *dns.TSIG) int {
	return dns.Len(&dns.TSIG{Hdr: t.Hdr, Algorithm: t.Algorithm}) + sha512.Size
}

// refuseSignature answers what is wrong with the signature of a query (RFC
// 8945, section 5.2). Only where that is the time can the answer be signed.
func refuseSignature(w dns.ResponseWriter, m *dns.Msg, t *dns.TSIG, status error, now time.Time) {
	m.Rcode = dns.RcodeNotAuth
	m.SetTsig(t.Hdr.Name, t.Algorithm, fudge, now.Unix())
	reply := m.IsTsig()
	reply.OrigId = m.Id
	switch {
	case errors.Is(status, dns.ErrTime):
		reply.Error = dns.RcodeBadTime
		reply.TimeSigned, reply.Fudge = t.TimeSigned, t.Fudge
		reply.OtherLen, reply.OtherData = 6, fmt.Sprintf("%012x", now.Unix())
		_ = w.WriteMsg(m)
		return
	case errors.Is(status, dns.ErrSecret), errors.Is(status, dns.ErrKeyAlg):
		reply.Error = dns.RcodeBadKey
	default:
		reply.Error = dns.RcodeBadSig
	}
	// The library would leave out the time of what it does not sign.
	if wire, err := m.Pack(); err == nil {
		_, _ = w.Write(wire)
	}
}

func decodeSecret(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }
