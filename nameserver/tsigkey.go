package nameserver

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
)

// TSIGKey is a secret that is shared with another name server.
type TSIGKey struct {
	// The algorithm: `hmac-sha256`, `hmac-sha384`, `hmac-sha512`,
	// `hmac-sha224` or `hmac-sha1`. Default: `hmac-sha256`.
	Algorithm string `json:"algorithm,omitempty"`

	// The secret in base64, as `tsig-keygen` prints it. Placeholders are
	// resolved.
	Secret string `json:"secret,omitempty"`
}

// resolveKeys makes the keys that the configuration says.
func resolveKeys(repl *caddy.Replacer, configured map[string]*TSIGKey) (tsigKeys, error) {
	keys := make(tsigKeys)
	for name, k := range configured {
		canonical := dns.CanonicalName(name)
		if _, ok := dns.IsDomainName(canonical); !ok || k == nil {
			return nil, fmt.Errorf("tsig_key %q: write a name, like `transfer-key`, and its secret", name)
		}
		if _, ok := keys[canonical]; ok {
			return nil, fmt.Errorf("tsig_key %s: there are two keys of this name, which knows no upper and lower case: delete one", strings.TrimSuffix(canonical, "."))
		}
		algorithm := dns.HmacSHA256
		if k.Algorithm != "" {
			algorithm = dns.CanonicalName(k.Algorithm)
		}
		if tsigHashes[algorithm] == nil {
			return nil, fmt.Errorf("tsig_key %s: unknown algorithm %q: write hmac-sha256", name, k.Algorithm)
		}
		resolved, err := repl.ReplaceOrErr(k.Secret, true, true)
		if err != nil {
			return nil, fmt.Errorf("tsig_key %s: %w", name, err)
		}
		secret, err := decodeSecret(resolved)
		if err != nil || len(secret) == 0 {
			return nil, fmt.Errorf("tsig_key %s: the secret is not base64: make one with `tsig-keygen -a hmac-sha256 %[1]s`", name)
		}
		keys[canonical] = tsigKey{algorithm, secret}
	}
	return keys, nil
}
