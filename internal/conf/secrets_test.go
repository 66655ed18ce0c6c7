package conf

import (
	"encoding/base64"
	"testing"
)

// TestRedact: a secret is cut out in every form in which it may come back, and
// what helps to find a mistake stays.
func TestRedact(t *testing.T) {
	t.Setenv("DYNAMIC_DNS_TEST_PASS", `pa"ss&<w>\rd`)
	redact := Redactor([]byte(`{"name": "fake", "token": "s3cr3t/t+ken", "server": "ns.example.net:53", "profile": "default",
		"nested": {"list": ["hidden-1", {"pass": "hidden"}]}, "auth": "user:{env.DYNAMIC_DNS_TEST_PASS}", "ttl": 5, "short": "ab"}`))
	got := redact(`Get "https://x/?t=s3cr3t%2Ft%2Bken": dial ns.example.net:53: hidden-1 hidden s3cr3t/t+ken fake ab default ` +
		`pa"ss&<w>\rd pa\"ss&<w>\\rd pa\"ss\u0026\u003cw\u003e\\rd pa&#34;ss&amp;&lt;w&gt;\rd user:pa"ss&<w>\rd ` +
		base64.StdEncoding.EncodeToString([]byte("s3cr3t/t+ken")))
	want := `Get "https://x/?t=[redacted]": dial ns.example.net:53: [redacted] [redacted] [redacted] fake ab default ` +
		`[redacted] [redacted] [redacted] [redacted] [redacted] [redacted]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
