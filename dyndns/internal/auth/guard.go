// Package auth knows the users of the server, and lets nobody guess their
// passwords, or keep the server busy by trying.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

const (
	// maxPassword limits what of a password is looked at, in bytes.
	maxPassword = 1 << 10
	// maxRemembered limits how many successes are remembered.
	maxRemembered = 1 << 16
)

type mac [sha256.Size]byte

// Guard checks passwords. It is meant to outlive configurations: what it
// remembers of a user is tied to the hash, so that a changed password counts
// at once.
type Guard struct {
	now func() time.Time
	// key is of this process alone.
	key   [sha256.Size]byte
	turns turns

	mu         sync.Mutex
	failures   failures
	remembered map[mac]struct{}
}

// NewGuard returns a guard with that clock.
func NewGuard(now func() time.Time) *Guard {
	g := &Guard{now: now, failures: make(failures), remembered: make(map[mac]struct{})}
	_, _ = rand.Read(g.key[:])
	return g
}

// Login returns the user of that name, if the password is right and the user
// may come from the client's address. It waits for its turn where passwords
// of others are being checked. The error is a [*reply.Error].
//
// A network has ten failures and one more each minute, of each user and in
// all. While it has none left, those who have logged in before are let in, as
// long as it did not fail for that very user.
func (g *Guard) Login(ctx context.Context, users *Users, name, password string, client netip.Addr) (*User, error) {
	user, hash := users.find(name, client.Unmap())
	refused := users.refused(name, client.Unmap())
	if hash == nil {
		return nil, refused
	}
	if len(password) > maxPassword {
		user, password = nil, password[:maxPassword]
	}
	a := attempt{
		user: user, hash: hash, password: []byte(password),
		mac:  g.mac(name, hash, password),
		keys: failureKeys(client.Unmap(), user), refused: refused,
	}
	done, err := g.quick(&a, false)
	if !done && err == nil {
		err = g.slow(ctx, &a)
	}
	if err != nil {
		return nil, err
	}
	return user, nil
}

// attempt is one attempt to log in.
type attempt struct {
	// user is nil if nobody can log in so.
	user     *User
	hash     *Hash
	password []byte
	mac      mac
	// keys are those of the network, and of the user there.
	keys []failureKey
	// refused is the answer if the password is wrong.
	refused *reply.Error
}

// quick decides what can be decided without a hash that takes long. If one is
// to be compared at once, it counts as a failure until that is done.
func (g *Guard) quick(a *attempt, atOnce bool) (done bool, err error) {
	right := a.hash.token && a.hash.compare(a.password)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !a.hash.token {
		_, right = g.remembered[a.mac]
	}
	now := g.now()
	inAll, ofUser := g.failures.wait(now, a.keys[0]), time.Duration(0)
	if a.user != nil {
		ofUser = g.failures.wait(now, a.keys[1])
	}
	switch {
	case ofUser > 0:
		return false, limited(max(inAll, ofUser))
	case right && a.user != nil:
		return true, nil
	case inAll > 0:
		// This is not the answer to the right password, so it was a guess.
		g.failures.add(now, a.keys[1:]...)
		return false, limited(inAll)
	case a.hash.token:
		g.failures.add(now, a.keys...)
		return false, a.refused
	case atOnce:
		g.failures.add(now, a.keys...)
	}
	return false, nil
}

// slow compares the hash when it is the client's turn.
func (g *Guard) slow(ctx context.Context, a *attempt) error {
	if err := g.turns.wait(ctx, a.keys[0].network); err != nil {
		return busy(retryBusy, "too many passwords are being checked: %v", err)
	}
	defer g.turns.done()
	// Others of the network may have failed in the meantime, or logged in
	// as the same user.
	if done, err := g.quick(a, true); done || err != nil {
		return err
	}
	if !a.hash.compare(a.password) || a.user == nil {
		return a.refused
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures.forgive(a.keys...)
	g.remember(a.mac)
	return nil
}

func (g *Guard) remember(m mac) {
	if len(g.remembered) >= maxRemembered {
		// It is filled by the hashes of earlier configurations. Whichever
		// goes is compared once more.
		for other := range g.remembered {
			delete(g.remembered, other)
			break
		}
	}
	g.remembered[m] = struct{}{}
}

// mac is what a success is remembered under.
func (g *Guard) mac(name string, hash *Hash, password string) (m mac) {
	if hash.token {
		return m
	}
	h := hmac.New(sha256.New, g.key[:])
	for _, s := range []string{name, hash.text, password} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	h.Sum(m[:0])
	return m
}

// retryBusy is when to come back after waiting in vain.
const retryBusy = 30 * time.Second

func limited(wait time.Duration) *reply.Error {
	return busy(wait, "too many failures of authentication from this network")
}

func busy(retry time.Duration, format string, args ...any) *reply.Error {
	e := reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, format, args...)
	e.RetryAfter = retry
	return e
}
