package zone

import (
	"context"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// remember stores what a provider that cannot be read has accepted.
func (z *Zone) remember(b *Backend) {
	if b.Provider.CanRead() {
		return
	}
	sets := z.machine.Believed()
	z.store.mu.Lock()
	z.store.count++
	turn := z.store.count
	z.store.mu.Unlock()
	go func() {
		z.store.mu.Lock()
		defer z.store.mu.Unlock()
		if turn != z.store.count {
			// Something newer is about to be stored.
			return
		}
		if err := b.Memory.Store(context.WithoutCancel(z.ctx), b.Provider.Name, z.Name, sets); err != nil {
			z.logger(b).Warn("cannot remember what was written; the next start will write it again", zap.Error(err))
		}
	}()
}

// recall loads what a provider that cannot be read last accepted of what is
// managed. The rest is forgotten: nobody knows what becomes of it.
func (z *Zone) recall(ctx context.Context, b *Backend, managed func(string) (string, bool)) plan.Observed {
	sets, err := b.Memory.Load(ctx, b.Provider.Name, z.Name)
	if err != nil {
		z.logger(b).Warn("cannot tell what was written before; writing once more", zap.Error(err))
	}
	kept := make(map[plan.Key]plan.RRset, len(sets))
	for key, set := range sets {
		if name, ok := managed(key.Name); ok {
			kept[plan.Key{Name: name, Family: key.Family}] = set
		}
	}
	if len(kept) < len(sets) {
		if err := b.Memory.Store(ctx, b.Provider.Name, z.Name, kept); err != nil {
			z.logger(b).Warn("cannot forget records that are no longer managed", zap.Error(err))
		}
	}
	return plan.Observed{Sets: kept}
}
