package zone

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// noSuchZone matches what libdns providers say when they do not have a zone,
// otherAilment what they say of other things in the same words: libdns knows
// no error for either.
var (
	noSuchZone   = regexp.MustCompile(`(?i)(no such|unknown|could not find|cannot find|expected 1) (hosted |dns )?(zone|domain)|(zone|domain)\S* (\S+ )?(is |was |does |could )?(not (be )?found|not exist)|(zone|domain)[ _]?(not[ _]?found|doesnotexist)|nosuchhostedzone|NOTAUTH|NOTZONE`)
	otherAilment = regexp.MustCompile(`(?i)token|permission|credential|forbidden|unauthori[sz]ed|access ?denied|\b40[13]\b|no such host|\bdial |\blookup |timeout|refused`)
)

// NoSuch reports whether a provider's error says that it does not have the zone.
func NoSuch(err error) bool {
	return err != nil && noSuchZone.MatchString(err.Error()) && !otherAilment.MatchString(err.Error())
}

// hinter returns a function that adds to an error that says that there is no
// such zone what to write instead, for what confuses people most is which
// part of a name is the zone. It also returns the advice, to be kept.
func (z *Zone) hinter(b *Backend) func(context.Context, error) (*string, error) {
	display := dnsname.Display(z.Name)
	if strings.Count(display, ".") < 2 {
		return func(_ context.Context, err error) (*string, error) { return nil, err }
	}
	hint, name := z.hint, z.machine.FirstName()
	return func(ctx context.Context, err error) (*string, error) {
		if !NoSuch(err) {
			return nil, err
		}
		if hint == nil {
			text := advise(ctx, b.Provider, z.Name, name)
			hint = &text
		}
		if *hint == "" {
			return hint, err
		}
		return hint, fmt.Errorf("%w (%s)", err, *hint)
	}
}

// advise says what to write for a name in what is no zone. If the provider
// can list its zones the advice is certain.
func advise(ctx context.Context, p *provider.Provider, zone, name string) string {
	display := dnsname.Display(zone)
	if zones, err := p.Zones(ctx); err == nil {
		if slices.Contains(zones, zone) {
			return ""
		}
		if parent, rel, ok := dnsname.Match(dnsname.Absolute(name, zone), zones); ok {
			parent = dnsname.Display(parent)
			return fmt.Sprintf("the provider has the zone %q, of which this is a part: write `%s %s`", parent, parent, rel)
		}
	}
	_, parent, _ := strings.Cut(display, ".")
	if suffix, _ := publicsuffix.PublicSuffix(parent); suffix == parent {
		return ""
	}
	_, rel, _ := dnsname.Match(dnsname.Absolute(name, zone), []string{parent + "."})
	return fmt.Sprintf("is %q a zone at the provider, or a name in one? If the zone is %q, write `%s %s`", display, parent, parent, rel)
}
