package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// judge collects findings about facts.
type judge struct {
	*Facts
	about    string
	findings []status.Finding
}

func (j *judge) add(v status.Verdict, format string, args ...any) *status.Finding {
	j.findings = append(j.findings, status.Finding{About: j.about, Verdict: v, Text: fmt.Sprintf(format, args...)})
	return &j.findings[len(j.findings)-1]
}

func (j *judge) ok(format string, args ...any) *status.Finding {
	return j.add(status.VerdictOK, format, args...)
}

func (j *judge) wrong(format string, args ...any) *status.Finding {
	return j.add(status.VerdictWrong, format, args...)
}

func (j *judge) unknown(format string, args ...any) *status.Finding {
	return j.add(status.VerdictUnknown, format, args...)
}

// advise adds to a finding what to do about it.
func advise(f *status.Finding, do string, paste ...string) { f.Do, f.Paste = do, paste }

func because(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

var familyNames = [ipaddr.Families]string{ipaddr.V4: "IPv4", ipaddr.V6: "IPv6"}

// list writes addresses with spaces.
func list(addrs []netip.Addr) string { return status.Addresses(addrs).String() }

// about gives a duration in its largest unit.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// few joins words, of many the first ones.
func few(words []string) string {
	const most = 5
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
