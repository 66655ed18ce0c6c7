package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// tokenPrefix marks the SHA-256 of a token. A token has so many random bits
// that a fast hash keeps it as safe as a slow one keeps a password.
const tokenPrefix = "sha256:"

// Hash is the hash of a password or token.
type Hash struct {
	// text is the hash as configured.
	text string
	// compare takes long, except for a token's hash.
	compare func(password []byte) bool
	token   bool
}

// bcryptLength is that of a hash that is not cut off.
const bcryptLength = 60

// A hash that takes longer than clients wait lets nobody in, and would keep
// others waiting.
const (
	maxBcryptCost = 16
	// maxArgon2Work is in passes over a KiB.
	maxArgon2Work = 4 << 20
)

var (
	errHash = errors.New(`this is no hash of a password; write what "caddy hash-password" prints for it, or have a token made by "caddy dynamic-dns token"`)
	errSlow = errors.New(`comparing a password with this hash takes longer than clients wait; write what "caddy hash-password" prints without further options`)
)

// ParseHash parses a hash of bcrypt or argon2id as caddy hash-password prints
// it, or "sha256:" and the SHA-256 of a token in hexadecimal. Errors do not
// repeat it, for it could be the password.
func ParseHash(s string) (*Hash, error) {
	h := &Hash{text: s}
	switch {
	case strings.HasPrefix(s, tokenPrefix):
		sum, err := hex.DecodeString(s[len(tokenPrefix):])
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf(`what follows %q is not the 64 hexadecimal digits of a token's hash; write what "caddy dynamic-dns token" prints`, tokenPrefix)
		}
		h.token = true
		h.compare = func(password []byte) bool {
			got := sha256.Sum256(password)
			return subtle.ConstantTimeCompare(got[:], sum) == 1
		}
	case strings.HasPrefix(s, "$2"):
		cost, err := bcrypt.Cost([]byte(s))
		switch {
		case err != nil || len(s) != bcryptLength:
			return nil, errHash
		case cost > maxBcryptCost:
			return nil, errSlow
		}
		h.compare = func(password []byte) bool { return bcrypt.CompareHashAndPassword([]byte(s), password) == nil }
	case strings.HasPrefix(s, "$argon2id$"):
		compare, err := parseArgon2id(s)
		if err != nil {
			return nil, err
		}
		h.compare = compare
	default:
		return nil, errHash
	}
	return h, nil
}

// parseArgon2id parses the PHC string format. The reference is
// https://github.com/P-H-C/phc-string-format.
func parseArgon2id(s string) (compare func(password []byte) bool, err error) {
	var version int
	var memory, time uint32
	var threads uint8
	fields := strings.Split(s, "$")
	if len(fields) != 6 {
		return nil, errHash
	}
	if _, err := fmt.Sscanf(fields[2]+" "+fields[3]+"\n", "v=%d m=%d,t=%d,p=%d\n", &version, &memory, &time, &threads); err != nil {
		return nil, errHash
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(fields[4])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(fields[5])
	switch {
	case saltErr != nil || keyErr != nil || len(salt) == 0 || len(key) < 16:
		return nil, errHash
	case version != argon2.Version || time == 0 || threads == 0:
		// The library panics at these.
		return nil, errHash
	case uint64(time)*uint64(memory) > maxArgon2Work:
		return nil, errSlow
	}
	return func(password []byte) bool {
		got := argon2.IDKey(password, salt, time, memory, threads, uint32(len(key)))
		return subtle.ConstantTimeCompare(got, key) == 1
	}, nil
}

// NewToken returns a random token, which routers take in a field for a
// password, and its hash.
func NewToken() (token, hash string) {
	token = rand.Text()
	sum := sha256.Sum256([]byte(token))
	return token, tokenPrefix + hex.EncodeToString(sum[:])
}
