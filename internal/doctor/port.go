package doctor

import (
	"fmt"
	"strings"
)

// ports says whether the built-in name server has the ports that it needs. What
// is the same over UDP and TCP is said once.
func (j *judge) ports() {
	for i, p := range j.Ports {
		network, address, _ := strings.Cut(p.Listen, "/")
		if i+1 < len(j.Ports) && p.same(&j.Ports[i+1]) {
			continue
		}
		networks := strings.ToUpper(network)
		if i > 0 && p.same(&j.Ports[i-1]) {
			networks = "UDP and TCP"
		}
		j.about = fmt.Sprintf("name server at %s, %s", address, networks)
		j.port(p, address[strings.LastIndex(address, ":")+1:])
	}
}

// same reports whether another port is this one over another protocol, and is
// doing alike.
func (p *Port) same(other *Port) bool {
	_, a, _ := strings.Cut(p.Listen, "/")
	_, b, _ := strings.Cut(other.Listen, "/")
	return a == b && p.Busy == other.Busy && p.Denied == other.Denied && p.Serves == other.Serves && p.Err == "" && other.Err == ""
}

func (j *judge) port(p Port, number string) {
	zones := few(p.Zones)
	switch {
	case p.Serves:
		j.ok("it serves %s", zones)
	case p.Busy:
		advise(j.wrong("the port is in use by another program, so %s is not served", zones),
			"See which it is. Where it is systemd-resolved, switch its stub listener off, or have the name server listen on the public address alone, with that behind the word nameserver:",
			fmt.Sprintf("sudo ss -lnptu 'sport = :%s'", number),
			"sudo mkdir -p /etc/systemd/resolved.conf.d",
			"printf '[Resolve]\\nDNSStubListener=no\\n' | sudo tee /etc/systemd/resolved.conf.d/no-stub.conf",
			"sudo systemctl restart systemd-resolved")
	case p.Denied:
		advise(j.wrong("this user may not listen there, so %s may not be served", zones),
			"Run Caddy by its systemd service, which may, or let the program do so:", "sudo setcap cap_net_bind_service=+ep \"$(command -v caddy)\"")
	case p.Err != "":
		j.wrong("%s", p.Err)
	case j.Running != nil:
		j.wrong("the port is free, so the running Caddy does not serve %s", zones)
	default:
		j.ok("the port is free, for %s", zones)
	}
}
