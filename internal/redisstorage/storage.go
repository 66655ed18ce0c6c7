// Package redisstorage keeps Caddy's storage in Redis, as little as a test of
// several Caddys needs. It is a module of its own, for the product must not
// depend on a Redis client.
package redisstorage

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
)

const (
	prefix     = "caddy:"
	lockPrefix = "lock:"
	// expiry is how long a lock outlives its holder.
	expiry = 5 * time.Second
)

func init() {
	caddy.RegisterModule(new(Storage))
}

// Storage keeps everything in the Redis at a Unix socket.
type Storage struct {
	// The path of the socket.
	Socket string `json:"socket"`

	client *redis.Client
	mu     sync.Mutex
	locks  map[string]lock
}

type lock struct {
	token string
	stop  context.CancelFunc
}

// CaddyModule returns the Caddy module information.
func (*Storage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.redis_lab", New: func() caddy.Module { return new(Storage) }}
}

// CertMagicStorage implements caddy.StorageConverter.
func (s *Storage) CertMagicStorage() (certmagic.Storage, error) {
	s.client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket, MaxRetries: -1})
	s.locks = make(map[string]lock)
	return s, nil
}

// Cleanup closes the connections.
func (s *Storage) Cleanup() error {
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// Store implements certmagic.Storage.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	return s.client.Set(ctx, prefix+key, value, 0).Err()
}

// Load implements certmagic.Storage.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	data, err := s.client.Get(ctx, prefix+key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fs.ErrNotExist
	}
	return data, err
}

// Delete implements certmagic.Storage.
func (s *Storage) Delete(ctx context.Context, key string) error {
	return s.client.Del(ctx, prefix+key).Err()
}

// Exists implements certmagic.Storage.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	n, err := s.client.Exists(ctx, prefix+key).Result()
	return err == nil && n > 0
}

// List implements certmagic.Storage. Nothing here asks for a list that is not
// of all that is below a path.
func (s *Storage) List(ctx context.Context, path string, _ bool) (keys []string, err error) {
	it := s.client.Scan(ctx, 0, prefix+path+"/*", 100).Iterator()
	for it.Next(ctx) {
		keys = append(keys, strings.TrimPrefix(it.Val(), prefix))
	}
	return keys, it.Err()
}

// Stat implements certmagic.Storage.
func (s *Storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	data, err := s.Load(ctx, key)
	return certmagic.KeyInfo{Key: key, Size: int64(len(data)), IsTerminal: true}, err
}

// Lock implements certmagic.Locker.
func (s *Storage) Lock(ctx context.Context, name string) error {
	token := rand.Text()
	for {
		ok, err := s.client.SetNX(ctx, lockPrefix+name, token, expiry).Result()
		if err != nil {
			return err
		}
		if ok {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	renewing, stop := context.WithCancel(context.Background())
	s.mu.Lock()
	s.locks[name] = lock{token, stop}
	s.mu.Unlock()
	go func() {
		for renewing.Err() == nil {
			select {
			case <-renewing.Done():
			case <-time.After(expiry / 3):
				s.client.Expire(renewing, lockPrefix+name, expiry)
			}
		}
	}()
	return nil
}

// Unlock implements certmagic.Locker.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	held := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if held.stop == nil {
		return errors.New("not locked")
	}
	held.stop()
	if token, err := s.client.Get(ctx, lockPrefix+name).Result(); err != nil || token != held.token {
		return err
	}
	return s.client.Del(ctx, lockPrefix+name).Err()
}

var (
	_ caddy.StorageConverter = (*Storage)(nil)
	_ caddy.CleanerUpper     = (*Storage)(nil)
)
