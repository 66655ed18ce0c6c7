package dynamicdns

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const (
	defaultLease = 15 * time.Second
	// leaving bounds how long Stop waits for the storage to take the lease
	// back.
	leaving = 2 * time.Second
)

// Cluster says how this Caddy shares names with others that use the same
// storage. Those share an RRset that manage the same zone at the same provider
// module, the same name and type. One of them writes a zone for all.
type Cluster struct {
	// Which addresses a name holds: `all`, those of all instances that are
	// alive, or `first`, those of one of them, and of another one when that
	// one is gone. Default: all.
	Share string `json:"share,omitempty"`

	// What this instance is called. No two may have the same name.
	// Placeholders are resolved. Default: Caddy's instance ID.
	Name string `json:"name,omitempty"`

	// After how long without a sign of life an instance counts as gone, from
	// 5s to 10m. Each instance stores an entry four times in that time, and
	// reads those of all others at least every 4 seconds. Default: 15s.
	Lease caddy.Duration `json:"lease,omitempty"`

	share  lease.Share
	member *cluster.Member
}

// process is a word of this run of the process, as another one may have the
// same name by mistake.
var process = rand.Text()[:12]

// provision checks the settings, and finds the member that outlives them.
func (c *Cluster) provision(pooled *conf.Pooled) error {
	switch c.Share {
	case "", "all":
	case "first":
		c.share = lease.First
	default:
		return fmt.Errorf("cluster: unknown way to share %q; write `all` or `first`", c.Share)
	}
	if c.Lease == 0 {
		c.Lease = caddy.Duration(defaultLease)
	}
	if d := time.Duration(c.Lease); d < lease.MinLease || d > lease.MaxLease {
		return fmt.Errorf("cluster: a lease of %s is not possible; write one from %s to %s, such as `lease 15s`", d, lease.MinLease, lease.MaxLease)
	}
	name, err := caddy.NewReplacer().ReplaceOrErr(c.Name, true, true)
	if err != nil {
		return fmt.Errorf("cluster: name %q: %w", c.Name, err)
	}
	if name == "" {
		id, err := caddy.InstanceID()
		if err != nil {
			return fmt.Errorf("cluster: finding Caddy's instance ID: %w; give the instance a name with `cluster {\n\tname box1\n}`", err)
		}
		name = id.String()
	}
	host, _ := os.Hostname()
	shared, err := pooled.Hold(conf.Key{Kind: "cluster", Config: name}, func() caddy.Destructor {
		return cluster.New(name, process, host)
	})
	if err == nil {
		c.member = shared.(*cluster.Member)
	}
	return err
}

// part gives the lease up, unless another configuration goes on with it.
func (c *Cluster) part(pooled *conf.Pooled) {
	if !pooled.Last(conf.Key{Kind: "cluster", Config: c.member.Name}) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaving)
	defer cancel()
	c.member.Leave(ctx)
}

// status is what is known of the instances.
func (c *Cluster) status() *status.ClusterStatus {
	known := c.member.Status()
	s := &status.ClusterStatus{
		Instance: c.member.Name, Share: c.share.String(), Lease: time.Duration(c.Lease).Seconds(),
		Instances: []status.InstanceStatus{newInstance(&known.Self)},
	}
	if known.CutOff != nil {
		s.CutOff = known.CutOff.Error()
		if known.Trouble != nil {
			s.CutOff += ": " + known.Trouble.Error()
		}
	}
	s.Instances[0].Alive = known.CutOff == nil
	for _, m := range known.Members {
		i := newInstance(&m.Entry)
		i.Alive, i.LastSeen = m.Alive, show.Stamp(m.Seen)
		s.Instances = append(s.Instances, i)
	}
	return s
}

func newInstance(e *lease.Entry) status.InstanceStatus {
	i := status.InstanceStatus{Name: e.Name, Host: e.Host, Addresses: status.Addresses{}, Writes: []string{}}
	var addrs []netip.Addr
	for _, set := range e.Sets {
		for _, found := range set.Found {
			if found != nil && !found.Lost {
				addrs = append(addrs, found.Addrs...)
			}
		}
	}
	i.Addresses = ipaddr.Sort(addrs)
	for _, w := range e.Writes {
		i.Writes = append(i.Writes, dnsname.Display(w.Zone))
	}
	slices.Sort(i.Writes)
	i.Writes = slices.Compact(i.Writes)
	return i
}

// log says once per start that names are shared.
func (c *Cluster) log(logger *zap.Logger) {
	logger.Info("sharing names with other instances",
		zap.String("instance", c.member.Name), zap.String("share", c.share.String()),
		zap.Duration("lease", time.Duration(c.Lease)))
}
