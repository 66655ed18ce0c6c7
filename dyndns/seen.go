package dyndns

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

const (
	// repeatAfter is when the same refusal is worth a line in the log again.
	repeatAfter = 10 * time.Minute
	maxRefusals = 1000
)

// agents are the families of clients by what their User-Agent begins with, or
// has in it. The labels of metrics are these alone.
var agents = []struct{ part, family string }{
	{"ddclient", "ddclient"},
	{"inadyn", "inadyn"},
	{"fritz!box", "fritzbox"},
	{"opnsense", "opnsense"},
	{"pfsense", "pfsense"},
	{"phpdyndns", "pfsense"},
	{"ubnt", "unifi"},
	{"unifi", "unifi"},
	{"openwrt", "openwrt"},
	{"ddns-scripts", "openwrt"},
	{"synology", "synology"},
	{"dsm", "synology"},
	{"mikrotik", "mikrotik"},
	{"speedport", "speedport"},
	{"curl/", "curl"},
	{"wget/", "wget"},
}

// agentOf returns the family of a client.
func agentOf(userAgent string) string {
	userAgent = strings.ToLower(userAgent[:min(len(userAgent), 200)])
	for _, a := range agents {
		if strings.Contains(userAgent, a.part) {
			return a.family
		}
	}
	return "other"
}

// visit is the last update of a user.
type visit struct {
	at     time.Time
	client netip.Addr
	agent  string
	result reply.Word
}

// seen is who came last. It outlives configurations.
type seen struct {
	mu     sync.Mutex
	visits map[string]visit
	// refusals are when the refusals of clients were logged.
	refusals map[string]time.Time
}

func newSeen() *seen {
	return &seen{visits: make(map[string]visit), refusals: make(map[string]time.Time)}
}

func (s *seen) note(user string, v visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits[user] = v
}

func (s *seen) of(user string) visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits[user]
}

// repeats reports whether the same was logged a short while ago.
func (s *seen) repeats(refusal string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.refusals[refusal]; ok && now.Sub(at) < repeatAfter {
		return true
	}
	if len(s.refusals) >= maxRefusals {
		clear(s.refusals)
	}
	s.refusals[refusal] = now
	return false
}
