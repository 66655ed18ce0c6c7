package plan

import (
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

func TestObstacles(t *testing.T) {
	o := Obstacles{
		CNAMEs: map[string]string{"alias": "x.example.net."},
		Cuts: map[string]Cut{
			"sub":     {Owner: "sub.example.com", Targets: []string{"ns1.sub", "ns.example.net."}},
			"old":     {Owner: "old.example.com", DNAME: true, Targets: []string{"new.example.net."}},
			"self":    {Owner: "self.example.com", Targets: []string{"self"}},
			"deep.er": {Owner: "deep.er.example.com", Targets: []string{"ns.example.net."}},
		},
		Held: map[Key]string{{"held", ipaddr.V4}: "something is there"},
	}
	apex := Obstacles{Cuts: map[string]Cut{"@": {Owner: "example.com", DNAME: true}}}
	const (
		delegation = "hidden by the delegation of "
		dname      = "hidden by the DNAME record of "
	)
	for _, test := range []struct {
		o    *Obstacles
		name string
		want string // the beginning; none if empty
	}{
		{&o, "@", ""},
		{&o, "www", ""},
		{&o, "sub", delegation + "sub.example.com"},
		{&o, "www.sub", delegation + "sub.example.com"},
		{&o, "*.sub", delegation + "sub.example.com"},
		{&o, "a.b.sub", delegation + "sub.example.com"},
		{&o, "notsub", ""},
		{&o, "sub.www", ""},
		{&o, "ns1.sub", ""}, // glue
		{&o, "self", ""},    // glue too
		{&o, "www.self", delegation + "self.example.com"},
		{&o, "old", ""},
		{&o, "www.old", dname + "old.example.com"},
		{&o, "er", ""},
		{&o, "www.deep.er", delegation + "deep.er.example.com"},
		{&o, "alias", "a CNAME record to x.example.net."},
		{&o, "held", "something is there; delete that"},
		{&apex, "@", ""},
		{&apex, "www", dname + "example.com"},
		{new(Obstacles), "www", ""},
	} {
		got := test.o.At(Key{test.name, ipaddr.V4})
		if got.Reason == "" && test.want != "" || !strings.HasPrefix(got.Reason, test.want) || test.want == "" && got.Reason != "" {
			t.Errorf("%s: %q, want %q", test.name, got.Reason, test.want)
		}
		if got.Theirs != (test.name == "held") {
			t.Errorf("%s is theirs: %t", test.name, got.Theirs)
		}
	}
	if got := o.At(Key{"held", ipaddr.V6}); got.Reason != "" {
		t.Errorf("of the other family: %q", got.Reason)
	}
}
