package doctor

import (
	"slices"
)

// caddy says how the running Caddy does.
func (j *judge) caddy() {
	j.about = "Caddy"
	s := j.Running
	if s == nil && j.Silence == "" {
		j.ok("none answers at %s, so what follows is by the configuration alone", j.Admin)
		return
	}
	if s == nil {
		advise(j.ok("one runs at %s that keeps no records, as far as is known (%s), so what follows is by the configuration alone", j.Admin, j.Silence),
			"Have it load this configuration, or stop it where it is another build:", "caddy reload")
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
