package dnsname

import (
	"strings"
	"testing"
)

func TestZone(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{in: "example.com", want: "example.com."},
		{in: "example.com.", want: "example.com."},
		{in: "Example.COM", want: "example.com."},
		{in: "example", want: "example."},
		{in: "bücher.example", want: "xn--bcher-kva.example."},
		{in: "BÜCHER。example", want: "xn--bcher-kva.example."},
		{in: "straße.example", want: "xn--strae-oqa.example."},
		{in: "_sub.example.com", want: "_sub.example.com."},
		{in: "r3---sn.example.com", want: "r3---sn.example.com."},
		{in: "2.0.192.in-addr.arpa", want: "2.0.192.in-addr.arpa."},
		{in: "", err: `a zone is empty; write its domain name`},
		{in: ".", err: `zone "." is no domain name`},
		{in: "@", err: `zone "@" is no domain name`},
		{in: "https://example.com/", err: `zone "https://example.com/" is a URL; write "example.com"`},
		{in: "example.com/x", err: `has a path; write "example.com"`},
		{in: "example.com:443", err: `has a port; write "example.com"`},
		{in: "192.0.2.1", err: `is an IP address; write a domain name`},
		{in: "https://192.0.2.1:80/", err: `is an IP address`},
		{in: "2001:db8::1", err: `is an IP address`},
		{in: "[2001:db8::1]:53", err: `is an IP address`},
		{in: ".example.com", err: `has an empty label`},
		{in: "example..com", err: `has an empty label`},
		{in: "example.com..", err: `has an empty label`},
		{in: "example.com www", err: `has a space in it`},
		{in: "*.example.com", err: `is a wildcard; write the zone "example.com" and the name "*"`},
		{in: "*", err: `has a wildcard`},
		{in: "a.*.example.com", err: `wildcard in the wrong place`},
		{in: "{env.ZONE}", err: `has a placeholder that was not replaced`},
		{in: "exa!mple.com", err: `has the character '!'`},
		{in: "xn--a.example", err: `no valid international domain name`},
		{in: strings.Repeat("a", 63) + ".example", want: strings.Repeat("a", 63) + ".example."},
		{in: strings.Repeat("a", 64) + ".example", err: `a label of 64 octets; write labels of at most 63`},
		{in: strings.Repeat("a.", 126) + "a", want: strings.Repeat("a.", 127)},
		{in: strings.Repeat("a.", 126) + "aa", err: `a domain name of 256 octets`},
	} {
		got, err := Zone(tc.in)
		checkNormalized(t, tc.in, got, err, tc.want, tc.err)
	}
}

func TestName(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{in: "@", want: "@"},
		{in: "www", want: "www"},
		{in: "WWW", want: "www"},
		{in: "a.b", want: "a.b"},
		{in: "*", want: "*"},
		{in: "*.sub", want: "*.sub"},
		{in: "_dmarc", want: "_dmarc"},
		{in: "Übung", want: "xn--bung-zra"},
		{in: "*.übung", want: "*.xn--bung-zra"},
		{in: "notexample.com", want: "notexample.com"},
		{in: "com", want: "com"},
		{in: "", want: "@"},
		{in: "www.example.com", err: `name "www.example.com" repeats its zone; names are relative to their zone: write "www"`},
		{in: "WWW.Example.com", err: `write "www"`},
		{in: "www.example.com.", err: `repeats its zone; names are relative to their zone: write "www"`},
		{in: "*.example.com", err: `repeats its zone; names are relative to their zone: write "*"`},
		{in: "example.com", err: `repeats its zone; names are relative to their zone: write "@"`},
		{in: "https://www.example.com/x", err: `is a URL; write "www"`},
		{in: "https://example.com", err: `is a URL; write "@"`},
		{in: "www:443", err: `has a port; write "www"`},
		{in: "Www.example.com:443", err: `has a port; write "www"`},
		{in: "www/path", err: `has a path; write "www"`},
		{in: "198.51.100.7", err: `is an IP address`},
		{in: "::1", err: `is an IP address`},
		{in: "www.", err: `ends with a dot, but is not in the zone "example.com"; names are relative to their zone: write "www"`},
		{in: ".", err: `has an empty label`},
		{in: ".www", err: `has an empty label`},
		{in: "www..sub", err: `has an empty label`},
		{in: "www sub", err: `has a space in it; write every name as a word of its own`},
		{in: "a\tb", err: `has a space in it`},
		{in: "www.*", err: `wildcard in the wrong place`},
		{in: "w*", err: `wildcard in the wrong place`},
		{in: "**", err: `wildcard in the wrong place`},
		{in: "*.*", err: `wildcard in the wrong place`},
		{in: "{env.NAME", err: `has a placeholder that was not replaced`},
		{in: "@.sub", err: `has the character '@'`},
		{in: "℀", err: `has the character '/'`},
		{in: "https://", err: `has the character ':'`},
		{in: strings.Repeat("a", 64), err: `a label of 64 octets`},
		{in: strings.Repeat("a.", 120) + "a", want: strings.Repeat("a.", 120) + "a"},
		{in: strings.Repeat("a.", 120) + "aa", err: `a domain name of 256 octets`},
	} {
		got, err := Name(tc.in, "example.com.")
		checkNormalized(t, tc.in, got, err, tc.want, tc.err)
	}
}

func TestHost(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{in: "WWW.example.com.", want: "www.example.com"},
		{in: "*.bücher.example", want: "*.xn--bcher-kva.example"},
		{in: "", err: "a host is empty"},
		{in: "http://www.example.com", err: `is a URL; write "www.example.com"`},
		{in: "www.example.com:80", err: `has a port; write "www.example.com"`},
		{in: "www.*.com", err: `wildcard in the wrong place`},
	} {
		got, err := Host(tc.in)
		checkNormalized(t, tc.in, got, err, tc.want, tc.err)
	}
}

func checkNormalized(t *testing.T, in, got string, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("%q: got %q and error %v, want error with: %s", in, got, err, wantErr)
	case wantErr == "" && (err != nil || got != want):
		t.Errorf("%q: got %q and error %v, want %q", in, got, err, want)
	}
}

func TestMatchZone(t *testing.T) {
	zones := []string{"example.com.", "sub.example.com.", "example.net.", "com."}
	for _, tc := range []struct{ host, zone, name string }{
		{"example.com", "example.com.", "@"},
		{"www.example.com", "example.com.", "www"},
		{"a.sub.example.com", "sub.example.com.", "a"},
		{"sub.example.com", "sub.example.com.", "@"},
		{"*.example.com", "example.com.", "*"},
		{"*.sub.example.com", "sub.example.com.", "*"},
		{"www.example.com.", "example.com.", "www"},
		{"notexample.com", "com.", "notexample"},
		{"notexample.net", "", ""},
		{"example.org", "", ""},
		{"", "", ""},
	} {
		zone, name, ok := Match(tc.host, zones)
		if zone != tc.zone || name != tc.name || ok != (tc.zone != "") {
			t.Errorf("%q: got %q in zone %q (%t), want %q in zone %q", tc.host, name, zone, ok, tc.name, tc.zone)
		}
	}
}

func TestOwnerName(t *testing.T) {
	for _, tc := range []struct{ raw, want string }{
		{"@", "@"},
		{"", "@"},
		{"example.com", "@"},
		{"example.com.", "@"},
		{"EXAMPLE.com.", "@"},
		{"www", "www"},
		{"WWW", "www"},
		{"www.example.com", "www"},
		{"www.Example.COM.", "www"},
		{`\052`, "*"},
		{`\052.sub`, "*.sub"},
		{`\052.example.com.`, "*"},
		{`\0521`, `\0521`},
		{"*.example.com", "*"},
		{"_acme-challenge", "_acme-challenge"},
		{"bücher", "xn--bcher-kva"},
		{"notexample.com", "notexample.com"},
		{"www.example.net.", "www.example.net."},
		{"www.", "www."},
	} {
		if got := Owner(tc.raw, "example.com."); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.raw, got, tc.want)
		}
	}
}

func FuzzZone(f *testing.F) {
	for _, seed := range []string{"example.com", "Example.COM.", "bücher.example", "BÜCHER。example", "*.example.com", "..", "xn--a", "xn--bcher-kva", "1.2.3.4", "a_b.-c", "ß", "\u200d", "[::1]:53"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		zone, err := Zone(s)
		if err != nil {
			return
		}
		if again, err := Zone(zone); err != nil || again != zone {
			t.Errorf("%q gives %q, which gives %q and error %v", s, zone, again, err)
		}
		if !strings.HasSuffix(zone, ".") || strings.ContainsAny(zone, "* /:@{}\\") || len(zone)+1 > maxNameLength {
			t.Errorf("%q gives %q", s, zone)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, seed := range [][2]string{
		{"www", "example.com"}, {"@", "example"}, {"*.Übung", "bücher.example"}, {"www.example.com.", "example.com"},
		{"*", "*"}, {"a。b", "example.com"}, {".", "a"}, {`\052`, "a"}, {"a.b.a", "a"}, {"example.com.", "example.com"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, s, z string) {
		zone, err := Zone(z)
		if err != nil {
			return
		}
		name, err := Name(s, zone)
		if err != nil {
			return
		}
		if again, err := Name(name, zone); err != nil || again != name {
			t.Fatalf("%q gives %q, which gives %q and error %v", s, name, again, err)
		}
		fqdn := name + "." + zone
		if name == "@" {
			fqdn = zone
		}
		for _, raw := range []string{name, fqdn, strings.TrimSuffix(fqdn, "."), strings.ToUpper(fqdn), strings.Replace(name, "*", `\052`, 1)} {
			if got := Owner(raw, zone); got != name {
				t.Errorf("%q is %q in %q, but %q as %q", s, name, zone, got, raw)
			}
		}
		gotZone, gotName, ok := Match(strings.TrimSuffix(fqdn, "."), []string{zone, "not" + zone})
		if !ok || gotZone != zone || gotName != name {
			t.Errorf("%q is matched as %q in %q, want %q in %q", fqdn, gotName, gotZone, name, zone)
		}
	})
}

func FuzzOwner(f *testing.F) {
	for _, seed := range []string{"", "@", "www", "WWW.example.com.", `\052`, `\052.example.com.`, ".example.com", "..", "example.com", "bücher", "\xff", "foo.example.net."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		const zone = "example.com."
		got := Owner(raw, zone)
		if got == "" {
			t.Errorf("%q gives nothing", raw)
		}
		if name, err := Name(got, zone); err == nil && name != got {
			t.Errorf("%q gives %q, whose canonical form is %q", raw, got, name)
		}
	})
}
