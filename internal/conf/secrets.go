package conf

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// notSecret are the options of DNS providers whose values are worth seeing in
// an error and are never a secret. Any other string may be one.
var notSecret = map[string]bool{
	"name":           true,
	"server":         true,
	"region":         true,
	"profile":        true,
	"key_name":       true,
	"key_alg":        true,
	"hosted_zone_id": true,
	"comment":        true,
	"tags":           true,
}

var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// Redactor returns a function that cuts out of a text every string of the
// provider's configuration that could be a secret, also as it looks in a URL,
// in JSON, in Base64 and the like, and the value of each placeholder by itself.
func Redactor(config json.RawMessage) func(string) string {
	var v any
	if json.Unmarshal(config, &v) != nil {
		return func(s string) string { return s }
	}
	repl := caddy.NewReplacer()
	var secrets []string
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case string:
			if notSecret[key] {
				return
			}
			secrets = append(secrets, repl.ReplaceAll(v, ""))
			for _, p := range placeholder.FindAllString(v, -1) {
				secrets = append(secrets, repl.ReplaceAll(p, ""))
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
	return Cutter(secrets)
}

// Cutter returns a function that cuts the secrets out of a text, in all forms in
// which they may be there.
func Cutter(secrets []string) func(string) string {
	forms := make(map[string]bool)
	for _, s := range secrets {
		// Shorter strings stand in every other text by chance.
		if len(s) < 4 {
			continue
		}
		quoted := strconv.Quote(s)
		asJSON, _ := json.Marshal(s)
		for _, form := range []string{
			s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s),
			quoted[1 : len(quoted)-1], string(asJSON[1 : len(asJSON)-1]),
			base64.RawStdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)),
		} {
			forms[form] = true
		}
	}
	// A secret may hold a shorter one; the longer must go first.
	sorted := slices.SortedFunc(maps.Keys(forms), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	oldnew := make([]string, 0, 2*len(sorted))
	for _, s := range sorted {
		oldnew = append(oldnew, s, "[redacted]")
	}
	return strings.NewReplacer(oldnew...).Replace
}
