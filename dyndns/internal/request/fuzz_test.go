package request

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// FuzzRequest: whatever is sent, it is an answer of the protocol, or names and
// addresses that may be published.
func FuzzRequest(f *testing.F) {
	for _, query := range []string{
		"hostname=box.example.com&myip=192.0.2.1,2001:db8::1",
		"hostname=nas.example.com,tv.example.com,new.example.com&ipaddr=&ip6addr=2001:db8::1&ip6lanprefix=2001:db8:1:200::/56",
		"myipv6:box.example.com,nas.example.com=2001:db8::/64&myipv4:tv.example.com=preserve&ip=192.0.2.0/24",
		"hostname=YES&host_id=a.example.com&offline=YES",
		"myip=::ffff:192.0.2.1&ip=preserve&myipv6=",
		"hostname=%zz&myip=%",
		"myip=::ffff:0:0/90",
	} {
		f.Add(query, "")
		f.Add("", query)
	}
	rules := testRules(f)
	rules.AllowOffline = true
	from := netip.MustParseAddr(client)
	f.Fuzz(func(t *testing.T, query, form string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.URL.RawQuery = query
		params, err := Read(r)
		if err != nil {
			checkError(t, err)
			return
		}
		params.Credentials()
		req, err := Parse(params)
		if err != nil {
			checkError(t, err)
			return
		}
		if len(req.Hosts) > MaxHosts {
			t.Fatalf("%d hosts", len(req.Hosts))
		}
		var hosts []Host
		for i, name := range req.Hosts {
			if again, err := dnsname.Host(name); err != nil || again != name || !strings.Contains(name, ".") || slices.Contains(req.Hosts[:i], name) {
				t.Fatalf("host %q: %q, %v", name, again, err)
			}
			hosts = append(hosts, known(t, name))
		}
		hosts = append(hosts, known(t, "box.example.com"), known(t, "tv.example.com"), known(t, "new.example.com"))
		for _, host := range hosts {
			outcomes, err := req.Resolve([]Host{host}, rules, from)
			if err != nil {
				checkError(t, err)
				continue
			}
			checkOutcome(t, &outcomes[0], rules)
		}
	})
}

func checkError(t *testing.T, err error) {
	var e *reply.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no answer", err)
	}
	if e.Status < 400 || e.Status > 499 || e.Status == http.StatusTooManyRequests || e.Reason == "" ||
		!slices.Contains([]reply.Word{reply.NotFQDN, reply.NumHost, reply.DNSError}, e.Word) {
		t.Fatalf("answers %d %s: %s", e.Status, e.Word, e.Reason)
	}
}

func checkOutcome(t *testing.T, o *Outcome, rules *Rules) {
	var all []netip.Addr
	for family, addrs := range o.Desired {
		if (o.States[family] == plan.Set) != (len(addrs) > 0) {
			t.Fatalf("%s: state %d with %v", o.Host, o.States[family], addrs)
		}
		if !slices.Equal(ipaddr.Sort(addrs), addrs) {
			t.Fatalf("%s: not sorted: %v", o.Host, addrs)
		}
		for _, addr := range addrs {
			if reason := rules.Filter.Refuse(addr, false); reason != "" || ipaddr.FamilyOf(addr) != ipaddr.Family(family) {
				t.Fatalf("%s: %s %s", o.Host, addr, reason)
			}
		}
		all = append(all, addrs...)
	}
	if len(o.Gave) != len(all) || !slices.Equal(ipaddr.Sort(o.Gave), ipaddr.Sort(all)) {
		t.Fatalf("%s: gave %v of %v", o.Host, o.Gave, all)
	}
}
