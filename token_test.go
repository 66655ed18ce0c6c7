package dynamicdns

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"testing"
)

func TestToken(t *testing.T) {
	code, out, errs := shell(t, "caddy dynamic-dns token home")
	m := regexp.MustCompile(`^password: ([A-Z2-7]{26,})\nuser home (sha256:[0-9a-f]{64}) \{\n\thosts home\.example\.com\n\}\n$`).FindStringSubmatch(out)
	if code != 0 || m == nil {
		t.Fatalf("exit status %d, prints\n%s%s", code, out, errs)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(m[1]))); m[2] != want {
		t.Errorf("the hash of %s is %s, want %s", m[1], m[2], want)
	}
	if _, again, _ := shell(t, "caddy dynamic-dns token home"); again == out {
		t.Errorf("twice the same:\n%s", out)
	}
	const validate = `printf 'http:// {\n\tdyndns {\n\t\tprovider cloudflare x\n\t\tzone example.com\n%s\n\t}\n}\n' "$(caddy dynamic-dns token | tail -n +2)" > Caddyfile && caddy validate --config Caddyfile`
	if code, _, errs := shell(t, validate); code != 0 {
		t.Errorf("the user is not taken:\n%s", errs)
	}
	for _, args := range []string{"home away", "'home away'", "home:away", "''"} {
		if code, out, _ := shell(t, "caddy dynamic-dns token "+args); code == 0 {
			t.Errorf("%s is taken:\n%s", args, out)
		}
	}
}
