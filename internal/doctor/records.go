package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// records says which names do not lead to this machine, and why.
func (j *judge) records(z *Zone) {
	j.about = "names in " + z.Name
	right, public := 0, 0
	var shortest, longest time.Duration
	for i := range z.Records {
		r := &z.Records[i]
		if r.Desired == nil {
			continue
		}
		before := len(j.findings)
		seen := j.record(z, r)
		if len(j.findings) == before && (z.readable() || seen) {
			right++
			if seen {
				public++
				if ttl := r.Public.TTL; public == 1 || ttl < shortest {
					shortest = ttl
				}
				longest = max(longest, r.Public.TTL)
			}
		}
	}
	ttl := about(shortest)
	if longest > shortest {
		ttl += " to " + about(longest)
	}
	switch {
	case right == 0:
	case public == right && !z.readable():
		j.ok("%s as desired in public DNS, with a TTL of %s", count(right, "record is", "records are"), ttl)
	case public == right:
		j.ok("%s as desired, at the provider and in public DNS, with a TTL of %s", count(right, "record is", "records are"), ttl)
	default:
		j.ok("%s as desired at the provider; public DNS has not been asked for all of them, or does not answer", count(right, "record is", "records are"))
	}
}

// record judges one RRset. It reports whether public DNS shows it, too.
func (j *judge) record(z *Zone, r *Record) (seen bool) {
	who := r.FQDN + " " + r.Family.RRType()
	switch {
	case r.Blocked != "":
		j.wrong("%s: %s", who, r.Blocked)
		return false
	case !z.readable():
	case slices.Equal(r.Observed, r.Desired):
	case len(r.Observed) == 0 && r.UpdateOnly:
		advise(j.wrong("%s does not exist, and update_only keeps it from being created", who), "Create it at the provider, or leave update_only out.")
		return false
	default:
		f := j.wrong("%s is %s at %s, and should be %s", who, list(r.Observed), z.Provider, list(r.Desired))
		running := j.running(z)
		if !running.FailingSince.IsZero() {
			advise(f, "The running Caddy tries to write that, and fails; see above.")
		} else if j.Running == nil {
			advise(f, "Nothing keeps it while Caddy does not run:", "caddy run")
		} else {
			advise(f, "The running Caddy has not written that yet; have it do so now:", "caddy dynamic-dns check")
		}
		return false
	}
	return j.inPublic(z, r, who)
}

// inPublic judges what the zone's servers and this machine's resolver answer.
func (j *judge) inPublic(z *Zone, r *Record, who string) (seen bool) {
	p := r.Public
	switch {
	case p.Server == "" || p.Err != "":
		return false
	case p.Cut != "":
		advise(j.wrong("%s: NS records at %s lead all names there to other servers", who, p.Cut), "Write the name under that zone, or delete the NS records.")
		return false
	case p.CNAME != "":
		advise(j.wrong("%s: a CNAME record to %s is in the way", who, p.CNAME), "Delete it at the provider, or take the name out of the configuration.")
		return false
	case proxied(z, p.Addrs):
		j.ok("%s: Cloudflare answers with its own addresses, for the record is proxied", who)
		return true
	case !slices.Equal(ipaddr.Sort(p.Addrs), r.Desired):
		f := j.wrong("%s is %s at %s, and should be %s", who, list(p.Addrs), p.Server, list(r.Desired))
		if z.readable() {
			advise(f, fmt.Sprintf("That server does not have what %s has. If it stays so for minutes, it is not a server of that account: where the domain is registered, enter the name servers that %s shows for the zone.", z.Provider, z.Provider))
		}
		return false
	}
	c := r.Cached
	switch {
	case c.Server == "" || c.Err != "" || slices.Equal(ipaddr.Sort(c.Addrs), r.Desired):
	case slices.ContainsFunc(c.Addrs, func(a netip.Addr) bool { return ipaddr.SpecialPurpose(a) != "" }):
		j.ok("%s: the resolver %s answers with %s, as for this network alone", who, c.Server, list(c.Addrs))
	case len(c.Addrs) == 0:
		advise(j.wrong("%s: the resolver %s has kept in mind that there is no such record", who, c.Server), "It asks again once that is too old, within minutes to hours (the SOA record's minimum).")
	default:
		advise(j.wrong("%s: the resolver %s still has %s in its cache", who, c.Server, list(c.Addrs)),
			fmt.Sprintf("It forgets that within %s, and so do others. A shorter TTL makes the next change faster:", about(max(c.TTL, time.Second))), "ttl 1m")
	}
	return true
}

// cloudflare are the addresses of Cloudflare's proxies,
// https://www.cloudflare.com/ips/.
var cloudflare = []netip.Prefix{
	netip.MustParsePrefix("103.21.244.0/22"), netip.MustParsePrefix("103.22.200.0/22"), netip.MustParsePrefix("103.31.4.0/22"),
	netip.MustParsePrefix("104.16.0.0/13"), netip.MustParsePrefix("104.24.0.0/14"), netip.MustParsePrefix("108.162.192.0/18"),
	netip.MustParsePrefix("131.0.72.0/22"), netip.MustParsePrefix("141.101.64.0/18"), netip.MustParsePrefix("162.158.0.0/15"),
	netip.MustParsePrefix("172.64.0.0/13"), netip.MustParsePrefix("173.245.48.0/20"), netip.MustParsePrefix("188.114.96.0/20"),
	netip.MustParsePrefix("190.93.240.0/20"), netip.MustParsePrefix("197.234.240.0/22"), netip.MustParsePrefix("198.41.128.0/17"),
	netip.MustParsePrefix("2400:cb00::/32"), netip.MustParsePrefix("2405:8100::/32"), netip.MustParsePrefix("2405:b500::/32"),
	netip.MustParsePrefix("2606:4700::/32"), netip.MustParsePrefix("2803:f800::/32"), netip.MustParsePrefix("2a06:98c0::/29"),
	netip.MustParsePrefix("2c0f:f248::/32"),
}

// proxied reports whether the addresses are all of Cloudflare's.
func proxied(z *Zone, addrs []netip.Addr) bool {
	return z.Provider == "cloudflare" && len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return !slices.ContainsFunc(cloudflare, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}
