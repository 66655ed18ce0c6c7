package nameserver

import (
	"net/netip"
	"slices"
)

// transferPolicy says who may fetch a zone, and who is told of changes.
type transferPolicy struct {
	networks []netip.Prefix
	keys     []string // canonical names
	notify   []secondary
}

func (p *transferPolicy) allows(client netip.Addr, key string) bool {
	return p != nil && (key != "" && slices.Contains(p.keys, key) ||
		slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(client) }))
}

// secondary is a name server that is told of changes.
type secondary struct {
	addr string // host:port
	key  string // signs what it is told; "" for none
}
