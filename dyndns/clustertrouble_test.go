package dyndns

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/libdns/libdns"
)

// TestClusterOtherUsers: an instance that writes the zone, but does not serve
// the host, does not say that DNS holds what another one was told.
func TestClusterOtherUsers(t *testing.T) {
	for _, withdraw := range []bool{false, true} {
		together(t, func(s *caddys) {
			s.withdraw = withdraw
			s.start("a", "www.example.com")
			time.Sleep(2 * clusterLease)
			b := s.start("b", "www.example.com", home)
			time.Sleep(2 * clusterLease)
			if s.writer() == b {
				t.Fatal("b writes")
			}
			s.answers(b, addr1, "dnserr")
			s.answers(b, addr1, "dnserr")
			s.all[0].stop()
			time.Sleep(2 * clusterLease)
			s.holds(addr1)
			s.answers(b, addr1, "nochg "+addr1)
		})
	}
}

// TestClusterHangs: what an instance was told while its storage hung, and has
// refused, does not come true once another one was told something newer.
func TestClusterHangs(t *testing.T) {
	for n := range 8 {
		together(t, func(s *caddys) {
			cut, well := s.pair()
			if n%2 == 1 {
				cut, well = well, cut
			}
			s.answers(cut, addr1, "good "+addr1)
			time.Sleep(5 * time.Second)
			cut.set(func() { cut.hanging = true })
			s.answers(cut, addr3, "911")
			time.Sleep(time.Minute)
			s.answers(well, addr2, "good "+addr2)
			cut.set(func() { cut.hanging = false })
			time.Sleep(3 * clusterLease)
			s.holds(addr2)
			s.answers(well, addr2, "nochg "+addr2)
			s.answers(cut, addr2, "nochg "+addr2)
		})
	}
}

// TestClusterOneCallHangs: a call of the storage that gets no answer, for one
// host, does not keep the instance from what others are told of another one.
func TestClusterOneCallHangs(t *testing.T) {
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ignores := func(context.Context) error { time.Sleep(10 * time.Minute); return errors.New("no route to host") }
	for _, stuck := range []func(context.Context) error{waits, ignores} {
		together(t, func(s *caddys) {
			writer, other := s.pair()
			s.answers(other, addr1, "good "+addr1)
			time.Sleep(5 * time.Second)
			if got := writer.update("www.example.com", addr1); got != "good "+addr1 {
				t.Errorf("got %s", got)
			}
			writer.set(func() { writer.stuck = stuck })
			go writer.update("www.example.com", addr2)
			time.Sleep(time.Second)
			if got := other.update("www.example.com", addr3); got != "good "+addr3 {
				t.Errorf("got %s", got)
			}
			s.answers(other, addr2, "good "+addr2)
			s.holds(addr2)
			time.Sleep(15 * time.Minute)
			if got := other.update("www.example.com", addr1); got != "good "+addr1 {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestClusterUnreadable: an entry that the instance cannot read that writes the
// zone, as when it belongs to another user of the machine, is no reason to leave
// all others unconfirmed.
func TestClusterUnreadable(t *testing.T) {
	together(t, func(s *caddys) {
		writer, other := s.pair()
		s.answers(other, addr1, "good "+addr1)
		writer.set(func() { writer.unreadable = "www.example.com" })
		if got := other.update("www.example.com", addr1); got != "good "+addr1 {
			t.Errorf("got %s", got)
		}
		s.answers(other, addr2, "good "+addr2)
		s.holds(addr2)
	})
}

// TestClusterUnreadableTakeOver: the same of one that comes to write the zone, and
// of one that starts so.
func TestClusterUnreadableTakeOver(t *testing.T) {
	together(t, func(s *caddys) {
		writer, other := s.pair()
		s.answers(writer, addr1, "good "+addr1)
		if got := writer.update("www.example.com", addr1); got != "good "+addr1 {
			t.Errorf("got %s", got)
		}
		third := s.start("c")
		for _, i := range []*instance{other, third} {
			i.set(func() { i.unreadable = "www.example.com" })
		}
		time.Sleep(2 * clusterLease)
		writer.kill()
		time.Sleep(3 * clusterLease)
		s.answers(s.other(), addr1, "nochg "+addr1)
		s.answers(s.other(), addr2, "good "+addr2)
		s.holds(addr2)
		if got := s.writer().update("www.example.com", addr1); got != "911" {
			t.Errorf("got %s", got)
		}
		fourth := s.start("d")
		fourth.set(func() { fourth.unreadable = "www.example.com" })
		time.Sleep(2 * clusterLease)
		other.kill()
		third.kill()
		time.Sleep(3 * clusterLease)
		s.answers(fourth, addr3, "good "+addr3)
		s.holds(addr3)
	})
}

// TestClusterAllStart: what the one has told that wrote the zone before all were
// killed is not believed of what DNS holds by now.
func TestClusterAllStart(t *testing.T) {
	together(t, func(s *caddys) {
		s.pair()
		s.answers(s.other(), addr1, "good "+addr1)
		time.Sleep(5 * time.Second)
		s.all[0].kill()
		s.all[1].kill()
		s.z.delete([]libdns.Record{libdns.Address{Name: "home", IP: netip.MustParseAddr(addr1)}})
		i := s.start("a")
		s.start("b")
		time.Sleep(50 * time.Millisecond)
		s.answers(i, addr1, "good "+addr1)
		s.holds(addr1)
	})
}

// TestClusterUnread: an instance that comes to write the zone, and cannot read
// it, has others say nothing of what the one before had told.
func TestClusterUnread(t *testing.T) {
	together(t, func(s *caddys) {
		writer, other := s.pair()
		s.answers(other, addr1, "good "+addr1)
		time.Sleep(5 * time.Second)
		third := s.start("c")
		time.Sleep(5 * time.Second)
		s.answers(third, addr1, "nochg "+addr1)
		writer.kill()
		for _, i := range s.all {
			i.set(func() { i.refused = true })
		}
		s.z.delete([]libdns.Record{libdns.Address{Name: "home", IP: netip.MustParseAddr(addr1)}})
		time.Sleep(2 * clusterLease)
		for _, i := range s.all {
			if i.isRunning() {
				s.answers(i, addr1, "dnserr")
			}
		}
		for _, i := range s.all {
			i.set(func() { i.refused = false })
		}
		time.Sleep(20 * time.Minute)
		s.holds(addr1)
		s.answers(other, addr1, "nochg "+addr1)
		s.answers(third, addr1, "nochg "+addr1)
	})
}
