package nameserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki/acmeserver"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
)

// A wildcard certificate comes from Caddy's own ACME server, which asks this
// name server whether the DNS challenge is solved. Meanwhile dynamic DNS keeps
// changing addresses in the zone, the wildcard's too.
func TestWildcardCertificate(t *testing.T) {
	dir := t.TempDir()
	dns := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	ca, site := freePort(t), freePort(t)
	root := filepath.Join(dir, "pki/authorities/local/root.crt")
	type m = map[string]any
	config := func(withSite bool) []byte {
		policies := []any{m{"subjects": []string{"localhost"}, "issuers": []any{m{"module": "internal"}}}}
		automate := []string{"localhost"}
		servers := m{"ca": m{
			"listen":                  []string{fmt.Sprintf("127.0.0.1:%d", ca)},
			"automatic_https":         m{"disable": true},
			"tls_connection_policies": []any{m{}},
			"routes": []any{m{"handle": []any{m{
				"handler": "acme_server", "resolvers": []string{dns}, "challenges": []string{"dns-01"},
				"policy": m{"allow_wildcard_names": true},
			}}}},
		}}
		if withSite {
			policies = append(policies, m{"subjects": []string{"*.example.test"}, "issuers": []any{m{
				"module":                  "acme",
				"ca":                      fmt.Sprintf("https://localhost:%d/acme/local/directory", ca),
				"trusted_roots_pem_files": []string{root},
				"challenges":              m{"dns": m{"provider": m{"name": "nameserver"}, "resolvers": []string{dns}}},
			}}})
			automate = append(automate, "*.example.test")
			servers["site"] = m{
				"listen":                  []string{fmt.Sprintf("127.0.0.1:%d", site)},
				"automatic_https":         m{"disable": true},
				"tls_connection_policies": []any{m{}},
			}
		}
		b, err := json.Marshal(m{
			"admin":   m{"disabled": true, "config": m{"persist": false}},
			"logging": m{"logs": m{"default": m{"level": "ERROR"}}},
			"storage": m{"module": "file_system", "root": dir},
			"apps": m{
				"nameserver": &App{Listen: []string{dns}, Zones: map[string]*Zone{"example.test": {
					Records: []Record{{"@", "TXT", `"v=spf1 -all"`}},
				}}},
				"dynamic_dns": dynamicFor("example.test", map[string]any{"source": "restless"}, "@", "*"),
				"pki":         m{"certificate_authorities": m{"local": m{"install_trust": false}}},
				"http":        m{"servers": servers},
				"tls":         m{"automation": m{"policies": policies}, "certificates": m{"automate": automate}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	load(t, config(false)) // makes the root certificate
	if err := caddy.Load(config(true), true); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", site), &tls.Config{ServerName: "any.example.test", RootCAs: pool})
		if err == nil {
			leaf := conn.ConnectionState().PeerCertificates[0]
			conn.Close()
			if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "*.example.test" {
				t.Errorf("certificate for %v", leaf.DNSNames)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate: %v", err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "nameserver/example.test.zone"))
	if err != nil || strings.Contains(string(b), "_acme-challenge") {
		t.Errorf("the challenge is left behind: %v\n%s", err, b)
	}
	if !strings.Contains(string(b), "v=spf1 -all") {
		t.Errorf("a text is lost:\n%s", b)
	}
	before := restless.Load()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ips := addresses(t, dns, "any.example.test.")
		if len(ips) == 1 && restlessCount(ips[0]) > before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the addresses no longer change: %q", ips)
		}
	}
}
