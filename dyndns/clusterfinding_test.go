package dyndns

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// TestClusterFindsZones: the same where no zone is written, and each instance
// finds it when the others know it already.
func TestClusterFindsZones(t *testing.T) {
	together(t, func(s *caddys) {
		s.finds = true
		s.start("a")
		s.start("b")
		time.Sleep(6 * clusterLease)
		s.answers(s.other(), addr1, "good "+addr1)
		s.holds(addr1)
		s.answers(s.writer(), addr1, "nochg "+addr1)
		s.writer().kill()
		third := s.start("c")
		time.Sleep(6 * clusterLease)
		s.answers(third, addr2, "good "+addr2)
		s.holds(addr2)
	})
}

// search finds the zone of all hosts a while after the start.
func (i *instance) search(hosts []string) *finder.Search {
	return &finder.Search{
		Known: new(finder.Known), Provider: i.provider, Hosts: finder.Hosts{Needed: hosts}, NoSuchZone: zone.NoSuch,
		Locate: func(context.Context, string) (string, error) {
			time.Sleep(3 * clusterLease)
			return origin, nil
		},
		Changed: func() { i.app.place() }, Chance: func() float64 { return 0.5 }, Logger: zap.NewNop(),
	}
}
