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
	z.unstored = func() {
		if err := b.Memory.Store(context.WithoutCancel(z.ctx), b.Provider.Name, z.Name, sets); err != nil {
			z.logger(b).Warn("cannot remember what was written; the next start will write it again", zap.Error(err))
		}
	}
	z.storeNext()
}

// storeNext stores one thing after the other, the newest alone of those that
// wait, for the storage may be slow. The zone does not end before that is
// done, so that its successor is not overtaken.
func (z *Zone) storeNext() {
	store := z.unstored
	if z.storing || store == nil {
		return
	}
	z.storing, z.unstored = true, nil
	go func() {
		store()
		z.post(func() {
			z.storing = false
			z.storeNext()
		})
	}()
}

// recall loads what a provider that cannot be read last accepted of what is
// managed. The rest is to be forgotten: nobody knows what becomes of it.
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
	return plan.Observed{Sets: kept}
}
