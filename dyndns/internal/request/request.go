// Package request reads what a client of the DynDNS2 protocol asks for, and
// decides what becomes of each host. It is pure.
//
// There is no standard. What is read is the union of what clients send; where
// they differ, the order of precedence is deSEC's.
package request

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	// MaxHosts is how many hosts one request may name.
	MaxHosts = 20
	// MaxAddrs is how many addresses and prefixes it may send for one.
	MaxAddrs = 16
)

// Request is what a client asks for.
type Request struct {
	// Hosts are those that are named, in lower-case ASCII without a trailing
	// dot, each once and in the order sent. There is none if the client
	// leaves it to the server.
	Hosts []string
	// Offline asks that all addresses be removed.
	Offline bool

	all       [ipaddr.Families]asked
	overrides map[string]*[ipaddr.Families]asked
	// prefixes are what other machines than the client are in.
	prefixes []item
	// addressed is set where any parameter names an address, or that there
	// is none.
	addressed bool
}

// Parse reads what the parameters ask for. The error is a [*reply.Error].
func Parse(params Params) (*Request, error) {
	r := new(Request)
	if err := r.parseHosts(params); err != nil {
		return nil, err
	}
	if err := r.parseAddrs(params); err != nil {
		return nil, err
	}
	return r, nil
}

// hostParams name hosts.
var hostParams = []string{"hostname", "host", "host_id", "domain"}

func (r *Request) parseHosts(params Params) error {
	_, hasID := params.first("host_id")
	for _, p := range params {
		list := strings.TrimSpace(p.value)
		if !slices.Contains(hostParams, p.name) || list == "" {
			continue
		}
		if p.name == "hostname" && hasID && strings.EqualFold(list, "YES") {
			continue
		}
		if _, err := r.name(list); err != nil {
			return err
		}
	}
	return nil
}

// name adds the hosts of a list to those that the request names, and returns
// them.
func (r *Request) name(list string) ([]string, error) {
	var hosts []string
	for s := range strings.SplitSeq(list, ",") {
		host, err := dnsname.Host(strings.TrimSpace(s))
		if err != nil {
			return nil, reply.Refuse(http.StatusBadRequest, reply.NotFQDN, "%v", err)
		}
		if !strings.Contains(host, ".") {
			return nil, reply.Refuse(http.StatusBadRequest, reply.NotFQDN, "host %q is no full name", host)
		}
		hosts = append(hosts, host)
		if slices.Contains(r.Hosts, host) {
			continue
		}
		if len(r.Hosts) == MaxHosts {
			return nil, reply.Refuse(http.StatusBadRequest, reply.NumHost, "more than %d hosts", MaxHosts)
		}
		r.Hosts = append(r.Hosts, host)
	}
	return hosts, nil
}
