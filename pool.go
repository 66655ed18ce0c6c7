package dynamicdns

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// pool holds what outlives a configuration.
var pool = caddy.NewUsagePool()

// poolKey names an entry of the pool: what a set of sources has found, the call
// slots of a provider configuration, or something that exists once.
type poolKey struct {
	kind, config string
}

// account is what all zones of one provider configuration share.
type account struct {
	slots provider.Slots
}

// Destruct implements caddy.Destructor.
func (*account) Destruct() error { return nil }

// pooled are the entries of the pool that a configuration holds.
type pooled struct {
	keys []poolKey
}

// hold takes an entry of the pool, or makes it, until release.
func (p *pooled) hold(key poolKey, make func() caddy.Destructor) (any, error) {
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make(), nil })
	if err == nil {
		p.keys = append(p.keys, key)
	}
	return value, err
}

func (p *pooled) release() {
	for _, key := range p.keys {
		_, _ = pool.Delete(key)
	}
	p.keys = nil
}
