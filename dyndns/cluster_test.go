package dyndns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

const home = "home.example.com"

func (s *caddys) answers(i *instance, addr, want string) {
	s.t.Helper()
	if got := i.update(home, addr); got != want {
		s.t.Errorf("%s, told %s, answered %q, want %q", i.name, addr, got, want)
	}
}

func (s *caddys) holds(want string) {
	s.t.Helper()
	if got := s.z.holds("home"); got != want {
		s.t.Errorf("home holds %q, want %q", got, want)
	}
}

// writer returns the instance that writes the zone.
func (s *caddys) writer() *instance {
	s.t.Helper()
	for _, i := range s.all {
		if i.isRunning() && i.member.Writes(sharedZone) {
			return i
		}
	}
	s.t.Fatal("nobody writes the zone")
	return nil
}

// other returns one that does not.
func (s *caddys) other() *instance {
	s.t.Helper()
	for _, i := range s.all {
		if i.isRunning() && !i.member.Writes(sharedZone) {
			return i
		}
	}
	s.t.Fatal("all write the zone")
	return nil
}

// TestClusterAnyTakesUpdates: whichever instance is told, one writes, all know,
// and "good" is said of what that one has read back.
func TestClusterAnyTakesUpdates(t *testing.T) {
	together(t, func(s *caddys) {
		s.start("a")
		s.start("b")
		s.start("c")
		time.Sleep(2 * clusterLease)
		writer, other := s.writer(), s.other()
		began := time.Now()
		s.answers(other, addr1, "good "+addr1)
		s.holds(addr1)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("that took %s", took)
		}
		s.answers(writer, addr2, "good "+addr2)
		s.holds(addr2)
		// At once, before the others could have been told.
		s.answers(other, addr1, "good "+addr1)
		s.holds(addr1)
		time.Sleep(5 * time.Second)
		calls := s.z.count()
		for range 3 {
			for _, i := range s.all {
				s.answers(i, addr1, "nochg "+addr1)
			}
			time.Sleep(10 * time.Minute)
		}
		if n := s.z.count() - calls; n != 0 {
			t.Errorf("%d calls of the provider though nothing changed", n)
		}
	})
}

// TestClusterRefused: what the one that writes cannot write is good to nobody,
// and another one comes to write it.
func TestClusterRefused(t *testing.T) {
	together(t, func(s *caddys) {
		writer, other := s.pair()
		writer.set(func() { writer.refused = true })
		began := time.Now()
		if got := other.update(home, addr1); time.Since(began) < clusterLease || got == "good "+addr1 && s.z.holds("home") != addr1 {
			t.Errorf("answered %q after %s", got, time.Since(began))
		}
		time.Sleep(2 * clusterLease)
		s.holds(addr1)
		s.answers(other, addr1, "nochg "+addr1)
		if s.writer() != other {
			t.Error("the one that is refused has not handed over")
		}
		time.Sleep(3 * time.Second)
		s.answers(writer, addr1, "nochg "+addr1)
	})
}

// TestClusterTakeOver: who takes over has the newest, be it that the one before
// ended as soon as it had said so, and whatever it held when it wrote last.
func TestClusterTakeOver(t *testing.T) {
	together(t, func(s *caddys) {
		s.pair()
		past := addr1
		s.answers(s.other(), past, "good "+past)
		for n := range 4 {
			first := s.writer()
			newest := fmt.Sprintf("93.184.217.%d", n)
			s.z.wrote = func(_ string, addr netip.Addr) {
				if addr.String() != newest {
					s.notef("older")
					t.Errorf("%s was put back", addr)
				}
			}
			s.answers(first, newest, "good "+newest)
			if n%2 == 0 {
				first.stop()
			} else {
				first.kill()
			}
			time.Sleep(3 * clusterLease)
			s.holds(newest)
			s.answers(s.writer(), newest, "nochg "+newest)
			s.start(first.name)
			time.Sleep(3 * clusterLease)
			s.answers(s.other(), newest, "nochg "+newest)
			s.z.wrote = nil
		}
	})
}

// TestClusterCutOff: who cannot see what others have taken in does not say that
// nothing has changed.
func TestClusterCutOff(t *testing.T) {
	together(t, func(s *caddys) {
		s.pair()
		cut := s.writer()
		s.answers(cut, addr1, "good "+addr1)
		cut.set(func() { cut.failing = true })
		s.answers(cut, addr1, "911")
		time.Sleep(3 * clusterLease)
		s.answers(s.writer(), addr2, "good "+addr2)
		s.answers(cut, addr1, "911")
		s.z.wrote = func(_ string, addr netip.Addr) { t.Errorf("%s was put back", addr) }
		cut.set(func() { cut.failing = false })
		time.Sleep(clusterLease)
		s.holds(addr2)
		s.answers(cut, addr2, "nochg "+addr2)

		// It comes to write again, before a slow storage tells it more.
		other := s.writer()
		s.mu.Lock()
		s.delay = time.Second
		s.mu.Unlock()
		other.kill()
		time.Sleep(3 * clusterLease)
		if s.writer() != cut {
			t.Error("it does not write the zone")
		}
		s.holds(addr2)
	})
}

// TestClusterDrift: once the writer finds that somebody else has changed the
// record, and cannot repair it, the others do not say either that it is right.
func TestClusterDrift(t *testing.T) {
	together(t, func(s *caddys) {
		s.pair()
		s.answers(s.writer(), addr1, "good "+addr1)
		time.Sleep(5 * time.Second)
		writer, other := s.writer(), s.other()
		s.answers(other, addr1, "nochg "+addr1)
		for _, i := range s.all {
			i.set(func() { i.readOnly = true })
		}
		s.z.set(nil)
		s.z.mu.Lock()
		s.z.addrs["home"] = netip.MustParseAddr(addr3)
		s.z.mu.Unlock()
		time.Sleep(90 * time.Minute)
		s.answers(other, addr1, "dnserr")
		for _, i := range s.all {
			i.set(func() { i.readOnly = false })
		}
		time.Sleep(20 * time.Minute)
		s.holds(addr1)
		s.answers(other, addr1, "nochg "+addr1)
		s.answers(writer, addr1, "nochg "+addr1)
	})
}

// TestClusterHistories: clients that go from one instance to another, of which
// some die, are stopped, and lose the storage or the provider. Success is said
// of what was in DNS while the client waited, nothing older comes back, and the
// newest is there in the end.
func TestClusterHistories(t *testing.T) {
	for seed := *firstHistory; seed < *firstHistory+uint64(*runHistories); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			together(t, func(s *caddys) { s.history(rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func (s *caddys) history(random *rand.Rand) {
	names := []string{"a", "b", "c"}
	running := make(map[string]*instance)
	for _, name := range names {
		running[name] = s.start(name)
	}
	number := func(addr netip.Addr) int { b := addr.As4(); return int(b[2])<<8 + int(b[3]) }
	address := func(n int) string { return netip.AddrFrom4([4]byte{93, 184, byte(n >> 8), byte(n)}).String() }
	// confirmed is the newest that a client was told is in DNS.
	newest, confirmed := 0, 0
	s.z.wrote = func(_ string, addr netip.Addr) {
		if n := number(addr); n < confirmed {
			s.notef("older")
			s.t.Errorf("%s was put back over %s", addr, address(confirmed))
		}
	}
	for range 50 {
		time.Sleep(time.Duration(random.IntN(int(15 * time.Second))))
		name := names[random.IntN(len(names))]
		i := running[name]
		if i == nil {
			running[name] = s.start(name)
			continue
		}
		switch random.IntN(13) {
		case 12:
			s.notef("%s: storage hangs or not", name)
			i.set(func() { i.hanging = !i.hanging })
		case 0:
			i.kill()
			delete(running, name)
		case 1:
			i.stop()
			delete(running, name)
		case 2:
			s.notef("%s: storage fails or not", name)
			i.set(func() { i.failing = !i.failing })
		case 3:
			s.notef("%s: refused or not", name)
			i.set(func() { i.refused = !i.refused })
		default:
			if random.IntN(3) > 0 {
				newest++
			}
			switch i.update(home, address(newest)) {
			case "good " + address(newest), "nochg " + address(newest):
				s.holds(address(newest))
				s.z.mu.Lock()
				confirmed = newest
				s.z.mu.Unlock()
			case "dnserr", "911":
			default:
				s.t.Error("what was answered is not what the client told")
			}
		}
	}
	for _, i := range running {
		i.set(func() { i.failing, i.refused, i.hanging = false, false, false })
	}
	if len(running) == 0 {
		running["a"] = s.start("a")
	}
	time.Sleep(time.Hour)
	for _, i := range running {
		s.answers(i, address(newest), map[bool]string{true: "nochg ", false: "good "}[s.z.holds("home") == address(newest)]+address(newest))
		time.Sleep(10 * time.Second)
	}
	s.holds(address(newest))
}

// TestClusterCost: what a storage that is paid by the request costs beside what
// the cluster itself does.
func TestClusterCost(t *testing.T) {
	together(t, func(s *caddys) {
		for _, name := range []string{"a", "b", "c"} {
			s.start(name)
		}
		time.Sleep(2 * clusterLease)
		counted := func(d time.Duration, do func()) int {
			s.mu.Lock()
			before := s.count
			s.mu.Unlock()
			do()
			time.Sleep(d)
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.count - before
		}
		idle := counted(10*time.Minute, func() {})
		updates := counted(10*time.Minute, func() {
			for n := range 10 {
				addr := fmt.Sprintf("93.184.217.%d", n)
				s.answers(s.all[n%3], addr, "good "+addr)
				time.Sleep(40 * time.Second)
			}
		}) - counted(10*time.Minute+10*40*time.Second, func() {})
		each := float64(idle) / 30
		t.Logf("%.0f operations a minute and instance, and %d for each update", each, updates/10)
		// 64 are those of the cluster, and one every 2 seconds follows.
		if each > 96 || updates/10 > 40 {
			t.Errorf("%.0f operations a minute and instance, and %d for each update", each, updates/10)
		}
	})
}
