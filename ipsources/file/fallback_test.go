package file

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/static"
)

// TestFileBeforeAnotherSource: a file that is half written or malformed changes
// nothing, although another source would know an address. One that is not there
// or stays empty leaves the family to that.
func TestFileBeforeAnotherSource(t *testing.T) {
	const known, other, next = "93.184.216.34", "93.184.216.35", "93.184.216.36"
	for _, tc := range []struct {
		name, content string
		ago           time.Duration
		want, warning string
	}{
		{name: "half written", content: "93.184.216.3", ago: settleTime, want: known},
		{name: "just truncated", content: "", ago: settleTime, want: known},
		{name: "malformed", content: "none\n", ago: time.Minute, want: known, warning: `line 1: "none" is not an address`},
		{name: "empty", content: "", ago: time.Minute, want: other},
		{name: "comments", content: "# offline\n", ago: time.Minute, want: other},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, write := newFile(t)
			fallback := &static.Static{IPs: []string{other}}
			if err := fallback.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			filter, _ := ipaddr.NewFilter(nil, nil)
			core, logs := observer.New(zapcore.WarnLevel)
			d := &detect.Detector{
				Sources:  []*detect.Source{detect.NewSource("file", s), detect.NewSource("static", fallback)},
				Families: [ipaddr.Families]bool{ipaddr.V4: true}, Filter: filter, Known: new(detect.Known), Logger: zap.New(core),
			}
			check := func(content string, ago time.Duration, want string) {
				t.Helper()
				write(content, ago)
				detect.NewSchedule([]*detect.Detector{d}, time.Hour, func(*detect.Detector, ipaddr.Family, detect.Found) {}, zap.NewNop()).CheckOnce(t.Context())
				if got := d.Known.Family(ipaddr.V4).Addrs; len(got) != 1 || got[0] != netip.MustParseAddr(want) {
					t.Errorf("with %q: got %v, want %s", content, got, want)
				}
			}
			check(known+"\n", time.Minute, known)
			check(tc.content, tc.ago, tc.want)
			var warned string
			for _, line := range logs.TakeAll() {
				warned += fmt.Sprintln(line.Message, line.ContextMap())
			}
			if (warned == "") != (tc.warning == "") || !strings.Contains(warned, tc.warning) {
				t.Errorf("warned:\n%s", warned)
			}
			check(next+"\n", time.Minute, next)
		})
	}
}
