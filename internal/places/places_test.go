package places

import (
	"fmt"
	"testing"
)

func TestAt(t *testing.T) {
	m := Map{
		"":                            "Caddyfile:1",
		"dns_provider":                "Caddyfile:2",
		`domains["example.com"]`:      "Caddyfile:4",
		"providers[0]":                "Caddyfile:9",
		"providers[0].ip_sources[10]": "Caddyfile:10",
	}
	for path, want := range map[string]string{
		"":                                "Caddyfile:1",
		"ttl":                             "Caddyfile:1",
		"dns_provider":                    "Caddyfile:2",
		"dns_provider.api_token":          "Caddyfile:2",
		`domains["example.com"]`:          "Caddyfile:4",
		`domains["example.com"]["www.a"]`: "Caddyfile:4",
		`domains["example.net"]`:          "Caddyfile:1",
		`providers[0].domains["example.com"]["www.a"]`: "Caddyfile:9",
		"providers[0].ip_sources[10]":                  "Caddyfile:10",
		"providers[0].ip_sources[1]":                   "Caddyfile:9",
		"providers[1].ttl":                             "Caddyfile:1",
	} {
		if got := m.At(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := Map(nil).At("ttl"); got != "" {
		t.Errorf("got %q of no places", got)
	}
}

func TestRecall(t *testing.T) {
	Remember([]byte(`{"a": 1, "b": {"c": 2, "d": "<"}}`), Map{"": "Caddyfile:1"})
	if got := Recall([]byte(`{"b":{"d":"\u003c","c":2},"a":1}`)).At(""); got != "Caddyfile:1" {
		t.Errorf("got %q once Caddy has sorted the members", got)
	}
	if got := Recall([]byte(`{"a": 2, "b": {"c": 2, "d": "<"}}`)); got != nil {
		t.Errorf("got %v for another configuration", got)
	}
	for i := range 2 * kept {
		Remember(fmt.Appendf(nil, `{"i": %d}`, i), Map{"": fmt.Sprint(i)})
	}
	if len(memories) != kept {
		t.Errorf("%d configurations are remembered", len(memories))
	}
	if got := Recall([]byte(`{"a": 1, "b": {"c": 2, "d": "<"}}`)); got != nil {
		t.Errorf("got %v of a configuration of long ago", got)
	}
	if got := Recall([]byte(`{"i": 15}`)).At(""); got != "15" {
		t.Errorf("got %q of the last one", got)
	}
}
