package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Judge says what is right and wrong, from this machine outwards.
func Judge(f *Facts) []status.Finding {
	j := &judge{Facts: f}
	j.caddy()
	j.environment()
	if f.Refused != "" {
		j.about = "configuration"
		j.wrong("it cannot be loaded: %s", f.Refused)
		return j.findings
	}
	j.network()
	for i := range f.Groups {
		j.addresses(&f.Groups[i])
	}
	j.homeless()
	for i := range f.Zones {
		z := &f.Zones[i]
		j.provider(z)
		j.delegation(z)
		j.records(z)
	}
	j.ports()
	return j.once()
}

// once leaves out advice that was given before.
func (j *judge) once() []status.Finding {
	given := make(map[string]bool)
	for i := range j.findings {
		f := &j.findings[i]
		advice := f.Do + strings.Join(f.Paste, "\n")
		if given[advice] {
			f.Do, f.Paste = "", nil
		}
		given[advice] = true
	}
	return j.findings
}

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

// caddy says how the running Caddy does.
func (j *judge) caddy() {
	j.about = "Caddy"
	s := j.Running
	if s == nil {
		j.ok("none answers at %s%s, so what follows is by the configuration alone", j.Admin, parenthesis(j.Silence))
		return
	}
	if s.InSync != nil && *s.InSync {
		j.ok("it runs at %s, and says that all records are in sync", j.Admin)
		return
	}
	reason := s.Reason
	for _, z := range s.Zones {
		switch {
		case !z.FailingSince.IsZero() && z.LastFailure != nil:
			why := ": " + z.LastFailure.Error
			if slices.ContainsFunc(j.Zones, func(own Zone) bool { return own.Name == z.Zone && own.Provider == z.Provider && own.readable() }) {
				why = "; see below" // where it is said again
			}
			advise(j.wrong("it has failed to keep %s for %s%s", z.Zone, about(j.Now.Sub(z.FailingSince)), why),
				"It goes on trying. Once what is wrong is mended, see to it at once:", "caddy dynamic-dns check")
			return
		case reason == "" && (z.InSync == nil || !*z.InSync):
			reason = z.Zone + ": " + z.Reason()
		}
	}
	if s.InSync != nil {
		j.wrong("it runs at %s, and says that not all records are in sync: %s", j.Admin, reason)
		return
	}
	j.unknown("it runs at %s, and cannot tell whether all records are in sync: %s", j.Admin, reason)
}

// environment says that the running Caddy has what this command lacks.
func (j *judge) environment() {
	if j.Variable == "" {
		return
	}
	advise(j.unknown("its configuration takes a value from the environment variable %s, which has none here, so what follows may be due to that alone", j.Variable),
		"Look again in the environment of the running Caddy:",
		`sudo xargs -0 -a "/proc/$(pidof -s caddy)/environ" sh -c 'exec env -i "$@" caddy dynamic-dns doctor' sh`)
}

var familyNames = [ipaddr.Families]string{ipaddr.V4: "IPv4", ipaddr.V6: "IPv6"}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

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
