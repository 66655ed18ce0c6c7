package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

// User is somebody who may update hosts.
type User struct {
	// Name is unique among the users.
	Name string
	// Hash is that of the password or token. Without it, the user is one
	// whom the web server has authenticated.
	Hash *Hash
	// Hosts are what the user may update, devices included.
	Hosts *Hosts
	// From are the only networks that the user may come from, if any.
	From []netip.Prefix
}

// allows reports whether the user may come from there.
func (u *User) allows(client netip.Addr) bool {
	return len(u.From) == 0 || slices.ContainsFunc(u.From, func(p netip.Prefix) bool { return p.Contains(client) })
}

// Authorize returns the hosts that a request is for: those that it names or
// else the user's own, which is the host of the user's name or the only one.
// It is all or nothing, and tells nobody which hosts others have. The error is
// a [*reply.Error].
func (u *User) Authorize(named []string) ([]string, error) {
	for _, host := range named {
		if !u.Hosts.Has(host) {
			return nil, reply.Refuse(http.StatusNotFound, reply.NoHost, "host %q is none of user %q", host, u.Name)
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case u.Hosts.Has(u.Name):
		return []string{u.Name}, nil
	case len(u.Hosts.Exact) == 1 && len(u.Hosts.Parents) == 0:
		return u.Hosts.Exact, nil
	}
	return nil, reply.Refuse(http.StatusBadRequest, reply.NotFQDN, "no host is named, and user %q has several", u.Name)
}

// Users are those of one configuration.
type Users struct {
	byName map[string]*User
	// hashed are those with a hash.
	hashed []*User
	// salt is the same after a restart, and unknown to clients.
	salt [sha256.Size]byte
}

// NewUsers refuses to have no users, or the same twice.
func NewUsers(users []*User) (*Users, error) {
	if len(users) == 0 {
		return nil, errors.New("there are no users, so that nobody could update anything; write a user with a hash and hosts")
	}
	us := &Users{byName: make(map[string]*User, len(users))}
	salt := sha256.New()
	for _, u := range users {
		switch {
		case u.Name == "":
			return nil, errors.New("a user has no name")
		case u.Hash != nil && strings.Contains(u.Name, ":"):
			return nil, fmt.Errorf("user %q cannot log in, for clients send the name and the password with a colon between them; write a name without one", u.Name)
		case us.byName[u.Name] != nil:
			return nil, fmt.Errorf("user %q is there twice; write all its hosts in one place", u.Name)
		}
		us.byName[u.Name] = u
		if u.Hash != nil {
			us.hashed = append(us.hashed, u)
			salt.Write([]byte(u.Hash.text))
		}
	}
	salt.Sum(us.salt[:0])
	return us, nil
}

// Trusted returns the user without a password whom the web server has
// authenticated under that ID. The error is a [*reply.Error].
func (us *Users) Trusted(id string, client netip.Addr) (*User, error) {
	u := us.byName[id]
	if id == "" || u == nil || u.Hash != nil || !u.allows(client.Unmap()) {
		return nil, us.refused(id, client.Unmap())
	}
	return u, nil
}

// find returns the user who may log in with a password from there, and the
// hash to compare it with, which there is for strangers too.
func (us *Users) find(name string, client netip.Addr) (*User, *Hash) {
	if u := us.byName[name]; u != nil && u.Hash != nil && u.allows(client) {
		return u, u.Hash
	}
	return nil, us.stranger(name)
}

// stranger returns the hash that is compared for somebody who is no user, so
// that it takes as long as for a user: that of one who is, always the same
// for the same name.
func (us *Users) stranger(name string) *Hash {
	if len(us.hashed) == 0 {
		return nil
	}
	h := sha256.New()
	h.Write(us.salt[:])
	h.Write([]byte(name))
	var sum [sha256.Size]byte
	return us.hashed[binary.BigEndian.Uint64(h.Sum(sum[:0]))%uint64(len(us.hashed))].Hash
}

// refused is the answer to wrong credentials of any kind. Only the log tells of
// which, and it has no name but that of a user, for what is sent as a name may
// be a password.
func (us *Users) refused(name string, client netip.Addr) *reply.Error {
	reason := "no user has that name"
	if u := us.byName[name]; u != nil {
		switch {
		case !u.allows(client):
			reason = fmt.Sprintf("user %q may not come from there, by its `from`", name)
		case u.Hash == nil:
			reason = fmt.Sprintf("user %q has no hash, and so is let in only by basic_auth or another authentication in front", name)
		default:
			reason = fmt.Sprintf("that is not the password of user %q", name)
		}
	}
	return reply.Refuse(http.StatusUnauthorized, reply.BadAuth, "%s", reason)
}

// Required is the answer to a request without credentials. It is no failure:
// some clients always ask so first.
func Required() *reply.Error {
	return reply.Refuse(http.StatusUnauthorized, reply.BadAuth, "no credentials were sent")
}
