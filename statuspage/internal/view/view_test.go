package view

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func addrs(texts ...string) (all status.Addresses) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// home is a status in which all is well.
func home() *status.Status {
	return &status.Status{
		Time: now, InSync: new(true), NextCheck: now.Add(3 * time.Minute), CheckInterval: 300, VerifyInterval: 3600,
		Groups: []status.GroupStatus{{Name: "default", Provider: "cloudflare", Families: []status.FamilyStatus{
			{Family: "ipv4", Addresses: addrs("203.0.113.7"), Source: "fritzbox", LastCheck: ago(2 * time.Minute), Since: ago(80 * time.Hour), FoundSince: ago(90 * time.Hour)},
		}}},
		Zones: []status.ZoneStatus{{
			Zone: "example.com", Provider: "cloudflare", State: status.StateInSync, InSync: new(true), Readable: true,
			LastVerified: ago(12 * time.Minute), LastInSync: now, NextAttempt: now.Add(48 * time.Minute),
			Records: []status.RecordStatus{
				{Name: "@", Type: "A", State: status.StateInSync, Desired: addrs("203.0.113.7"), Observed: addrs("203.0.113.7"), LastChanged: ago(79 * time.Hour), InSync: new(true)},
			},
		}},
	}
}

// TestVerdict: what matters first is said first, with what happens next.
func TestVerdict(t *testing.T) {
	blocked := func(n int) func(*status.Status, *report.Status) {
		return func(s *status.Status, _ *report.Status) {
			z := &s.Zones[0]
			s.InSync, z.InSync, z.State, z.Records = new(false), new(false), status.StateBlocked, nil
			for i := range n {
				z.Records = append(z.Records, status.RecordStatus{Name: fmt.Sprintf("www%d", i), Type: "A", State: status.StateBlocked, Reason: "a CNAME is in the way; delete it"})
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*status.Status, *report.Status)
		mood   Mood
		want   string
	}{
		"well": {func(*status.Status, *report.Status) {}, Well, "All is well; 26 Nov 2026, 05:00 UTC, 3 days ago"},
		"since the last event": {func(s *status.Status, _ *report.Status) {
			s.Timeline = []status.Event{{Time: ago(5 * time.Minute), Name: status.EventRecovered}}
		}, Well, "All is well; 29 Nov 2026, 11:55 UTC, 5 min ago"},
		"no names": {func(s *status.Status, _ *report.Status) { s.Zones = nil }, None, "Nothing to do; No names are managed."},
		"pending": {func(s *status.Status, _ *report.Status) {
			s.InSync, s.Zones[0].Records[0].State = nil, status.StatePending
		}, Busy, "Working on it; 1 record about to be read or written."},
		"unverified": {func(s *status.Status, _ *report.Status) {
			r := s.Zones[0].Records[0]
			r.State = status.StateUnverified
			s.InSync, s.Zones[0].Records = new(false), []status.RecordStatus{r, r}
		}, Busy, "Working on it; 2 records accepted by the provider, which does not show them yet."},
		"cannot tell": {func(s *status.Status, _ *report.Status) { s.InSync = nil }, Busy, "Working on it; It cannot be told yet whether all is in sync."},
		"failing": {func(s *status.Status, _ *report.Status) {
			z := &s.Zones[0]
			s.InSync, z.State, z.Failures, z.FailingSince, z.NextAttempt = new(false), status.StateFailing, 4, ago(10*time.Minute), now.Add(2*time.Minute)
			z.LastFailure = &status.Failure{Time: ago(time.Minute), Error: "reading records: 403 Forbidden"}
		}, Wrong, "Something is wrong; 29 Nov 2026, 11:50 UTC, 10 min ago; example.com at cloudflare cannot be updated: reading records: 403 Forbidden. " +
			"It has failed 4 times in a row. It is tried again in 2 min, and sooner when an address changes."},
		"blocked": {blocked(1), Wrong, "Something is wrong; Something is in the way of www0.example.com A: a CNAME is in the way; delete it. The record is left as it is. It is looked at again in 48 min."},
		"all blocked": {blocked(500), Wrong, "6 things are wrong; " + strings.Repeat("Something is in the way of wwwN.example.com A: a CNAME is in the way; delete it. The record is left as it is. It is looked at again in 48 min.; ", 5) +
			"Something is in the way of 495 records more in example.com: . They are left as they are. It is looked at again in 48 min."},
		"missed once": {func(s *status.Status, _ *report.Status) {
			f := &s.Groups[0].Families[0]
			s.InSync, f.Failing, f.MissingSince, f.LastFailure = nil, true, ago(time.Minute), &status.Failure{Time: ago(time.Minute), Error: "no answer"}
		}, Busy, "Working on it; 29 Nov 2026, 11:59 UTC, 1 min ago; It cannot be told yet whether all is in sync.; The last check found no IPv4 address: no answer. DNS stays as it is. The sources are asked again in 3 min, and at once when the network changes."},
		"lost": {func(s *status.Status, _ *report.Status) {
			f := &s.Groups[0].Families[0]
			s.InSync, f.Failing, f.Lost, f.MissingSince = nil, true, true, ago(20*time.Minute)
		}, Wrong, "Something is wrong; 29 Nov 2026, 11:40 UTC, 20 min ago; No IPv4 address is found any more: . DNS stays as it is. The sources are asked again in 3 min, and at once when the network changes."},
		"nowhere": {func(s *status.Status, _ *report.Status) {
			s.InSync = new(false)
			s.Clients = []status.ClientStatus{{Name: "home", Hosts: []status.HostStatus{{Name: "a.example.net", State: status.StateFailing, Reason: "no zone of the provider has it"}}}}
		}, Wrong, "Something is wrong; The host a.example.net of the client home is written nowhere: no zone of the provider has it. It is written once there is a zone for it."},
		"cut off": {func(s *status.Status, _ *report.Status) {
			s.Cluster = &status.ClusterStatus{Instance: "one", CutOff: "the storage does not answer", Instances: []status.InstanceStatus{{Name: "one"}}}
		}, Wrong, "Something is wrong; This instance is cut off from the others, and writes nothing: the storage does not answer. It goes on by itself once the storage answers."},
		"no zone": {func(s *status.Status, _ *report.Status) {
			s.InSync, s.Zones = new(false), nil
			s.Groups[0].WithoutZone = []status.NameStatus{
				{Name: "home.example.org", State: status.StateFailing, Reason: "the token lists no zones"},
				{Name: "new.example.org", State: status.StatePending}, {Name: "site.example.org", State: status.StateLeftAlone},
			}
		}, Wrong, "Something is wrong; home.example.org is in no zone that is known of cloudflare: the token lists no zones. " +
			"It is written once there is a zone for it."},
		"many in no zone": {func(s *status.Status, _ *report.Status) {
			s.InSync, s.Zones = new(false), nil
			for range 300 {
				s.Groups[0].WithoutZone = append(s.Groups[0].WithoutZone, status.NameStatus{Name: "home.example.org", State: status.StateFailing})
			}
		}, Wrong, "6 things are wrong; " + strings.Repeat("home.example.org is in no zone that is known of cloudflare: . It is written once there is a zone for it.; ", 5) +
			"295 more names in no zone that is known: . They are written once there is a zone for them."},
		"not served": {func(_ *status.Status, r *report.Status) {
			r.Zones = []report.ZoneStatus{{Name: "dyn.example.com.", Error: "the storage does not answer"}}
		}, Wrong, "Something is wrong; The name server does not answer for dyn.example.com: the storage does not answer. It is tried again until it can be read."},
		"not delegated": {func(_ *status.Status, r *report.Status) {
			r.Zones = []report.ZoneStatus{{Name: "dyn.example.com.", Served: true, Delegation: &report.DelegationStatus{
				Checked: ago(time.Hour), Delegation: &report.Delegation{Parent: "example.com.", Write: []string{"dyn IN NS ns1"}},
			}}}
		}, Wrong, "Something is wrong; The zone example.com does not delegate dyn.example.com to this name server as it should: . The servers of the parent zone are asked again every day, and at once by the command: caddy nameserver delegation [dyn IN NS ns1]"},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := home(), new(report.Status)
			test.change(s, server)
			if len(server.Zones) == 0 {
				server = nil
			}
			p := New(s, server, now)
			said := []string{p.Headline}
			if p.Since != nil {
				said = append(said, p.Since.Exact+", "+p.Since.Distance)
			}
			if p.More != "" {
				said = append(said, p.More)
			}
			for i, problem := range p.Problems {
				text := fmt.Sprintf("%s: %s. %s", problem.What, problem.Why, problem.Next)
				if len(problem.Write) > 0 {
					text += fmt.Sprint(" ", problem.Write)
				}
				said = append(said, strings.Replace(text, "www"+strconv.Itoa(i)+".example.com A", map[bool]string{true: "wwwN.example.com A", false: "www0.example.com A"}[len(p.Problems) > 1], 1))
			}
			if got := strings.Join(said, "; "); got != test.want || p.Mood != test.mood {
				t.Errorf("%s: %s\nwant %s: %s", p.Mood, got, test.mood, test.want)
			}
		})
	}
	if p := New(nil, nil, now); p.Mood != None || p.Headline != "Nothing is configured" {
		t.Errorf("without a status: %+v", p.Verdict)
	}
}

// TestMany: what is fine and much is folded away, what is not is seen.
func TestMany(t *testing.T) {
	s := home()
	z := &s.Zones[0]
	for i := range 500 {
		r := z.Records[0]
		r.Name = fmt.Sprintf("www%d", i)
		if i%100 == 50 {
			r.State, r.Observed = status.StateFailing, addrs("203.0.113.6")
		}
		if i == 7 {
			r.HostIDs = []string{"::7"}
		}
		z.Records = append(z.Records, r)
	}
	p := New(s, nil, now)
	if shown := p.Zones[0]; len(shown.Open) != 5 || len(shown.Folded) != 495 || len(p.Devices) != 1 {
		t.Errorf("%d open, %d folded, %d devices", len(shown.Open), len(shown.Folded), len(p.Devices))
	}
	if r := p.Zones[0].Open[0]; r.State != (State{"failing", bad}) || fmt.Sprint(r.Observed, r.Desired) != "[203.0.113.6] [203.0.113.7]" {
		t.Errorf("%+v", r)
	}
}

// TestPicture: bars last as long as what they show, and nothing is outside of
// the picture.
func TestPicture(t *testing.T) {
	s := home()
	s.Timeline = []status.Event{
		{Time: ago(10 * time.Hour), Name: status.EventUpdateFailed, Zone: "example.net", Provider: "p"},
		{Time: ago(20 * time.Hour), Name: status.EventRecovered, Zone: "example.com", Provider: "p"},
		{Time: ago(30 * time.Hour), Name: status.EventUpdateFailed, Zone: "example.com", Provider: "p"},
		{Time: ago(40 * time.Hour), Name: status.EventRecordsChanged, Zone: "example.com", Changes: make([]status.Change, 2), More: 3},
		{Time: ago(50 * time.Hour), Name: status.EventAddressFound, Family: "ipv4", To: addrs("203.0.113.9")},
		{Time: ago(60 * time.Hour), Name: status.EventAddressLost, Family: "ipv4", From: addrs("203.0.113.8")},
		{Time: ago(80 * time.Hour), Name: status.EventAddressChanged, Family: "ipv4", From: addrs("203.0.113.7"), To: addrs("203.0.113.8")},
		{Time: ago(100 * time.Hour), Name: status.EventStarted},
	}
	p := New(s, nil, now).Picture
	var lanes []string
	for _, lane := range p.Lanes {
		text := lane.Name + ":"
		for _, bar := range lane.Bars {
			text += fmt.Sprintf(" [%s %s %s, %s]", bar.X, bar.Width, bar.Class, bar.Title)
		}
		for _, dot := range lane.Dots {
			text += fmt.Sprintf(" (%s %s)", dot.X, dot.Title)
		}
		lanes = append(lanes, text)
	}
	want := `IPv4: [0.00% 20.00% address, IPv4 203.0.113.7] [20.00% 20.00% address other, IPv4 203.0.113.8] [40.00% 10.00% trouble, no IPv4 address found] [50.00% 50.00% address other, IPv4 203.0.113.9]
DNS changes: (60.00% 5 records of example.com changed, 27 Nov 2026, 20:00 UTC)
Trouble: [70.00% 10.00% trouble, example.com at p could not be updated] [90.00% 0.40% trouble, example.net at p could not be updated]`
	if got := strings.Join(lanes, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Whatever the distance, the axis has some marks and not too many.
	for span := time.Second; span < 9*365*24*time.Hour; span = span * 17 / 10 {
		s.Timeline = []status.Event{{Time: ago(span), Name: status.EventRecordsChanged}}
		p := New(s, nil, now).Picture
		if n := len(p.Ticks); n > mostTicks || n == 0 && span > time.Hour && span < 5*365*24*time.Hour {
			t.Errorf("%s: %d marks: %v", span, n, p.Ticks)
		}
		for _, x := range append([]string{p.Lanes[0].Bars[0].X, p.Lanes[1].Dots[0].X}, p.Lanes[0].Bars[0].Width) {
			if n, err := strconv.ParseFloat(strings.TrimSuffix(x, "%"), 64); err != nil || n < 0 || n > 100 {
				t.Errorf("%s: %s", span, x)
			}
		}
	}
	s.Timeline = nil
	if New(s, nil, now).Picture != nil {
		t.Error("a picture of nothing")
	}
}

// TestDistances: durations are read as people say them.
func TestDistances(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "just now", -9 * time.Second: "just now", -10 * time.Second: "10 s ago", time.Millisecond: "in 1 s", time.Minute: "in 1 min",
		-119 * time.Minute: "1 h ago", -47 * time.Hour: "47 h ago", -49 * time.Hour: "2 days ago", 400 * 24 * time.Hour: "in 400 days",
	} {
		if got := distance(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
