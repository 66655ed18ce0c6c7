package conf

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// ledger is an entry of the pool.
type ledger struct{ *zone.Ledger }

// Destruct implements caddy.Destructor.
func (ledger) Destruct() error { return nil }

// Ledgers are what a configuration of one of Caddy's modules has of the ledgers
// of zones. They are those of this machine alone, for others may share the
// storage, or those of all that share zones. The zero value is not ready for
// use; see [NewLedgers].
type Ledgers struct {
	module string
	// together is set if they are those of several instances.
	together bool
	storage  certmagic.Storage
	pooled   Pooled
	held     map[Key]*zone.Ledger
}

// NewLedgers returns the ledgers of a module, of this machine or of all together.
func NewLedgers(module string, together bool, storage certmagic.Storage) *Ledgers {
	return &Ledgers{module: module, together: together, storage: storage, held: make(map[Key]*zone.Ledger)}
}

// Of returns the ledger of a zone, which is the same for all configurations. If
// it is not wanted for its own sake it is nil, unless an older configuration
// has one, with what may have to be withdrawn.
func (l *Ledgers) Of(provider, name string, wanted bool) (*zone.Ledger, error) {
	key := l.key(provider, name, l.together)
	if held, ok := l.held[key]; ok {
		return held, nil
	}
	if n, _ := Pool.References(l.key(provider, name, !l.together)); n > 0 {
		// Who begins to share a zone, or ends to, goes on publishing: nobody is
		// to withdraw anything because of that.
		if _, err := l.hold(provider, name, !l.together); err != nil {
			return nil, err
		}
	}
	if n, _ := Pool.References(key); n == 0 && !wanted {
		return nil, nil
	}
	shared, err := l.hold(provider, name, l.together)
	if err == nil {
		l.held[key] = shared
	}
	return shared, err
}

func (l *Ledgers) hold(provider, name string, together bool) (*zone.Ledger, error) {
	shared, err := l.pooled.Hold(l.key(provider, name, together), func() caddy.Destructor {
		owner := l.module
		if together {
			owner += "-cluster"
		} else if id := Instance(); id != "" {
			owner += "-" + id
		}
		return ledger{zone.NewLedger(owner, provider, name)}
	})
	if err != nil {
		return nil, err
	}
	return shared.(ledger).Ledger, nil
}

// All are those that the configuration holds.
func (l *Ledgers) All() []*zone.Ledger {
	var all []*zone.Ledger
	for _, held := range l.held {
		all = append(all, held)
	}
	return all
}

// Sole reports whether no other configuration has the zone's ledger, so that
// nobody else will withdraw what is in it.
func (l *Ledgers) Sole(provider, name string) bool {
	n, _ := Pool.References(l.key(provider, name, l.together))
	return n <= 1
}

// Use has the ledgers be kept in the storage of this configuration.
func (l *Ledgers) Use() {
	for _, held := range l.held {
		held.Use(l.storage)
	}
}

// Release gives the ledgers back.
func (l *Ledgers) Release() { l.pooled.Release() }

func (l *Ledgers) key(provider, name string, together bool) Key {
	return Key{Kind: fmt.Sprint("ledger ", l.module, together), Config: provider + " " + name + " " + string(storagePath(l.storage))}
}

// Instance tells this Caddy from others that use the same storage, where it has
// an instance ID.
func Instance() string {
	id, err := caddy.InstanceID()
	if err != nil {
		return ""
	}
	return id.String()
}
