package zone

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Observer is told what has become of zones. Its methods return at once.
type Observer interface {
	// RecordsChanged is told of changes that were confirmed.
	RecordsChanged(zone, provider string, changes []plan.Change)
	// UpdateFailed is told of the first failure of a period, and of each that
	// has another reason than the one before. The sources are those of what
	// could not be written, if that is known.
	UpdateFailed(zone, provider string, sources []string, err error, attempt int)
	// Recovered is told when that is over, with the sources of what failed last.
	Recovered(zone, provider string, sources []string, after time.Duration)
}

// Backend is where a zone is kept, and who is told of it.
type Backend struct {
	Provider *provider.Provider
	// Memory is for providers that cannot be read.
	Memory Memory
	// Ledger is for what is to be withdrawn. It may be nil.
	Ledger      *Ledger
	VerifyEvery time.Duration
	Observer    Observer
	Logger      *zap.Logger
	// Class says whose addresses the holder publishes. The zone may have
	// holders of each class, whose RRsets differ; of one class, a newer holder
	// takes the place of an older one.
	Class plan.Class
	// ReadOnly keeps the zone from being written, for a configuration that is
	// not running.
	ReadOnly bool
	// May reports whether the zone may be kept now. It is asked again before
	// each write. It may be nil, and then the zone always may.
	May func() bool
	// Confirmed is called when RRsets of the class were confirmed. It returns
	// at once. It may be nil.
	Confirmed func()
}

// idle reports whether the zone is to be left alone for now.
func (b *Backend) idle() bool { return b.ReadOnly || b.May != nil && !b.May() }

func (b *Backend) abilities() reconcile.Abilities {
	p := b.Provider
	return reconcile.Abilities{Read: p.CanRead(), Set: p.CanSet(), Append: p.CanAppend(), Delete: p.CanDelete()}
}
