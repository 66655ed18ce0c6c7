package nameserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Server cookies (RFC 7873) have the layout of RFC 9018, section 4: version,
// reserved, time and hash. The hash is HMAC-SHA256, cut to 8 bytes: it has to
// be understood by this process only.
const (
	clientCookieLen = 8
	serverCookieLen = 16
	cookieLifetime  = time.Hour
	cookieSkew      = 5 * time.Minute
)

// cookieSecret outlives configurations, so that a reload costs no client its
// cookie.
var cookieSecret = sync.OnceValue(func() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return secret
})

// checkCookie looks at the cookie option of a query. It returns the full cookie
// for the reply, and whether the client has shown that it receives what is sent
// to its address. A malformed option is reported as not ok.
func checkCookie(opt *dns.EDNS0_COOKIE, client netip.Addr, now time.Time) (reply string, proven, ok bool) {
	raw, err := hex.DecodeString(opt.Cookie)
	if err != nil || len(raw) != clientCookieLen && (len(raw) < 16 || len(raw) > 40) {
		return "", false, false
	}
	own, sent := raw[:clientCookieLen], raw[clientCookieLen:]
	if len(sent) == serverCookieLen {
		at := time.Unix(int64(binary.BigEndian.Uint32(sent[4:8])), 0)
		age := now.Sub(at)
		proven = age > -cookieSkew && age < cookieLifetime && hmac.Equal(sent, serverCookie(own, client, at))
	}
	return hex.EncodeToString(append(own[:clientCookieLen:clientCookieLen], serverCookie(own, client, now)...)), proven, true
}

func serverCookie(clientCookie []byte, client netip.Addr, at time.Time) []byte {
	cookie := make([]byte, 8, serverCookieLen)
	cookie[0] = 1
	binary.BigEndian.PutUint32(cookie[4:], uint32(at.Unix()))
	mac := hmac.New(sha256.New, cookieSecret())
	mac.Write(clientCookie)
	mac.Write(cookie)
	addr := client.As16()
	mac.Write(addr[:])
	return append(cookie, mac.Sum(nil)[:8]...)
}
