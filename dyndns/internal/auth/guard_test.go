package auth

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// counted is a hash that counts how often it is compared.
func counted(password string, n *int) *Hash {
	return &Hash{text: "$2$" + password, compare: func(p []byte) bool {
		*n++
		return string(p) == password
	}}
}

// guarded are users and what guards them.
type guarded struct {
	*Guard
	users *Users
	t     testing.TB
}

func guard(t testing.TB, users ...*User) *guarded {
	t.Helper()
	us, err := NewUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	return &guarded{NewGuard(time.Now), us, t}
}

// login tells how a client sees it.
func (g *guarded) login(name, password, from string) string {
	g.t.Helper()
	user, err := g.Login(context.Background(), g.users, name, password, netip.MustParseAddr(from))
	if (err == nil) != (user != nil) || err == nil && user.Name != name {
		g.t.Fatalf("%s logs in as %v, %v", name, user, err)
	}
	return answer(g.t, err)
}

func (g *guarded) want(want, name, password, from string) {
	g.t.Helper()
	if got := g.login(name, password, from); got != want {
		g.t.Fatalf("%s with %s from %s: got %s, want %s", name, password, from, got, want)
	}
}

const (
	ok      = "ok"
	badauth = "401 badauth"
)

func TestLogin(t *testing.T) {
	for _, text := range []string{bcryptOfSecret, argon2idOfSecret, sha256OfSecret} {
		h, err := ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		g := guard(t,
			&User{Name: "home", Hash: h},
			&User{Name: "near", Hash: h, From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}},
			&User{Name: "open"},
		)
		for range 2 {
			g.want(ok, "home", "secret", "192.0.2.1")
		}
		g.want(badauth, "home", "Secret", "192.0.2.1")
		g.want(badauth, "home", "", "192.0.2.1")
		g.want(badauth, "", "", "192.0.2.1")
		g.want(badauth, "Home", "secret", "192.0.2.1")
		g.want(badauth, "open", "", "192.0.2.1")
		g.want(ok, "near", "secret", "192.0.2.1")
		g.want(ok, "near", "secret", "::ffff:192.0.2.1")
		g.want(ok, "near", "secret", "2001:db8::1")
		g.want(badauth, "near", "secret", "198.51.100.1")
	}
}

// TestRefusalsTeach: the log says why somebody is not let in, and repeats no
// name that is none, for it may be a password.
func TestRefusalsTeach(t *testing.T) {
	for _, password := range []string{bcryptOfSecret, sha256OfSecret} {
		h, err := ParseHash(password)
		if err != nil {
			t.Fatal(err)
		}
		g := guard(t,
			&User{Name: "home", Hash: h},
			&User{Name: "near", Hash: h, From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			&User{Name: "open"},
		)
		for name, want := range map[string]string{
			"home":   `that is not the password of user "home"`,
			"near":   `user "near" may not come from there`,
			"open":   `user "open" has no hash`,
			"s3cret": "no user has that name",
		} {
			_, err := g.Login(context.Background(), g.users, name, "wrong", netip.MustParseAddr("198.51.100.1"))
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
}

// TestLongPassword: what is beyond the limit is not cut off.
func TestLongPassword(t *testing.T) {
	longest := strings.Repeat("x", maxPassword)
	g := guard(t, &User{Name: "home", Hash: counted(longest, new(int))})
	g.want(ok, "home", longest, "192.0.2.1")
	g.want(badauth, "home", longest+"x", "192.0.2.1")
}

// TestRememberedUnder: a success counts for nothing else.
func TestRememberedUnder(t *testing.T) {
	g := NewGuard(time.Now)
	under := g.mac("home", &Hash{text: "$2$x"}, "secret")
	for _, tc := range []struct{ name, hash, password string }{
		{"hom", "e$2$x", "secret"},
		{"home", "$2$xs", "ecret"},
		{"home", "$2$x", "Secret"},
	} {
		if g.mac(tc.name, &Hash{text: tc.hash}, tc.password) == under {
			t.Errorf("%v is the same", tc)
		}
	}
	if NewGuard(time.Now).mac("home", &Hash{text: "$2$x"}, "secret") == under {
		t.Error("two processes have the same key")
	}
}

// TestNobodyHasAPassword: where the web server authenticates all users, no
// password is right, and none is hashed.
func TestNobodyHasAPassword(t *testing.T) {
	guard(t, &User{Name: "open"}).want(badauth, "open", "", "192.0.2.1")
}

// TestFailures: ten from a network, then one a minute.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := guard(t, &User{Name: "home", Hash: counted("secret", &n)})
		for range 10 {
			g.want(badauth, "home", "guess", "192.0.2.1")
		}
		// The right password no longer helps, nor does another name.
		g.want("503 911 after 1m0s", "home", "guess", "192.0.2.1")
		g.want("503 911 after 1m0s", "home", "secret", "192.0.2.1")
		g.want("503 911 after 1m0s", "other", "guess", "192.0.2.1")
		if n != 10 {
			t.Errorf("compared %d times", n)
		}
		// Others are not concerned.
		g.want(ok, "home", "secret", "192.0.2.2")

		time.Sleep(59 * time.Second)
		g.want("503 911 after 1s", "home", "guess", "192.0.2.1")
		time.Sleep(time.Second)
		g.want(badauth, "home", "guess", "192.0.2.1")
		g.want("503 911 after 1m0s", "home", "guess", "192.0.2.1")
		time.Sleep(time.Minute)
		g.want(ok, "home", "secret", "192.0.2.1")
		time.Sleep(time.Hour)
		for range 10 {
			g.want(badauth, "home", "guess", "192.0.2.1")
		}
		g.want("503 911 after 1m0s", "home", "guess", "192.0.2.1")
	})
}

// TestNetworks: whose failures are counted together.
func TestNetworks(t *testing.T) {
	for _, tc := range []struct {
		name, fails, other string
		same               bool
	}{
		{"an IPv4 address", "192.0.2.1", "192.0.2.2", false},
		{"which may be mapped", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"a /64", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"and the next", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"link-local", "fe80::1%eth0", "fe80::2%eth1", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := guard(t, &User{Name: "home", Hash: counted("secret", new(int))})
			for range 10 {
				g.want(badauth, "home", "guess", tc.fails)
			}
			if got := g.login("home", "secret", tc.other) != ok; got != tc.same {
				t.Errorf("%s: %s and %s are together: %t", tc.name, tc.fails, tc.other, got)
			}
		})
	}
}

// TestSuccessIsRemembered: the hash is compared once, also by the next
// configuration, unless that has another.
func TestSuccessIsRemembered(t *testing.T) {
	n := 0
	g := guard(t, &User{Name: "home", Hash: counted("secret", &n)}, &User{Name: "twin", Hash: counted("secret", &n)})
	for range 100 {
		g.want(ok, "home", "secret", "192.0.2.1")
	}
	g.want(ok, "home", "secret", "198.51.100.1")
	if n != 1 {
		t.Errorf("compared %d times, want once", n)
	}
	g.want(badauth, "home", "guess", "192.0.2.1")
	g.want(ok, "twin", "secret", "192.0.2.1")
	if n != 3 {
		t.Errorf("compared %d times, want for the guess and the other user, too", n)
	}

	reload := func(hash *Hash) {
		users, err := NewUsers([]*User{{Name: "home", Hash: hash}})
		if err != nil {
			t.Fatal(err)
		}
		g.users = users
	}
	reload(counted("secret", &n))
	g.want(ok, "home", "secret", "192.0.2.1")
	if n != 3 {
		t.Error("a reload forgets the success")
	}
	reload(counted("changed", &n))
	g.want(badauth, "home", "secret", "192.0.2.1")
	g.want(ok, "home", "changed", "192.0.2.1")
	reload(counted("secret", &n))
	users, _ := NewUsers([]*User{{Name: "other", Hash: g.users.byName["home"].Hash}})
	g.users = users
	g.want(badauth, "home", "secret", "192.0.2.1")
}

// TestRememberedWhileOthersFail: who has logged in before is let in while the
// network has no failures left, and yet nobody can guess that way.
func TestRememberedWhileOthersFail(t *testing.T) {
	for _, token := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			hash := counted("secret", &n)
			hash.token = token
			g := guard(t, &User{Name: "home", Hash: hash}, &User{Name: "clumsy", Hash: counted("x", new(int))})
			g.want(ok, "home", "secret", "192.0.2.1")
			for range 20 {
				g.login("clumsy", "guess", "192.0.2.1")
				g.want(ok, "home", "secret", "192.0.2.1")
			}
			g.want("503 911 after 1m0s", "clumsy", "x", "192.0.2.1")

			for i := range 20 {
				if got := g.login("home", fmt.Sprint("guess", i), "192.0.2.1"); !strings.HasPrefix(got, "503 911") {
					t.Fatalf("guess %d: %s", i, got)
				}
			}
			g.want("503 911 after 1m0s", "home", "secret", "192.0.2.1")
			g.want(ok, "home", "secret", "192.0.2.2")
			time.Sleep(time.Minute)
			g.want(ok, "home", "secret", "192.0.2.1")
		})
	}
}

// TestStrangers: no user, no password and a wrong network cost a comparison,
// and the same one each time.
func TestStrangers(t *testing.T) {
	var n [3]int
	near := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	var users []*User
	for i := range n {
		users = append(users, &User{Name: fmt.Sprint("user", i), Hash: counted(fmt.Sprint("secret", i), &n[i]), From: near})
	}
	users = append(users, &User{Name: "open"})
	compared := func(name string) (which int) {
		n = [3]int{}
		guard(t, users...).want(badauth, name, "secret0", "192.0.2.1")
		for i := range n {
			if n[0]+n[1]+n[2] != 1 {
				t.Fatalf("%s: compared %v", name, n)
			}
			if n[i] > 0 {
				which = i
			}
		}
		return which
	}
	var seen [3]bool
	for _, name := range []string{"stranger", "open", "user0", "", "a", "b", "c", "d", "e", "f", "g", "h"} {
		which := compared(name)
		seen[which] = true
		for range 3 {
			if again := compared(name); again != which {
				t.Errorf("%s: compared with the hash of %d, then of %d", name, which, again)
			}
		}
	}
	if seen != [3]bool{true, true, true} {
		t.Errorf("strangers are compared with %v", seen)
	}
	// Which one it is cannot be told from outside.
	before := compared("stranger")
	for i := 0; compared("stranger") == before; i++ {
		if i == 100 {
			t.Fatal("it does not depend on the hashes")
		}
		users[0].Hash.text += "x"
	}
}

// slowHash takes a second, and notes how many are compared at a time.
type slowHash struct {
	now, most, n atomic.Int32
}

func (s *slowHash) hash(password string) *Hash {
	return &Hash{text: "$2$" + password, compare: func(p []byte) bool {
		s.n.Add(1)
		now := s.now.Add(1)
		for {
			most := s.most.Load()
			if now <= most || s.most.CompareAndSwap(most, now) {
				break
			}
		}
		time.Sleep(time.Second)
		s.now.Add(-1)
		return string(p) == password
	}}
}

// TestFlood: while one network floods with wrong passwords, others log in for
// the first time, and those who have logged in do not wait at all.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow slowHash
		g := guard(t, &User{Name: "home", Hash: slow.hash("secret")}, &User{Name: "new", Hash: slow.hash("secret2")})
		g.want(ok, "home", "secret", "192.0.2.1")

		var flood sync.WaitGroup
		results := make(map[string]int)
		var mu sync.Mutex
		for i := range 500 {
			flood.Go(func() {
				got := g.login("home", fmt.Sprint("guess", i), "198.51.100.1")
				mu.Lock()
				defer mu.Unlock()
				results[got]++
			})
		}
		synctest.Wait()

		began := time.Now()
		g.want(ok, "home", "secret", "192.0.2.1")
		if waited := time.Since(began); waited != 0 {
			t.Errorf("who is known waited %s", waited)
		}
		g.want(ok, "new", "secret2", "203.0.113.1")
		if waited := time.Since(began); waited > 3*time.Second {
			t.Errorf("who is new waited %s", waited)
		}
		flood.Wait()
		if results[badauth] != 10 || results[ok] != 0 {
			t.Errorf("the flood is answered %v", results)
		}
		if most := slow.most.Load(); most != maxHashes {
			t.Errorf("%d hashes at a time, want %d", most, maxHashes)
		}
		if n := slow.n.Load(); n != 1+1+10 {
			t.Errorf("%d hashes", n)
		}
	})
}

// TestFirstLoginsOfOneNetwork: they are no failures, however many come at once.
func TestFirstLoginsOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow slowHash
		var users []*User
		for i := range 15 {
			users = append(users, &User{Name: fmt.Sprint("user", i), Hash: slow.hash(fmt.Sprint("secret", i))})
		}
		g := guard(t, users...)
		var all sync.WaitGroup
		for i := range users {
			for range 2 {
				all.Go(func() {
					time.Sleep(time.Duration(i) * 500 * time.Millisecond)
					g.want(ok, fmt.Sprint("user", i), fmt.Sprint("secret", i), "192.0.2.1")
				})
			}
		}
		all.Wait()
	})
}

// TestNoTurn: waiting ends with the request, and in time.
func TestNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		g := guard(t, &User{Name: "home", Hash: &Hash{text: "$2", compare: func([]byte) bool { <-never; return false }}})
		var all sync.WaitGroup
		for i := range maxHashes {
			all.Go(func() { g.want(badauth, "home", "guess", fmt.Sprintf("192.0.2.%d", i)) })
		}
		synctest.Wait()

		began := time.Now()
		g.want("503 911 after 30s", "home", "guess", "198.51.100.1")
		if waited := time.Since(began); waited != maxWait {
			t.Errorf("waited %s", waited)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := g.Login(ctx, g.users, "home", "guess", netip.MustParseAddr("198.51.100.1")); answer(t, err) != "503 911 after 30s" {
			t.Errorf("after the request has ended: %v", err)
		}
		if g.turns.number != 0 || len(g.turns.waiting) != 0 {
			t.Errorf("%d still wait", g.turns.number)
		}
		close(never)
		all.Wait()
		if g.turns.taken != 0 {
			t.Errorf("%d turns are taken", g.turns.taken)
		}
	})
}

// TestBounded: no flood fills the memory.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := counted("secret", new(int))
		token.token = true
		g := guard(t, &User{Name: "home", Hash: token})
		for range 10 {
			g.login("home", "guess", "192.0.2.1")
		}
		for i := range 3 * maxFailureKeys {
			addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(i >> 16), byte(i >> 8), byte(i)})
			g.login("home", "guess", addr.String())
		}
		if n := len(g.failures); n > maxFailureKeys {
			t.Errorf("%d keys", n)
		}
		// Who fails most is forgotten last.
		if got := g.login("home", "guess", "192.0.2.1"); !strings.HasPrefix(got, "503") {
			t.Errorf("the worst is forgotten: %s", got)
		}
	})

	var all, one turns
	for range maxHashes {
		if _, err := all.enter(netip.Prefix{}); err != nil {
			t.Fatal(err)
		}
		if _, err := one.enter(netip.Prefix{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * maxWaiting {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if _, err := all.enter(netip.PrefixFrom(addr, 32)); (err != nil) != (i >= maxWaiting) {
			t.Fatalf("network %d: %v", i, err)
		}
		if _, err := one.enter(netip.Prefix{}); (err != nil) != (i >= maxWaitingOfNetwork) {
			t.Fatalf("waiter %d of a network: %v", i, err)
		}
	}
}

// TestTurnAtTheEnd: a turn that comes as the request ends is given back.
func TestTurnAtTheEnd(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var turns turns
	for range 100 {
		if err := turns.wait(ended, netip.Prefix{}); err == nil {
			turns.done()
		}
		if turns.taken != 0 {
			t.Fatal("it is taken for ever")
		}
	}
}
