package doctor

import (
	"strings"

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
	j.clients()
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
