package dyndns

import (
	"context"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
)

// callTimeout is when a call of the storage is given up, so that one that gets
// no answer does not keep this instance from all others.
const callTimeout = 30 * time.Second

// bounded is a storage whose calls end, if it minds their contexts.
type bounded struct {
	certmagic.Storage
}

func (s bounded) Load(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.Storage.Load(ctx, key)
}

func (s bounded) Store(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.Storage.Store(ctx, key, value)
}

func (s bounded) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cluster.List(ctx, s.Storage, path, recursive)
}
