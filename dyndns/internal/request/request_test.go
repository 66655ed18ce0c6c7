package request

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// client is where the requests of the tests come from.
const client = "203.0.113.200"

// testRules let the addresses of documentation be published.
func testRules(t testing.TB) *Rules {
	filter, err := ipaddr.NewFilter([]string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"}, []string{"192.0.2.66/32", "2001:db8:66::/48"})
	if err != nil {
		t.Fatal(err)
	}
	return &Rules{PrefixLength: 64, Filter: filter}
}

// known are the hosts of the tests: box and the others have addresses on
// record, new has none, and nas and tv are devices.
func known(t testing.TB, name string) Host {
	h := Host{Name: name}
	switch name {
	case "new.example.com":
	case "nas.example.com":
		h.IDs = ids(t, "::1234")
	case "tv.example.com":
		h.IDs = ids(t, "::5", "0:0:0:2::6")
	default:
		h.Desired = [ipaddr.Families][]netip.Addr{
			{netip.MustParseAddr("192.0.2.99")},
			{netip.MustParseAddr("2001:db8:0:103::99")},
		}
	}
	return h
}

func ids(t testing.TB, texts ...string) (ids []ipaddr.HostID) {
	for _, text := range texts {
		id, err := ipaddr.ParseHostID(text, 56)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// outcome makes a request and shows what becomes of the hosts, each as what
// is desired of its families, if that changes, and in brackets what stands
// behind the word of the answer.
func outcome(t testing.TB, r *http.Request, rules *Rules, from netip.Addr) string {
	params, err := Read(r)
	if err != nil {
		return shown(t, err)
	}
	req, err := Parse(params)
	if err != nil {
		return shown(t, err)
	}
	hosts := req.Hosts
	if len(hosts) == 0 {
		hosts = []string{"default.example.com"}
	}
	var all []Host
	for _, name := range hosts {
		all = append(all, known(t, name))
	}
	outcomes, err := req.Resolve(all, rules, from)
	if err != nil {
		return shown(t, err)
	}
	var lines []string
	for _, o := range outcomes {
		label, _, _ := strings.Cut(o.Host, ".")
		line := label + ":"
		for family, state := range o.States {
			switch state {
			case plan.None:
				line += fmt.Sprintf(" %s none", ipaddr.Family(family).RRType())
			case plan.Set:
				line += fmt.Sprintf(" %s %s", ipaddr.Family(family).RRType(), commas(o.Desired[family]))
			}
		}
		lines = append(lines, line+" ["+commas(o.Gave)+"]")
	}
	return strings.Join(lines, "; ")
}

func commas(addrs []netip.Addr) string {
	var s []string
	for _, addr := range addrs {
		s = append(s, addr.String())
	}
	return strings.Join(s, ",")
}

func shown(t testing.TB, err error) string {
	var e *reply.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no answer", err)
	}
	return fmt.Sprintf("%d %s", e.Status, e.Word)
}

func get(query string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/nic/update?"+query, nil)
}

// TestHosts: which hosts a request names, and in which order they are answered.
func TestHosts(t *testing.T) {
	twenty := make([]string, MaxHosts)
	for i := range twenty {
		twenty[i] = fmt.Sprintf("h%d.example.com", i)
	}
	var all []string
	for _, host := range twenty {
		all = append(all, host[:strings.Index(host, ".")]+": A 192.0.2.1 [192.0.2.1]")
	}
	for _, tc := range []struct{ query, want string }{
		{"hostname=box.example.com&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"host=box.example.com&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"host_id=box.example.com&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"domain=box.example.com&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=b.example.com,a.example.com&myip=192.0.2.1", "b: A 192.0.2.1 [192.0.2.1]; a: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=b.example.com,%20a.example.com&host=c.example.com&myip=192.0.2.1", "b: A 192.0.2.1 [192.0.2.1]; a: A 192.0.2.1 [192.0.2.1]; c: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=BOX.Example.com.&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=b%C3%BCro.example.com&myip=192.0.2.1", "xn--bro-hoa: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=*.example.com&myip=192.0.2.1", "*: A 192.0.2.1 [192.0.2.1]"},

		// The same host twice: once.
		{"hostname=a.example.com,A.example.com&domain=a.example.com&myip=192.0.2.1", "a: A 192.0.2.1 [192.0.2.1]"},

		// No host named.
		{"myip=192.0.2.1", "default: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=&myip=192.0.2.1", "default: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=YES&host_id=box.example.com&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"host_id=&hostname=yes&myip=192.0.2.1", "default: A 192.0.2.1 [192.0.2.1]"},
		{"hostname=YES&myip=192.0.2.1", "400 notfqdn"},

		// No full name.
		{"hostname=box&myip=192.0.2.1", "400 notfqdn"},
		{"hostname=box.example.com,&myip=192.0.2.1", "400 notfqdn"},
		{"hostname=box..example.com&myip=192.0.2.1", "400 notfqdn"},
		{"hostname=https://box.example.com/&myip=192.0.2.1", "400 notfqdn"},
		{"hostname=192.0.2.1&myip=192.0.2.1", "400 notfqdn"},
		{"hostname=box.*.example.com&myip=192.0.2.1", "400 notfqdn"},
		{"myipv6:box=2001:db8::1", "400 notfqdn"},
		{"myipv6:=2001:db8::1", "400 notfqdn"},

		// Many.
		{"hostname=" + strings.Join(twenty, ",") + "&myip=192.0.2.1", strings.Join(all, "; ")},
		{"hostname=" + strings.Join(twenty, ",") + ",h0.example.com&myip=192.0.2.1", strings.Join(all, "; ")},
		{"hostname=" + strings.Join(twenty, ",") + ",one.example.com&myip=192.0.2.1", "400 numhost"},
		{"hostname=" + strings.Join(twenty, ",") + "&myipv4:one.example.com=192.0.2.1", "400 numhost"},
	} {
		if got := outcome(t, get(tc.query), testRules(t), netip.MustParseAddr(client)); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.query, got, tc.want)
		}
	}
}

// TestOverridesNameHosts: hosts of hostname come first, also where they are
// sent later.
func TestOverridesNameHosts(t *testing.T) {
	params, err := Read(get("myipv6:b.example.com,a.example.com=2001:db8::1&hostname=c.example.com,a.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := Parse(params)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(req.Hosts, " "), "c.example.com a.example.com b.example.com"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAddresses: what a request asks of a host's families.
func TestAddresses(t *testing.T) {
	var sixteen []string
	for i := range MaxAddrs {
		sixteen = append(sixteen, fmt.Sprintf("192.0.2.%d", i+1))
	}
	list := strings.Join(sixteen, ",")
	for _, tc := range []struct{ query, want string }{
		// The parameters of each family.
		{"myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"ip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myipv4=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"ipv4=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"ipaddr=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ip=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myipv6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ipv6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myip6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ip6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ip6addr=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},

		// Lists, both families in one, in the order sent.
		{"myip=192.0.2.1,2001:db8::1", "box: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]"},
		{"myip=2001:db8::1,192.0.2.1", "box: A 192.0.2.1 AAAA 2001:db8::1 [2001:db8::1,192.0.2.1]"},
		{"myip=192.0.2.2,%202001:db8::1%20,%20192.0.2.1", "box: A 192.0.2.1,192.0.2.2 AAAA 2001:db8::1 [192.0.2.2,2001:db8::1,192.0.2.1]"},
		{"myipv6=2001:db8::2,2001:db8::1&myipv4=192.0.2.1", "box: A 192.0.2.1 AAAA 2001:db8::1,2001:db8::2 [2001:db8::2,2001:db8::1,192.0.2.1]"},
		{"myip=192.0.2.1&myip=2001:db8::1", "box: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]"},
		{"myip=192.0.2.1,192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=" + list, "box: A 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8,192.0.2.9,192.0.2.10,192.0.2.11,192.0.2.12,192.0.2.13,192.0.2.14,192.0.2.15,192.0.2.16 [" + list + "]"},
		{"myip=" + list + ",2001:db8::1", "400 dnserr"},
		{"myip=" + list + "&ip6lanprefix=2001:db8::/64", "400 dnserr"},
		{"myip=" + list + "&myipv6:box.example.com=2001:db8::1", "400 dnserr"},

		// Canonical form.
		{"myip=2001:DB8:0:0::01", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myip=::ffff:192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=2001%3Adb8%3A%3A1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myip=192.0.2.1/32", "box: A 192.0.2.1 [192.0.2.1]"},

		// The first parameter in order that says anything of a family.
		{"myipv4=192.0.2.2&myip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"ip=192.0.2.2&myipv4=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"ipaddr=192.0.2.2&ip=192.0.2.1", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=2001:db8::2&myipv4=192.0.2.1&ip=192.0.2.2", "box: A 192.0.2.1 AAAA 2001:db8::2 [2001:db8::2,192.0.2.1]"},
		{"myip=2001:db8::2&myipv6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ip=2001:db8::2&myip=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myip=2001:db8::2&ip6addr=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"ip6addr=2001:db8::2&ipv6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},

		// Preserve.
		{"myip=192.0.2.1&myipv6=preserve", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=192.0.2.1,2001:db8::1&myipv6=preserve", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=PRESERVE&myipv6=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myip=preserve", "box: []"},
		{"myip=192.0.2.1,preserve", "400 dnserr"},
		{"myipv6=preserve,2001:db8::1", "400 dnserr"},

		// No address at all: the client's.
		{"", "box: A 203.0.113.200 [203.0.113.200]"},
		{"myip=", "box: A 203.0.113.200 [203.0.113.200]"},
		{"ip=&myip=%20&ip6lanprefix=", "box: A 203.0.113.200 [203.0.113.200]"},
		{"system=dyndns&wildcard=NOCHG&mx=&backmx=NO&url=http://x&address=192.0.2.1", "box: A 203.0.113.200 [203.0.113.200]"},

		// An empty parameter of one family takes that family away.
		{"myipv6=", "box: AAAA none []"},
		{"myipv4=", "box: A none []"},
		{"ipaddr=192.0.2.1&ip6addr=", "box: A 192.0.2.1 AAAA none [192.0.2.1]"},
		{"ipaddr=&ip6addr=2001:db8::1", "box: A none AAAA 2001:db8::1 [2001:db8::1]"},
		{"ipaddr=&ip6addr=", "box: A none AAAA none []"},
		{"ipv4=&ipv6=", "box: A none AAAA none []"},
		{"ip6=", "box: AAAA none []"},
		{"myip6=", "box: AAAA none []"},
		{"myip=192.0.2.1&myipv4=", "box: A 192.0.2.1 [192.0.2.1]"},
		{"myip=192.0.2.1,2001:db8::1&myipv6=", "box: A 192.0.2.1 AAAA none [192.0.2.1]"},
		{"myip=&myipv6=", "box: AAAA none []"},

		// Malformed or refused, also beside good ones and where another decides.
		{"myip=192.0.2.1,", "400 dnserr"},
		{"myip=,192.0.2.1", "400 dnserr"},
		{"myip=,", "400 dnserr"},
		{"myip=192.0.2.1,,2001:db8::1", "400 dnserr"},
		{"myip=192.0.2", "400 dnserr"},
		{"myip=192.0.2.01", "400 dnserr"},
		{"myip=%25i", "400 dnserr"},
		{"myip=<ipaddr>", "400 dnserr"},
		{"myip=192.0.2.1box.example.com", "400 dnserr"},
		{"myip=192.0.2.1,nonsense", "400 dnserr"},
		{"myip=192.0.2.1&ipaddr=nonsense", "400 dnserr"},
		{"myip=fe80::1%25eth0", "400 dnserr"},
		{"myip=[2001:db8::1]", "400 dnserr"},
		{"myip=192.168.1.1", "400 dnserr"},
		{"myip=192.0.2.66", "400 dnserr"},
		{"myip=192.0.2.1,10.0.0.1", "400 dnserr"},
		{"myipv4=2001:db8::1", "400 dnserr"},
		{"ip6addr=192.0.2.1", "400 dnserr"},
		{"ip6addr=::ffff:192.0.2.1", "400 dnserr"},

		// For some hosts alone; the later wins.
		{"myip=192.0.2.1&myipv6:box.example.com=2001:db8::1", "box: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]"},
		{"myip=192.0.2.1,2001:db8::2&myipv6:box.example.com=2001:db8::1", "box: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]"},
		{"myipv6:box.example.com=2001:db8::1&myipv6:Box.Example.com=2001:db8::2", "box: AAAA 2001:db8::2 [2001:db8::2]"},
		{"myipv6:box.example.com=2001:db8::1&myipv6:box.example.com=", "box: AAAA none []"},
		{"myip=192.0.2.1&myipv4:box.example.com=", "box: A none []"},
		{"myip=192.0.2.1&myipv4:box.example.com=preserve", "box: []"},
		{"myip=192.0.2.1&myipv4:other.example.com=192.0.2.2", "box: A 192.0.2.1 [192.0.2.1]; other: A 192.0.2.2 [192.0.2.2]"},
		{"myipv4:a.example.com,box.example.com=192.0.2.2", "box: A 192.0.2.2 [192.0.2.2]; a: A 192.0.2.2 [192.0.2.2]"},
		{"myipv6:a.example.com=2001:db8::1", "box: []; a: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myipv6%3Abox.example.com=2001:db8::1", "box: AAAA 2001:db8::1 [2001:db8::1]"},
		{"myipv6:box.example.com=192.0.2.1", "400 dnserr"},
		{"myipv4:box.example.com=nonsense", "400 dnserr"},
	} {
		query := "hostname=box.example.com&" + tc.query
		if got := outcome(t, get(query), testRules(t), netip.MustParseAddr(client)); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", query, got, tc.want)
		}
	}
}

// TestClientAddress: it counts where none is named, and passes the filter.
func TestClientAddress(t *testing.T) {
	for _, tc := range []struct{ query, client, want string }{
		{"", "203.0.113.200", "default: A 203.0.113.200 [203.0.113.200]"},
		{"", "::ffff:203.0.113.200", "default: A 203.0.113.200 [203.0.113.200]"},
		{"", "2001:db8::200", "default: AAAA 2001:db8::200 [2001:db8::200]"},
		{"hostname=nas.example.com", "2001:db8:0:7::200", "nas: AAAA 2001:db8:0:7::1234 [2001:db8:0:7::1234]"},
		{"hostname=nas.example.com", "203.0.113.200", "nas: A 203.0.113.200 [203.0.113.200]"},
		{"", "192.168.1.2", "400 dnserr"},
		{"", "fe80::1%eth0", "400 dnserr"},
		// A proxy that names no client.
		{"", "", "400 dnserr"},
		{"myip=192.0.2.1", "", "default: A 192.0.2.1 [192.0.2.1]"},
		{"myipv6=", "", "default: AAAA none []"},
	} {
		from, _ := netip.ParseAddr(tc.client)
		if got := outcome(t, get(tc.query), testRules(t), from); got != tc.want {
			t.Errorf("%s from %s\n got %s\nwant %s", tc.query, tc.client, got, tc.want)
		}
	}
}

func TestOffline(t *testing.T) {
	for _, query := range []string{"offline=YES", "offline=yes&myip=192.0.2.1&ip6lanprefix=2001:db8::/64"} {
		if got, want := outcome(t, get(query), testRules(t), netip.Addr{}), "400 dnserr"; got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
		rules := testRules(t)
		rules.AllowOffline = true
		if got, want := outcome(t, get(query), rules, netip.Addr{}), "default: A none AAAA none []"; got != want {
			t.Errorf("%s, allowed: got %s, want %s", query, got, want)
		}
	}
	if got, want := outcome(t, get("offline=NO&myip=192.0.2.1"), testRules(t), netip.Addr{}), "default: A 192.0.2.1 [192.0.2.1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
