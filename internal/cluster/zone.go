package cluster

import (
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// Zone is one that is kept for somebody else than the names of this instance,
// as for clients of the DDNS server, and written by the same instance.
type Zone struct {
	ID lease.ZoneID
	// Report and Begin are those of Settings.
	Report func() (inSync *bool, refusedFor time.Duration)
	Begin  func() (begun func())
}
