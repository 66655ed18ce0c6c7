package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// Providers loads DNS providers, each distinct configuration once.
type Providers struct {
	ctx      caddy.Context
	pooled   *Pooled
	observer provider.Observer
	loaded   map[string]*provider.Provider
}

// NewProviders returns a loader for one configuration.
func NewProviders(ctx caddy.Context, pooled *Pooled, observer provider.Observer) *Providers {
	return &Providers{ctx: ctx, pooled: pooled, observer: observer, loaded: make(map[string]*provider.Provider)}
}

// Load returns the provider, and the fingerprint of its configuration.
func (p *Providers) Load(raw json.RawMessage) (*provider.Provider, string, error) {
	key := Fingerprint(slices.Concat(Resolve(raw), storagePath(p.ctx.Storage())))
	if loaded, ok := p.loaded[key]; ok {
		return loaded, key, nil
	}
	name, redact := InlineKey(raw, "name"), Redactor(raw)
	if name == "" {
		return nil, "", errors.New("the provider is not named; write its name beside its settings, as in `\"dns_provider\": {\"name\": \"cloudflare\", \"api_token\": \"{env.CLOUDFLARE_API_TOKEN}\"}`")
	}
	if err := Lacking("dns.providers", name); err != nil {
		return nil, "", err
	}
	one := struct {
		Raw json.RawMessage `caddy:"namespace=dns.providers inline_key=name"`
	}{raw}
	module, err := p.ctx.LoadModule(&one, "Raw")
	if err != nil {
		return nil, "", errors.New(redact(err.Error()))
	}
	owner := key
	if id := provider.Account(module); id != "" {
		owner = Fingerprint([]byte(name + " " + id))
	}
	shared, err := p.pooled.Hold(Key{Kind: "account", Config: owner}, func() caddy.Destructor {
		return &account{slots: provider.NewSlots()}
	})
	if err != nil {
		return nil, "", err
	}
	loaded, err := provider.New(name, module, shared.(*account).slots, redact, p.observer, p.ctx.Logger())
	if err != nil {
		return nil, "", err
	}
	p.loaded[key] = loaded
	return loaded, key, nil
}

// Lacking says what to do about a module that this build of Caddy does not have,
// or nothing about one that it has. args are what follows its name.
func Lacking(namespace, name string, args ...string) error {
	if _, err := caddy.GetModule(namespace + "." + name); err == nil {
		return nil
	}
	var known []string
	for _, info := range caddy.GetModules(namespace) {
		known = append(known, info.ID.Name())
	}
	if namespace == "dns.providers" {
		return errors.New(advice.Provider(name, known))
	}
	return errors.New(advice.Source(name, args, known))
}

// StorageKey tells storages apart, as far as that can be done.
func StorageKey(storage certmagic.Storage) string {
	return fmt.Sprintf("%T %s", storage, storagePath(storage))
}

// storagePath returns where Caddy's storage is. A provider may keep its zones
// there, and they are other zones in another storage.
func storagePath(storage certmagic.Storage) []byte {
	if files, ok := storage.(*certmagic.FileStorage); ok {
		return []byte(files.Path)
	}
	return nil
}
