package request

import (
	"net/netip"
	"testing"
)

// BenchmarkRequest: from a request as a FRITZ!Box sends it to what becomes of
// two hosts.
func BenchmarkRequest(b *testing.B) {
	r := get("hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=2001:db8:0:1::1&ip6lanprefix=2001:db8:0:2::/64&dualstack=1")
	rules := testRules(b)
	hosts := []Host{known(b, "box.example.com"), known(b, "nas.example.com")}
	from := netip.MustParseAddr(client)
	b.ReportAllocs()
	for b.Loop() {
		params, err := Read(r)
		if err != nil {
			b.Fatal(err)
		}
		req, err := Parse(params)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := req.Resolve(hosts, rules, from); err != nil {
			b.Fatal(err)
		}
	}
}
