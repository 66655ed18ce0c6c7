package observe

import (
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// Doubting tells a search when the provider says that it has no such zone.
type Doubting struct {
	zone.Observer
	Search *finder.Search
}

// UpdateFailed implements zone.Observer.
func (d *Doubting) UpdateFailed(name, provider string, sources []string, err error, attempt int) {
	if zone.NoSuch(err) {
		d.Search.Doubt(name)
	}
	d.Observer.UpdateFailed(name, provider, sources, err, attempt)
}

// Recovered implements zone.Observer.
func (d *Doubting) Recovered(name, provider string, sources []string, after time.Duration) {
	d.Search.Trust(name)
	d.Observer.Recovered(name, provider, sources, after)
}

var _ zone.Observer = (*Doubting)(nil)
