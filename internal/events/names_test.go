package events

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestMisnamed: what is meant for an event of ours is known by its likeness, or
// by where it is to come from; all else is the business of others.
func TestMisnamed(t *testing.T) {
	for _, name := range Names {
		if _, wrong := misnamed(name, nil); wrong {
			t.Errorf("%s is one", name)
		}
	}
	ours := []caddy.ModuleID{"dynamic_dns"}
	for _, test := range []struct {
		name  string
		from  []caddy.ModuleID
		meant string
		wrong bool
	}{
		{"address_change", nil, "address_changed", true},
		{"AddressChanged", nil, "address_changed", true},
		{"dynamic_dns.address-changed", nil, "address_changed", true},
		{"update_fail", nil, "update_failed", true},
		{"record_changed", nil, "records_changed", true},
		{"ip_updated", ours, "", true},
		{"ip_updated", nil, "", false},
		{"record_changed", []caddy.ModuleID{"other"}, "", false},
		{"record_changed", []caddy.ModuleID{""}, "records_changed", true},
		{"ip_updated", []caddy.ModuleID{""}, "", false},
		{"ip_updated", []caddy.ModuleID{"dynamic_dns", "other"}, "", false},
		{"", ours, "", false},
		// Caddy's own.
		{"started", nil, "", false},
		{"stopping", nil, "", false},
		{"healthy", nil, "", false},
		{"unhealthy", nil, "", false},
		{"cert_obtaining", nil, "", false},
		{"cert_obtained", nil, "", false},
		{"cert_failed", nil, "", false},
		{"cert_ocsp_revoked", nil, "", false},
		{"cached_managed_cert", nil, "", false},
		{"cached_unmanaged_cert", nil, "", false},
		{"tls_get_certificate", nil, "", false},
	} {
		if meant, wrong := misnamed(test.name, test.from); meant != test.meant || wrong != test.wrong {
			t.Errorf("%q from %v: got %q, %t", test.name, test.from, meant, wrong)
		}
	}
}

// TestWarnsOnce: of each wrong name of a configuration, however many apps look.
func TestWarnsOnce(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	for range 2 {
		app := &caddyevents.App{Subscriptions: []*caddyevents.Subscription{
			{Events: []string{"address_change", "recovered"}}, {Events: []string{"cert_failed"}}, {},
		}}
		warnOfNames(app, zap.New(core))
		warnOfNames(app, zap.New(core))
	}
	if logs.Len() != 2 {
		t.Errorf("logged %v", logs.All())
	}
	for _, line := range logs.All() {
		if got := line.ContextMap(); got["event"] != "address_change" || got["did_you_mean"] != "address_changed" {
			t.Errorf("logged %v", got)
		}
	}
}
