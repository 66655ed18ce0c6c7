package auth

import (
	"net/netip"
	"time"
)

const (
	// allowedFailures may come in a burst; after that, there is one more
	// for each failureInterval.
	allowedFailures = 10
	failureInterval = time.Minute
	// maxFailureKeys limits what is kept.
	maxFailureKeys = 1 << 14
)

// failureKey is whose failures are counted: those of a network, or if user is
// not empty those of a user there.
type failureKey struct {
	network netip.Prefix
	user    string
}

// Network returns the network of a client, which is one customer's: a single
// IPv4 address, or a /64 of IPv6. It is invalid where the address is.
func Network(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	network, _ := client.WithZone("").Prefix(bits)
	return network
}

// failureKeys returns the key of the client's network, and if there is a user
// the one of the user there.
func failureKeys(client netip.Addr, user *User) []failureKey {
	network := Network(client)
	keys := []failureKey{{network: network}}
	if user != nil {
		keys = append(keys, failureKey{network, user.Name})
	}
	return keys
}

// failures are kept as the time at which all of them will be forgotten, which
// each moves on by the interval.
type failures map[failureKey]time.Time

// wait returns how long it is until another failure is allowed.
func (f failures) wait(now time.Time, key failureKey) time.Duration {
	return max(0, f[key].Add(-(allowedFailures-1)*failureInterval).Sub(now))
}

// add counts a failure.
func (f failures) add(now time.Time, keys ...failureKey) {
	for _, key := range keys {
		if _, ok := f[key]; !ok && len(f) >= maxFailureKeys {
			f.makeRoom()
		}
		until := f[key]
		if until.Before(now) {
			until = now
		}
		f[key] = until.Add(failureInterval)
	}
}

// forgive takes back what was counted too early.
func (f failures) forgive(keys ...failureKey) {
	for _, key := range keys {
		if until, ok := f[key]; ok {
			f[key] = until.Add(-failureInterval)
		}
	}
}

// makeRoom drops of a few the one that is forgotten soonest.
func (f failures) makeRoom() {
	var soonest failureKey
	looked := 0
	for key, until := range f {
		if looked == 0 || until.Before(f[soonest]) {
			soonest = key
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(f, soonest)
}
