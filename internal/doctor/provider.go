package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// rights says what the provider must let its credentials do, and where that is
// written.
var rights = map[string]struct {
	do    string
	paste []string
}{
	"cloudflare": {
		"At dash.cloudflare.com, under My Profile, API Tokens, the token needs these, and the zone among its zone resources:",
		[]string{"Zone - Zone - Read", "Zone - DNS - Edit"},
	},
	"route53": {
		"The IAM user or role needs these actions:",
		[]string{"route53:ListHostedZones", "route53:ListHostedZonesByName", "route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets", "route53:GetChange"},
	},
	"rfc2136": {
		"The name server must let the key fetch the zone and change it, in BIND's zone statement:",
		[]string{`allow-transfer { key "the-key"; };`, `update-policy { grant the-key zonesub A AAAA; };`},
	},
}

func (z *Zone) rights() (do string, paste []string) {
	if r, ok := rights[z.Provider]; ok {
		return r.do, r.paste
	}
	return fmt.Sprintf("See what the credentials in the configuration may do at %s: list zones, and read and change the records of %s.", z.Provider, z.Name), nil
}

// advise says what to do where the provider fails.
func (z *Zone) advise(f *status.Finding, err string) {
	if slices.ContainsFunc(unreachable, func(sign string) bool { return strings.Contains(err, sign) }) {
		advise(f, "The provider cannot be reached from here: see that this machine resolves names, and that nothing keeps it from connecting to the provider.")
		return
	}
	if z.Provider == "rfc2136" && strings.Contains(err, "bad authentication") {
		advise(f, "Write key_name, key_alg and key as tsig-keygen printed them into the server's configuration, and the zone as that has it. The clocks of both may differ by five minutes.")
		return
	}
	do, paste := z.rights()
	advise(f, do, paste...)
}

// unreachable are signs in an error that the provider did not answer, rather
// than refuse.
var unreachable = []string{"dial tcp", "dial udp", "no such host", "i/o timeout", "connection refused", "network is unreachable", "did not answer in time", "deadline exceeded"}

// provider says what the credentials are good for, as far as that can be told
// without writing.
func (j *judge) provider(z *Zone) {
	j.about = fmt.Sprintf("%s at %s", z.Name, z.Provider)
	l := z.Listing
	switch {
	case !l.Able:
	case l.Err != "" && z.readable():
		j.ok("zones cannot be listed, which is not needed: %s", l.Err)
	case l.Err != "" && z.ReadErr != "":
		j.wrong("zones cannot be listed: %s", l.Err)
	case l.Err != "":
		z.advise(j.wrong("zones cannot be listed: %s", l.Err), l.Err)
	case slices.Contains(l.Zones, z.Name):
		j.ok("the provider lists the zone (%s in all)", count(len(l.Zones), "zone", "zones"))
	default:
		j.notListed(z)
	}
	switch {
	case !z.Read:
		j.unknown("the provider cannot be read, so what it holds is not known")
	case z.ReadErr != "" && l.Able && l.Err == "" && !slices.Contains(l.Zones, z.Name):
		j.wrong("the records cannot be read: %s", z.ReadErr)
	case z.ReadErr != "":
		z.advise(j.wrong("the records cannot be read: %s", z.ReadErr), z.ReadErr)
	default:
		j.ok("the records can be read")
	}
	j.unserved(z)
	j.written(z)
}

// unserved says that a zone is written to a file that nobody may serve. The
// built-in name server's provider does so for another Caddy on the storage.
func (j *judge) unserved(z *Zone) {
	if z.Provider != "nameserver" || j.serves(z.Name) {
		return
	}
	for _, s := range z.Public.Servers {
		if slices.ContainsFunc(s.Answers, func(a Authority) bool { return a.Authoritative }) {
			return
		}
	}
	advise(j.unknown("the name server of this configuration does not have the zone: nobody serves it, unless another Caddy on the same storage does"),
		"Where it is to be served here, write it in the block of the global option nameserver:", "zone "+z.Name)
}

// clients says that their names are not looked at.
func (j *judge) clients() {
	j.about = "names of clients"
	if j.Unread != "" {
		advise(j.unknown("they are not looked at: %s", j.Unread), "If it is a right that is lacking, look again as the user that Caddy runs as.")
	}
}

// homeless says of which names the zone is not known.
func (j *judge) homeless() {
	for _, h := range j.Homeless {
		j.about = "names without a zone at " + h.Provider
		if h.Reason == "" {
			j.unknown("%s: its zone was not found in time", h.Name)
			continue
		}
		if strings.HasPrefix(h.Reason, "the provider cannot list its zones,") {
			j.wrong("%s: %s", h.Name, h.Reason) // no right is lacking, and that says what to write
			continue
		}
		z := &Zone{Name: h.Name, Provider: h.Provider}
		z.advise(j.wrong("%s: %s", h.Name, h.Reason), h.Reason)
	}
}

// notListed says which zone there is instead.
func (j *judge) notListed(z *Zone) {
	var names []string
	for _, r := range z.Records {
		if !slices.Contains(names, r.FQDN) {
			names = append(names, r.FQDN)
		}
	}
	for _, zone := range z.Listing.Zones {
		if !strings.HasSuffix(z.Name, "."+zone) {
			continue
		}
		for i := range names {
			names[i] = strings.TrimSuffix(names[i], "."+zone)
		}
		advise(j.wrong("the provider has no zone %s, but %s, which it is a part of", z.Name, zone), "Write the zone as the provider lists it, and the names below it:",
			"domains {", "    "+zone+" "+strings.Join(names, " "), "}")
		return
	}
	if len(z.Listing.Zones) == 0 {
		do, paste := z.rights()
		advise(j.wrong("the provider lists no zones: the credentials may see none, or the account has none"), do, paste...)
		return
	}
	advise(j.wrong("the provider does not list the zone, but %s", few(z.Listing.Zones)),
		fmt.Sprintf("Write the zone as the provider lists it; or, if %s is in that account, let the credentials see it.", z.Name))
}

// written says what is known of writing, which is not tried.
func (j *judge) written(z *Zone) {
	s := j.running(z)
	if !s.FailingSince.IsZero() && s.LastFailure != nil && z.readable() {
		z.advise(j.wrong("reading works, but the running Caddy fails: %s", s.LastFailure.Error), s.LastFailure.Error)
		return
	}
	var last time.Time
	what := ""
	for _, r := range s.Records {
		if r.LastChanged.After(last) {
			last, what = r.LastChanged, r.Name+" "+r.Type
		}
	}
	if what != "" {
		j.ok("writing is not tried here; the running Caddy last did, %s, %s ago, and the provider accepted it", what, about(j.Now.Sub(last)))
		return
	}
	j.ok("writing is not tried: nothing is written here, and no running Caddy has yet")
}
