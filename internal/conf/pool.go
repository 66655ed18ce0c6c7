// Package conf loads what several modules of Caddy configure in the same way:
// DNS providers, once each however often they are written, ranges, and what
// outlives a configuration.
package conf

import (
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// Pool holds what outlives a configuration.
var Pool = caddy.NewUsagePool()

// Key names an entry of the pool: what a set of sources has found, the call
// slots of an account, or something that exists once.
type Key struct {
	Kind, Config string
}

// account is what all zones of one account at a provider share.
type account struct {
	slots provider.Slots
}

// Destruct implements caddy.Destructor.
func (*account) Destruct() error { return nil }

// Pooled are the entries of the pool that a configuration holds.
type Pooled struct {
	keys []Key
}

// Hold takes an entry of the pool, or makes it, until Release.
func (p *Pooled) Hold(key Key, make func() caddy.Destructor) (any, error) {
	value, _, err := Pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make(), nil })
	if err == nil {
		p.keys = append(p.keys, key)
	}
	return value, err
}

// Last reports whether nothing else holds an entry that is held.
func (p *Pooled) Last(key Key) bool {
	n, ok := Pool.References(key)
	return ok && n == 1 && slices.Contains(p.keys, key)
}

// Release gives the entries back. It may be called again.
func (p *Pooled) Release() {
	for _, key := range p.keys {
		_, _ = Pool.Delete(key)
	}
	p.keys = nil
}
