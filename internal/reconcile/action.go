package reconcile

import (
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Do is what to do at a provider.
type Do uint8

const (
	DoNothing Do = iota
	DoRead
	DoSet
	DoAppend
	DoDelete
)

// Action is what to do next.
type Action struct {
	Do     Do
	Writes []plan.Write
	// Until is when to ask again, if there is nothing to do and nothing
	// happens before. The zero value is for never.
	Until time.Time
}
