package dynamicdns

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// notSecret are the options of DNS providers whose values are worth seeing in
// an error and are never a secret. Any other string may be one.
var notSecret = map[string]bool{
	"name":           true,
	"server":         true,
	"region":         true,
	"key_alg":        true,
	"hosted_zone_id": true,
}

// redactor returns a function that cuts out of a text every string of the
// provider's configuration that could be a secret, also as it looks in a URL.
func redactor(config json.RawMessage) func(string) string {
	var v any
	if json.Unmarshal(config, &v) != nil {
		return func(s string) string { return s }
	}
	secrets := make(map[string]bool)
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case string:
			// Shorter strings stand in every other text by chance.
			if len(v) >= 4 && !notSecret[key] {
				secrets[v] = true
				secrets[url.QueryEscape(v)] = true
				secrets[url.PathEscape(v)] = true
			}
		case []any:
			for _, e := range v {
				walk(key, e)
			}
		case map[string]any:
			for k, e := range v {
				walk(k, e)
			}
		}
	}
	walk("", v)
	var pairs []string
	for s := range secrets {
		pairs = append(pairs, s)
	}
	// A secret may hold a shorter one; the longer must go first.
	slices.SortFunc(pairs, func(a, b string) int { return len(b) - len(a) })
	oldnew := make([]string, 0, 2*len(pairs))
	for _, s := range pairs {
		oldnew = append(oldnew, s, "[redacted]")
	}
	return strings.NewReplacer(oldnew...).Replace
}
