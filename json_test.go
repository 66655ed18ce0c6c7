package dynamicdns

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestValidateNamesThePlace: `caddy validate` finds all that can be found
// without a network, and says where in the JSON it is.
func TestValidateNamesThePlace(t *testing.T) {
	current.Store(&lab{t: t})
	good := standin.New(standin.Character{}, zoneName).Register()
	blind := standin.New(standin.Character{NoGet: true}, zoneName).Register()
	// In each configuration, MEMBER stands for what is left out there.
	const flat = `{"dns_provider": {"name": "good"}, MEMBER}`
	const second = `{"providers": [
		{"dns_provider": {"name": "good"}, "domains": {"example.org": ["@"]}},
		{"dns_provider": {"name": "good"}, MEMBER}
	]}`
	domains := `"domains": {"example.com": ["www"]}, `
	for name, test := range map[string]struct{ config, member, want string }{
		"unknown field":              {flat, domains + `"intervall": 1`, `dynamic_dns: intervall: unknown field`},
		"misspelt field":             {flat, domains + `"dynamic_domain": true`, `dynamic_domain: unknown field; did you mean "dynamic_domains"?`},
		"unknown field of an entry":  {second, domains + `"foo": 1`, `providers[1].foo: unknown field`},
		"app's field in an entry":    {second, domains + `"check_interval": "1m"`, `providers[1].check_interval: unknown field`},
		"unknown field of versions":  {second, domains + `"versions": {"ipv5": true}`, `providers[1].versions.ipv5: unknown field; did you mean "ipv4"?`},
		"versions no object":         {flat, domains + `"versions": ["ipv4"]`, `versions: this is a list; write an object`},
		"version no boolean":         {second, domains + `"versions": {"ipv4": "yes"}`, `providers[1].versions.ipv4: this is a string; write true or false`},
		"include no list":            {flat, domains + `"include": "10.0.0.0/8"`, `include: this is a string; write a list`},
		"exclude no list":            {second, domains + `"exclude": {"10.0.0.0/8": true}`, `providers[1].exclude: this is an object; write a list`},
		"include of numbers":         {second, domains + `"include": ["10.0.0.0/8", 10]`, `providers[1].include[1]: this is a number; write a string`},
		"bare address":               {flat, domains + `"include": ["10.0.0.1"]`, `provision dynamic_dns: include: "10.0.0.1": an address is not a range: write 10.0.0.1/32`},
		"bare address in an entry":   {second, domains + `"exclude": ["10.0.0.1"]`, `providers[1].exclude: "10.0.0.1": an address is not a range: write 10.0.0.1/32`},
		"private_ranges":             {second, domains + `"include": ["private_ranges"]`, `providers[1].include: "private_ranges": this word is for the Caddyfile`},
		"names no list":              {second, `"domains": {"example.com": "www"}`, `providers[1].domains["example.com"]: this is a string; write a list`},
		"name no string":             {flat, `"domains": {"example.com": ["a", null, true]}`, `domains["example.com"][2]: this is a boolean; write a string`},
		"name repeats zone":          {second, `"domains": {"example.com": ["www.example.com"]}`, `providers[1].domains["example.com"][0]: name "www.example.com" repeats its zone; names are relative to their zone: write "www"`},
		"zone is a URL":              {second, `"domains": {"https://example.com": []}`, `providers[1].domains["https://example.com"]: zone "https://example.com" is a URL; write "example.com"`},
		"no domains":                 {second, `"ttl": "5m"`, `providers[1].domains: no domains are configured`},
		"duration":                   {second, domains + `"ttl": "5 minutes"`, "providers[1].ttl: time: unknown unit \" minutes\" in duration \"5 minutes\"; write a duration, as in `\"ttl\": \"5m\"`"},
		"duration without a unit":    {flat, domains + `"check_interval": "300"`, "check_interval: time: missing unit in duration \"300\"; write a duration, as in `\"check_interval\": \"5m\"`"},
		"seconds":                    {flat, domains + `"check_interval": 300`, "check_interval: the number 300 means 300 nanoseconds; write `\"check_interval\": \"300s\"`"},
		"seconds in an entry":        {second, domains + `"ttl": 60`, "providers[1].ttl: the number 60 means 60 nanoseconds; write `\"ttl\": \"60s\"`"},
		"the Caddyfile's provider":   {flat, domains + `"provider": {"name": "x"}`, "provider: unknown field; write `\"dns_provider\": {\"name\": \"cloudflare\""},
		"the Caddyfile's ip_source":  {second, domains + `"ip_source": {}`, "providers[1].ip_source: unknown field; write `\"ip_sources\": [{\"source\": \"simple_http\"}]`"},
		"a variable in no braces":    {`{"dns_provider": {"name": "cf_fake", "args": ["env.TOKEN"]}, MEMBER}`, strings.TrimSuffix(domains, ", "), "dns_provider: a value is not replaced by that of the environment variable TOKEN; write `{env.TOKEN}`"},
		"a comma":                    {flat, `"domains": {"example.com": ["@,www"]}`, `domains["example.com"][0]: name "@,www" has a comma in it; write every name as a word of its own`},
		"duration no duration":       {flat, domains + `"check_interval": true`, `check_interval: this is a boolean; write a duration such as "5m"`},
		"short ttl":                  {second, domains + `"ttl": "5ms"`, `providers[1].ttl: 5ms is too short`},
		"flag no boolean":            {second, domains + `"dynamic_domains": "on"`, `providers[1].dynamic_domains: this is a string; write true or false`},
		"update_only without reads":  {`{"dns_provider": {"name": "blind"}, MEMBER}`, domains + `"update_only": true`, `update_only: this needs to know which records exist`},
		"blind provider of sites":    {`{"dns_provider": {"name": "blind"}, MEMBER}`, `"dynamic_domains": true`, `dynamic_domains: without domains, the DNS provider has to tell which zones it has`},
		"hosts no list":              {second, `"hosts": "www.example.com"`, `providers[1].hosts: this is a string; write a list`},
		"host is a label":            {second, `"hosts": ["www"]`, "providers[1].hosts[0]: host \"www\" is no full name; write it with its zone, as in `hosts www.example.com`"},
		"host is a TLD with its dot": {second, `"hosts": ["com."]`, "host \"com.\" is no full name; write it with its zone, as in `hosts com.example.com`"},
		"host in two entries":        {`{"providers": [{"dns_provider": {"name": "good"}, MEMBER}, {"dns_provider": {"name": "blind"}, "hosts": ["www.example.com"]}]}`, strings.TrimSuffix(domains, ", "), `the name "www.example.com" is managed twice: in providers[0].domains under zone "example.com" and in providers[1].hosts; leave it in one of them`},
		"except is a label":          {flat, domains + `"dynamic_domains": true, "except": ["intranet"]`, "except: \"intranet\": host \"intranet\" is no full name; write it with its zone, as in `except intranet.example.com`"},
		"except without sites":       {flat, domains + `"except": ["a.example.com"]`, `except: these hosts are left out of dynamic_domains, which is not on`},
		"except of an entry":         {second, domains + `"except": ["a.example.com"]`, `providers[1].except: these hosts are left out of dynamic_domains, which is not on`},
		"except for nobody":          {`{"except": ["a.example.com"], "dynamic_domains": true, "providers": [{"dns_provider": {"name": "good"}, MEMBER}]}`, strings.TrimSuffix(domains, ", "), `except: entries of providers do not take these hosts; write except in the entries`},
		"except is a URL":            {second, domains + `"dynamic_domains": true, "except": ["https://a.example.com"]`, `providers[1].except: "https://a.example.com": host "https://a.example.com" is a URL; write "a.example.com"`},
		"providers no list":          {`{"providers": {"name": "good"}}`, ``, `providers: this is an object; write a list`},
		"entry no object":            {`{"providers": ["good"]}`, ``, `providers[0]: this is a string; write an object`},
		"provider no object":         {`{"dns_provider": "good"}`, ``, `dns_provider: this is a string; write an object`},
		"provider unknown":           {`{"providers": [{"dns_provider": {"name": "nobody"}, MEMBER}]}`, strings.TrimSuffix(domains, ", "), "providers[0].dns_provider: unknown DNS provider \"nobody\": this build of Caddy has no module dns.providers.nobody; build one that has, with `xcaddy build --with github.com/caddy-dynamic-dns/caddy-dynamic-dns=. --with github.com/caddy-dns/nobody`"},
		"provider not named":         {`{"dns_provider": {"api_token": "s3cret-s3cret"}, MEMBER}`, strings.TrimSuffix(domains, ", "), "dns_provider: the provider is not named; write its name beside its settings, as in `"},
		"provider's unknown field":   {`{"providers": [{"dns_provider": {"name": "cf_fake", "token": "s3cret"}, MEMBER}]}`, strings.TrimSuffix(domains, ", "), `providers[0].dns_provider: loading module 'cf_fake': decoding module config: dns.providers.cf_fake: json: unknown field "token"`},
		"source unknown":             {second, domains + `"ip_sources": [{"source": "static", "ips": ["93.184.216.34"]}, {"source": "tea_leaves"}]`, `providers[1].ip_sources[1]: unknown IP source "tea_leaves": this build of Caddy has no module dynamic_dns.ip_sources.tea_leaves; write one of `},
		"source is a device":         {flat, domains + `"ip_sources": [{"source": "eth0"}]`, "ip_sources[0]: unknown IP source \"eth0\"; write `ip_source interface eth0`"},
		"source not named":           {flat, domains + `"ip_sources": [{"endpoints": ["https://me:s3cret@a.example"]}]`, "ip_sources[0]: the IP source is not named; write its name beside its settings, as in `"},
		"sources no list":            {second, domains + `"ip_sources": {"source": "upnp"}`, `providers[1].ip_sources: this is an object; write a list`},
		"source refuses its options": {flat, domains + `"ip_sources": [{"source": "simple_http", "endpoints": ["icanhazip.com"]}]`, `ip_sources[0]: `},
		"sources cannot agree":       {flat, domains + `"ip_sources": [{"source": "upnp"}, {"source": "simple_http", "endpoints": ["https://a.example"], "quorum": 2}]`, `ip_sources[1]: quorum 2 cannot be reached`},
		"placeholder":                {second, `"domains": {"example.com": ["{env.DYNAMIC_DNS_TEST_UNSET}"]}`, `providers[1].domains["example.com"][0]: the environment variable DYNAMIC_DNS_TEST_UNSET is not set`},
		"sites taken twice": {`{"dynamic_domains": true, "dns_provider": {"name": "good"}, "domains": {"example.com": []}, "providers": [{MEMBER}]}`, `"domains": {"example.com": []}`,
			`managed twice: in domains under zone "example.com" and in providers[0].domains under zone "example.com", both with dynamic_domains`},
		"name in two entries": {`{"providers": [{"dns_provider": {"name": "good"}, MEMBER}, {"dns_provider": {"name": "blind"}, MEMBER}]}`, strings.TrimSuffix(domains, ", "),
			`the name "www.example.com" is managed twice: in providers[0].domains under zone "example.com" and in providers[1].domains under zone "example.com"; leave it in one of them`},
		"a number": {`3`, ``, `the configuration is a number; write an object`},
	} {
		t.Run(name, func(t *testing.T) {
			app := strings.NewReplacer("MEMBER", test.member, `"good"`, fmt.Sprintf("%q", good), `"blind"`, fmt.Sprintf("%q", blind)).Replace(test.config)
			err := validate(app)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v\nwant one with %s", err, test.want)
			} else if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a secret is in: %v", err)
			}
		})
	}
	// The same name may be kept by two, each with a family of its own.
	apart := strings.ReplaceAll(`{"providers": [
		{"dns_provider": {"name": "good"}, "domains": {"example.com": ["www"]}, "versions": {"ipv4": false}, "ttl": null},
		{"dns_provider": {"name": "good"}, "domains": {"example.com": ["www"]}, "versions": {"ipv6": false}, "ttl": 300000000000}
	]}`, "good", good)
	if err := validate(apart); err != nil {
		t.Error(err)
	}
	conf.Pool.Range(func(key, _ any) bool {
		t.Errorf("%v outlives all of these configurations", key)
		return true
	})
}

func validate(app string) error {
	config := &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"dynamic_dns": json.RawMessage(app)},
	}
	return caddy.Validate(config)
}
