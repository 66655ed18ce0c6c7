package advice

// What is written instead of words that are options of other programs, or that
// belong somewhere else.
const (
	provider = "`provider cloudflare {env.CLOUDFLARE_API_TOKEN}`"
	domains  = "`domains {\n\texample.com @ www\n}`"
	hosts    = "`hosts www.example.com`"
	interval = "`check_interval 5m`"
	web      = "`ip_source simple_http https://icanhazip.com`"
	device   = "`ip_source interface eth0`"
	versions = "`versions ipv4`, `versions ipv6`, or leave it out for both"
	inside   = "it inside of the provider: `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\tproxied on\n}`"
)

// options are words that people write as options of the Caddyfile.
var options = map[string]string{
	"interval":         interval,
	"check":            interval,
	"check_every":      interval,
	"update_interval":  interval,
	"update_every":     interval,
	"poll_interval":    interval,
	"polling_interval": interval,
	"refresh":          interval,
	"refresh_interval": interval,
	"period":           interval,
	"frequency":        interval,
	"cron":             interval,
	"daemon":           interval,

	"dns":          provider,
	"dns_provider": provider,
	"token":        provider,
	"api_token":    provider,
	"api_key":      provider,
	"apikey":       provider,
	"key":          provider,
	"login":        provider,
	"username":     provider,
	"password":     provider,
	"protocol":     provider,
	"cloudflare":   provider,

	"proxied": inside,
	"proxy":   inside,

	"host":       hosts,
	"hostname":   hosts,
	"hostnames":  hosts,
	"domain":     domains,
	"zone":       domains,
	"zones":      domains,
	"name":       domains,
	"names":      domains,
	"record":     domains,
	"records":    domains,
	"subdomain":  domains,
	"subdomains": domains,

	"use":         web,
	"web":         web,
	"url":         web,
	"endpoint":    web,
	"endpoints":   web,
	"simple_http": web,
	"resolver":    web,
	"interface":   device,
	"iface":       device,
	"if":          device,
	"ip_source":   device,
	"ip_sources":  device,
	"source":      device,
	"sources":     device,
	"ip":          "`ip_source static 203.0.113.7`",
	"address":     "`ip_source static 203.0.113.7`",
	"static":      "`ip_source static 203.0.113.7`",
	"upnp":        "`ip_source upnp`",
	"natpmp":      "`ip_source natpmp`",
	"fritzbox":    "`ip_source fritzbox`",
	"file":        "`ip_source file /run/wan-addresses`",
	"command":     "`ip_source command /usr/local/bin/my-address`",
	"cmd":         "`ip_source command /usr/local/bin/my-address`",

	"ipv4":        versions,
	"ipv6":        versions,
	"ip4":         versions,
	"ip6":         versions,
	"version":     versions,
	"ip_version":  versions,
	"ip_versions": versions,
	"a":           versions,
	"aaaa":        versions,

	"time_to_live":    "`ttl 5m`",
	"record_ttl":      "`ttl 5m`",
	"includes":        "`include 192.168.0.0/16`",
	"excludes":        "`exclude 192.168.0.0/16`",
	"ignore":          "`except www.example.com`",
	"exclude_domains": "`except www.example.com`",
}

const jsonProvider = "`\"dns_provider\": {\"name\": \"cloudflare\", \"api_token\": \"{env.CLOUDFLARE_API_TOKEN}\"}`"

// members are words that people write as members of the JSON.
var members = map[string]string{
	"provider":     jsonProvider,
	"dns":          jsonProvider,
	"ip_source":    "`\"ip_sources\": [{\"source\": \"simple_http\"}]`",
	"source":       "`\"ip_sources\": [{\"source\": \"simple_http\"}]`",
	"interval":     "`\"check_interval\": \"5m\"`",
	"zones":        "`\"domains\": {\"example.com\": [\"@\", \"www\"]}`",
	"names":        "`\"domains\": {\"example.com\": [\"@\", \"www\"]}`",
	"ip_versions":  "`\"versions\": {\"ipv4\": true, \"ipv6\": false}`",
	"includes":     "`\"include\": [\"192.168.0.0/16\"]`",
	"excludes":     "`\"exclude\": [\"192.168.0.0/16\"]`",
	"dns_provider": jsonProvider,
}
