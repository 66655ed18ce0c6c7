// Package probe finds out what the doctor judges: it asks sources, routers,
// providers and name servers, each under a deadline, and changes nothing.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// patience bounds each question to a source or a provider.
const patience = 15 * time.Second

// Subject is what is looked at.
type Subject struct {
	Groups []Group
	// Routers are sources that ask the default gateway.
	Routers []Source
	Zones   []Zone
	Ports   []doctor.Port
}

// Group are sources that are asked for the names of their own.
type Group struct {
	Name     string
	Families [ipaddr.Families]bool
	Sources  []Source
}

// Source is an IP source, and why it may not have an address published.
type Source struct {
	ipsources.IPSource
	Name   string
	Refuse func(netip.Addr) string
}

// Zone is a zone at a provider. Its name has a trailing dot.
type Zone struct {
	Name     string
	Provider *provider.Provider
	Records  []doctor.Record
}

// World is what is asked beyond the subject.
type World struct {
	Path func(ipaddr.Family) doctor.Path
	// Finder asks DNS servers. It is nil where there is no resolver.
	Finder *delegation.Finder
	// Listen opens an address and closes it again.
	Listen func(network, address string) error
}

// bounded runs a question that may panic or ignore its context.
func bounded[T any](ctx context.Context, question func(context.Context) (T, error)) (none T, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if r := recover(); r != nil {
				a = answer{err: fmt.Errorf("it panicked: %v", r)}
			}
			answers <- a
		}()
		a.value, a.err = question(ctx)
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, errors.New("no answer in time")
	}
}
