package doctor

import (
	"fmt"
	"strings"
)

// ports says whether the built-in name server has the ports that it needs.
func (j *judge) ports() {
	for _, p := range j.Ports {
		j.about = "name server at " + p.Listen
		_, port, _ := strings.Cut(p.Listen[strings.LastIndex(p.Listen, "]")+1:], ":")
		switch {
		case p.Serves:
			j.ok("it serves %s", few(p.Zones))
		case p.Busy:
			advise(j.wrong("the port is in use by another program, so %s is not served", few(p.Zones)),
				"See which it is. Where it is systemd-resolved, switch its stub listener off, or listen on the public address alone:",
				fmt.Sprintf("sudo ss -lnptu 'sport = :%s'", port),
				"printf '[Resolve]\\nDNSStubListener=no\\n' | sudo tee /etc/systemd/resolved.conf.d/no-stub.conf && sudo systemctl restart systemd-resolved")
		case p.Denied:
			advise(j.wrong("this user may not listen there, so %s may not be served", few(p.Zones)),
				"Run Caddy by its systemd service, which may, or let the program do so:", "sudo setcap cap_net_bind_service=+ep \"$(command -v caddy)\"")
		case p.Err != "":
			j.wrong("%s", p.Err)
		case j.Running != nil:
			j.wrong("the port is free, so the running Caddy does not serve %s", few(p.Zones))
		default:
			j.ok("the port is free, for %s", few(p.Zones))
		}
	}
}
