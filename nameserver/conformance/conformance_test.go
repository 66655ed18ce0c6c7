// Package conformance runs the conformance suite of libdns, which is in a
// version of it that is not released yet, against the provider.
package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/libdns/libdns/libdnstest"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver"
)

func TestConformance(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := ln.Addr().String()
	ln.Close()
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"storage": {"module": "file_system", "root": %q},
		"apps": {"nameserver": {"listen": [%q], "zones": {"example.test": {}}}}
	}`, t.TempDir(), server)
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Run(&cfg); err != nil {
		t.Fatal(err)
	}
	defer caddy.Stop()

	ctx, cancel := caddy.NewContext(caddy.ActiveContext())
	defer cancel()
	mod, err := ctx.LoadModuleByID("dns.providers.nameserver", nil)
	if err != nil {
		t.Fatal(err)
	}
	provider := mod.(libdnstest.Provider)
	if zones, err := provider.ListZones(context.Background()); err != nil || len(zones) != 1 {
		t.Fatalf("zones: %v, %v", zones, err)
	}
	libdnstest.NewTestSuite(provider, "example.test.").RunTests(t)
}
