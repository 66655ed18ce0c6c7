package auth

import (
	"fmt"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

// Hosts are the hosts that a user may update.
type Hosts struct {
	// Exact are full names in lower-case ASCII without a trailing dot, and
	// wildcard records.
	Exact []string
	// Parents are names any one label below which is a host of the user's,
	// but neither they themselves nor a wildcard record.
	Parents []string

	exact, parents map[string]struct{}
}

// ParseHosts parses full names, and "*.x" for any one label below x. A
// wildcard record is written as itself in quotes, which belong to the string:
// `"*.x"`.
func ParseHosts(names []string) (*Hosts, error) {
	h := &Hosts{exact: make(map[string]struct{}), parents: make(map[string]struct{})}
	for _, name := range names {
		unquoted, wildcard := name, false
		if len(name) > 1 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
			unquoted, wildcard = name[1:len(name)-1], true
		}
		host, err := dnsname.Host(unquoted)
		if err != nil {
			return nil, err
		}
		parent, below := strings.CutPrefix(host, "*.")
		switch {
		case !strings.Contains(host, "."):
			return nil, fmt.Errorf(`host %q is no full name; write it with its zone, such as "%s.example.com"`, host, host)
		case below && !wildcard:
			h.Parents = add(h.Parents, h.parents, parent)
		default:
			h.Exact = add(h.Exact, h.exact, host)
		}
	}
	return h, nil
}

func add(names []string, known map[string]struct{}, name string) []string {
	if _, ok := known[name]; ok {
		return names
	}
	known[name] = struct{}{}
	return append(names, name)
}

// Has reports whether the user may update the host.
func (h *Hosts) Has(host string) bool {
	if _, ok := h.exact[host]; ok {
		return true
	}
	label, parent, _ := strings.Cut(host, ".")
	_, ok := h.parents[parent]
	return ok && label != "*"
}
