package dynamicdns

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

// noSuchZone matches what libdns providers say when they do not have a zone,
// otherAilment what they say of other things in the same words: libdns knows
// no error for either.
var (
	noSuchZone   = regexp.MustCompile(`(?i)(no such|unknown|could not find|cannot find|expected 1) (hosted |dns )?(zone|domain)|(zone|domain)\S* (\S+ )?(is |was |does |could )?(not (be )?found|not exist)|(zone|domain)[ _]?(not[ _]?found|doesnotexist)|nosuchhostedzone|NOTAUTH|NOTZONE`)
	otherAilment = regexp.MustCompile(`(?i)token|permission|credential|forbidden|unauthori[sz]ed|access ?denied|\b40[13]\b|no such host|\bdial |\blookup |timeout|refused`)
)

// explain adds to an error that says that there is no such zone what to write
// instead, for what confuses people most is which part of a name is the zone.
// If the provider can list its zones the advice is certain.
func (k *keeper) explain(ctx context.Context, err error) error {
	zone := strings.TrimSuffix(k.zone.name, ".")
	if strings.Count(zone, ".") < 2 || !noSuchZone.MatchString(err.Error()) || otherAilment.MatchString(err.Error()) {
		return err
	}
	k.zone.mu.Lock()
	hint, claims, hung := k.zone.hint, k.zone.claims, k.zone.hung
	k.zone.mu.Unlock()
	if hung != nil {
		return err
	}
	if hint == nil {
		text := k.hint(ctx, zone, claims)
		hint = &text
		k.zone.mu.Lock()
		k.zone.hint = hint
		k.zone.mu.Unlock()
	}
	if *hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, *hint)
}

func (k *keeper) hint(ctx context.Context, zone string, claims []claim) string {
	name := "@"
	if len(claims) > 0 && len(claims[0].names) > 0 {
		name = claims[0].names[0]
	}
	if zones, err := k.listZones(ctx); err == nil {
		if slices.Contains(zones, k.zone.name) {
			return ""
		}
		if parent, rel, ok := dnsname.Match(dnsname.Absolute(name, k.zone.name), zones); ok {
			return fmt.Sprintf("the provider has the zone %q, of which this is a part: write `%s %s`", strings.TrimSuffix(parent, "."), strings.TrimSuffix(parent, "."), rel)
		}
	}
	_, parent, _ := strings.Cut(zone, ".")
	if suffix, _ := publicsuffix.PublicSuffix(parent); suffix == parent {
		return ""
	}
	_, rel, _ := dnsname.Match(dnsname.Absolute(name, k.zone.name), []string{parent + "."})
	return fmt.Sprintf("is %q a zone at the provider, or a name in one? If the zone is %q, write `%s %s`", zone, parent, parent, rel)
}

// listZones returns the zones of the provider in canonical form.
func (k *keeper) listZones(ctx context.Context) ([]string, error) {
	if k.provider.lister == nil {
		return nil, fmt.Errorf("the provider cannot list zones")
	}
	var zones []string
	err := k.call(ctx, false, func(ctx context.Context) error {
		list, err := k.provider.lister.ListZones(ctx)
		var found []string
		for _, z := range list {
			if zone, err := dnsname.Zone(z.Name); err == nil {
				found = append(found, zone)
			}
		}
		zones = slices.Clip(found)
		return err
	})
	return zones, err
}
