//go:build linux

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// The address of a name server that is in the zone that it serves is kept at
// the parent zone too, so that the zone is found after the address has changed.
func TestExampleGlue(t *testing.T) {
	t.Parallel()
	const parentAddr = "198.51.100.53"
	parent, machine := lab.NewNS(t), lab.NewNS(t)
	lab.Link(machine, "eth0", parent, "lan0")
	parent.AddAddr("lan0", parentAddr+"/32")
	parent.IP("route add default dev lan0")
	machine.AddAddr("eth0", first4+"/32")
	machine.IP("route add " + parentAddr + " dev eth0")

	dir := t.TempDir()
	key := lab.NewTSIGKey(t, "caddy")
	lab.WriteFile(t, filepath.Join(dir, "example.com.zone"), `$TTL 300
@	IN SOA	ns1 hostmaster ( 1 3600 600 86400 60 )
	IN NS	ns1
ns1	IN A	198.51.100.53
home	IN NS	ns1.home
`)
	lab.WriteFile(t, filepath.Join(dir, "named.conf"), key+`
options {
	directory "`+dir+`"; pid-file none; session-keyfile none;
	listen-on { `+parentAddr+`; }; listen-on-v6 { none; };
	recursion no; dnssec-validation no; notify no; check-integrity no;
};
controls { };
zone "example.com" {
	type primary; file "example.com.zone"; allow-transfer { key caddy; };
	update-policy { grant caddy name ns1.home.example.com. A AAAA; };
};
`)
	bind := lab.RunBIND(t, parent, dir, parentAddr+":53", key, "example.com")
	h := &home{t: t, ns: machine, bind: bind}
	h.run("Caddyfile", example(t, "glue/Caddyfile"))

	// found is what a resolver learns: from the parent where the name server
	// is, and from that what it asked for.
	found := func() []string {
		out, err := parent.Run(exec.Command("dig", "@"+parentAddr, "+norecurse", "+noall", "+authority", "+additional", "www.home.example.com", "A"))
		if err != nil {
			return []string{err.Error()}
		}
		var all []string
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) == 5 && f[0] != ";" {
				all = append(all, f[0]+" "+f[3]+" "+f[4])
				if f[3] == "A" {
					answer, _ := parent.Run(exec.Command("dig", "@"+f[4], "+short", "+time=2", "+tries=1", "www.home.example.com", "A"))
					all = append(all, "www "+strings.TrimSpace(answer))
				}
			}
		}
		return all
	}
	want := func(addr string) {
		t.Helper()
		lab.EventuallyEqual(t, soon, "what a resolver finds", found,
			"home.example.com. NS ns1.home.example.com.", "ns1.home.example.com. A "+addr, "www "+addr)
	}
	want(first4)
	machine.IP("addr del "+first4+"/32 dev eth0", "addr add "+second4+"/32 dev eth0", "route replace "+parentAddr+" dev eth0")
	want(second4)
}
