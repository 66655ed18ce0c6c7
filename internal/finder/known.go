// Package finder finds the zones that hosts are in at a provider: among those
// that the provider lists, and otherwise by the start of authority in DNS. What
// it has found outlives configurations, and processes.
package finder

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

const (
	firstPause = 5 * time.Second
	// maxPause is the longest pause while a host lacks its zone that must have
	// one, or a zone is in doubt, and recheck that while only others do.
	maxPause = 10 * time.Minute
	recheck  = time.Hour
	// between is the least time between two rounds that zones in doubt cause.
	between = 30 * time.Second
	// patience is how often a list may fail in a row before DNS is asked: it
	// knows of no zone that is the provider's alone.
	patience = 3
	// maxReasons is how many reasons the log gives for a host without a zone.
	maxReasons = 5
)

// Hosts are what zones are wanted for.
type Hosts struct {
	// Needed must have a zone, and Offered are taken where the provider has it.
	// No host is in both.
	Needed, Offered []string
}

// Answer is what is known of the zone of a host.
type Answer struct {
	// Zone is the FQDN of the zone in canonical form, or "" if none is known.
	Zone string
	// Err says why no zone is known. It is nil if none was looked for yet.
	Err error
	// settled is set if there is no reason to ask again soon.
	settled bool
	// needed is set if it was looked for as for a host that must have one.
	needed bool
	// recalled is set if an earlier process has found it and this one has not
	// yet, and listed if the provider had listed it.
	recalled, listed bool
}

// Unsettled reports whether no zone is known, and that may soon be otherwise.
func (a Answer) Unsettled() bool { return a.Zone == "" && !a.settled }

// Unasked reports whether no zone is known because none was looked for yet.
func (a Answer) Unasked() bool { return a.Zone == "" && a.Err == nil }

// Known is what is known of the zones of one provider. The zero value knows
// nothing.
type Known struct {
	mu sync.Mutex
	// listed are the zones that the provider has listed, nil before it has.
	listed []string
	// unlisted is why the last list failed, and failed how many did in a row.
	unlisted error
	failed   int
	// looked are the answers for hosts that are in no listed zone.
	looked map[string]Answer
	// doubted are zones of which the provider says that it has no such.
	doubted map[string]bool
	// said is what the log has said of a host since it had a zone.
	said map[string][]string
	// due is when to look next, zero for never, and last when that was begun.
	due, last time.Time
	rounds    int
}

// Destruct implements caddy.Destructor.
func (*Known) Destruct() error { return nil }

// Answer returns what is known of a host's zone, which is the longest that the
// provider lists.
func (k *Known) Answer(host string) Answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.answer(host)
}

func (k *Known) answer(host string) Answer {
	if zone, _, ok := dnsname.Match(host, k.listed); ok {
		return Answer{Zone: zone}
	}
	if a, ok := k.looked[host]; ok {
		return a
	}
	return Answer{Err: k.unlisted, needed: k.unlisted != nil}
}

// open reports whether a host's zone is to be looked for.
func (k *Known) open(host string) bool {
	a := k.answer(host)
	return a.Zone == "" || a.recalled || k.doubted[a.Zone]
}

// recall notes where an earlier process has found a host of which nothing is
// known, to be looked for all the same.
func (k *Known) recall(host, zone string, listed bool, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.answer(host); a.Zone != "" || a.settled {
		return
	}
	if k.looked == nil {
		k.looked = make(map[string]Answer)
	}
	k.looked[host] = Answer{Zone: zone, recalled: true, listed: listed}
	if k.due.IsZero() {
		k.due = now
	}
}

// Recall notes where an earlier process has found a host that is not looked for
// any more.
func (k *Known) Recall(host, zone string) { k.recall(host, zone, false, time.Time{}) }

// origin returns what is known of a host's zone, and whether the provider has
// listed that.
func (k *Known) origin(host string) (a Answer, listed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _, listed = dnsname.Match(host, k.listed)
	a = k.answer(host)
	return a, listed || a.listed
}

// opened returns those of the hosts whose zone is to be looked for.
func (k *Known) opened(h Hosts) Hosts {
	k.mu.Lock()
	defer k.mu.Unlock()
	closed := func(host string) bool { return !k.open(host) }
	return Hosts{
		Needed:  slices.DeleteFunc(slices.Clone(h.Needed), closed),
		Offered: slices.DeleteFunc(slices.Clone(h.Offered), closed),
	}
}

// begin says when to look for zones of hosts, of which some may be new.
func (k *Known) begin(h Hosts, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	unknown := func(host string) bool { return k.answer(host).Unasked() }
	offered := func(host string) bool {
		a := k.answer(host)
		return a.Zone == "" && !a.needed
	}
	if slices.ContainsFunc(h.Needed, offered) || slices.ContainsFunc(h.Offered, unknown) {
		k.due = now
	}
}

// doubt notes that the provider says that it has no such zone.
func (k *Known) doubt(zone string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.doubted == nil {
		k.doubted = make(map[string]bool)
	}
	k.doubted[zone] = true
	if soon := k.last.Add(between); soon.After(now) {
		now = soon
	}
	if k.due.IsZero() || k.due.After(now) {
		k.due = now
	}
}

// inDoubt reports whether the provider says that it has no such zone.
func (k *Known) inDoubt(zone string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.doubted[zone]
}

// trust notes that the provider has the zone after all.
func (k *Known) trust(zone string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.doubted, zone)
}

// list notes what came of a list, and reports whether the log has to say that
// there is none.
func (k *Known) list(zones []string, err error) (news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		news = k.failed == 0
		k.unlisted = fmt.Errorf("listing the provider's zones: %w", err)
		k.failed++
		return news
	}
	k.listed, k.unlisted, k.failed = append([]string{}, slices.Compact(slices.Sorted(slices.Values(zones)))...), nil, 0
	maps.DeleteFunc(k.looked, func(_ string, a Answer) bool { return a.listed })
	return false
}

// missing returns the zones of hosts that were listed, be it for an earlier
// process, and are not in a new list.
func (k *Known) missing(h Hosts, zones []string) (missing []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := make(map[string]bool, len(zones))
	for _, zone := range zones {
		now[zone] = true
	}
	for _, hosts := range [][]string{h.Needed, h.Offered} {
		for _, host := range hosts {
			zone, _, ok := dnsname.Match(host, k.listed)
			if a := k.looked[host]; a.listed {
				zone, ok = a.Zone, true
			}
			if ok && !now[zone] {
				now[zone], missing = true, append(missing, zone)
			}
		}
	}
	return missing
}

// Unlisted returns why the provider's zones could not be listed, when that was
// last tried.
func (k *Known) Unlisted() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unlisted
}

// mayLook reports whether DNS is to be asked for a host, and whether the provider
// has listed its zones.
func (k *Known) mayLook(patient bool) (look, listed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unlisted == nil || !patient || k.failed >= patience, k.listed != nil && k.unlisted == nil
}

// learn notes the answer for a host that is in no listed zone. That none can be
// told leaves it at what was known.
func (k *Known) learn(host string, a Answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before := k.looked[host]; a.Unsettled() && (before.Zone != "" || before.settled && !a.needed) {
		return
	}
	if k.looked == nil {
		k.looked = make(map[string]Answer)
	}
	k.looked[host] = a
}

// plan says when to look again after a round. chance is in [0,1).
func (k *Known) plan(h Hosts, now time.Time, chance float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.doubted, func(zone string, _ bool) bool {
		used := func(host string) bool { return k.answer(host).Zone == zone }
		return !slices.ContainsFunc(h.Needed, used) && !slices.ContainsFunc(h.Offered, used)
	})
	any, settled := slices.ContainsFunc(h.Needed, k.open), true
	most := recheck
	if any || len(k.doubted) > 0 {
		any, settled, most = true, false, maxPause
	}
	for _, host := range h.Offered {
		if a := k.answer(host); a.Zone == "" || a.recalled {
			any, settled = true, settled && a.settled
		}
	}
	switch {
	case !any && k.unlisted == nil:
		k.rounds, k.due = 0, time.Time{}
	case settled && k.unlisted == nil:
		k.rounds, k.due = 0, now.Add(recheck)
	default:
		pause := min(firstPause<<min(k.rounds, 10), most)
		k.rounds++
		k.due = now.Add(pause/2 + time.Duration(chance*float64(pause/2)))
	}
}

// begun notes that a round begins.
func (k *Known) begun(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = now
}

// wait returns how long to wait until the next round, if there is to be one.
func (k *Known) wait(now time.Time) (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(0, k.due.Sub(now)), !k.due.IsZero()
}

// news reports whether the log has to say this of a host: not what it has said
// since the host had a zone, for reasons may take turns.
func (k *Known) news(host, text string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if said := k.said[host]; slices.Contains(said, text) || len(said) == maxReasons {
		return false
	}
	if k.said == nil {
		k.said = make(map[string][]string)
	}
	k.said[host] = append(k.said[host], text)
	return true
}

// settle notes that a host has a zone.
func (k *Known) settle(host string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.said, host)
}

// explain says why a host that needs a zone has none, and what to do. byDNS is
// what came of asking DNS.
func (k *Known) explain(byDNS error, canList bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.unlisted != nil:
		return fmt.Errorf("%w; %w; see to it that the provider's zones may be listed, or write the name under its zone in domains", k.unlisted, byDNS)
	case !canList:
		return fmt.Errorf("the provider cannot list its zones, and %w; write the name under its zone in domains, or correct it", byDNS)
	case len(k.listed) == 0:
		return fmt.Errorf("the provider lists no zones, and %w; add the zone at the provider, or see to it that its credentials may see it", byDNS)
	}
	return fmt.Errorf("the provider has %s alone, and %w; add the zone at the provider, or correct the name", some(k.listed), byDNS)
}

// some shows zones, and of many the first.
func some(zones []string) string {
	const most = 5
	shown := make([]string, 0, most)
	for _, zone := range slices.Sorted(slices.Values(zones)) {
		if len(shown) == most {
			return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), len(zones)-most)
		}
		shown = append(shown, dnsname.Display(zone))
	}
	return strings.Join(shown, ", ")
}

var errNotListed = errors.New("the provider has no zone that it is in")
