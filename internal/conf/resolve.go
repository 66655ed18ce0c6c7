package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

// Resolve returns the configuration with its placeholders replaced, so that
// new credentials behind the same placeholder make it another one.
func Resolve(raw json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	repl := caddy.NewReplacer()
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			return repl.ReplaceAll(v, "")
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	out, err := json.Marshal(walk(v))
	if err != nil {
		return raw
	}
	return out
}

// Fingerprint names a configuration.
func Fingerprint(config []byte) string {
	sum := sha256.Sum256(config)
	return hex.EncodeToString(sum[:])
}

// InlineKey returns the value of the key that names a module.
func InlineKey(raw json.RawMessage, key string) string {
	var fields map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &fields) == nil {
		_ = json.Unmarshal(fields[key], &name)
	}
	return name
}
