// Package placeholders replaces Caddy's placeholders in what people configure,
// and says what to do about one that has no value.
package placeholders

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

var variable = regexp.MustCompile(`\{env\.([^{}:]+)\}`)

// In reports whether the text has a placeholder, or something that looks like
// one.
func In(s string) bool { return strings.ContainsAny(s, "{}") }

// Resolve replaces the placeholders of a text, each of which must have a value.
func Resolve(raw string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err == nil {
		return resolved, nil
	}
	if problem := CheckEnv(raw); problem != nil {
		return "", problem
	}
	return "", err
}

// Behind adds to an error about what came of a text the text itself, if it has
// placeholders: it is what people find in their configuration.
func Behind(raw string, err error) error {
	if !In(raw) {
		return err
	}
	return fmt.Errorf("%s: %w", raw, err)
}

// CheckEnv says of the first environment variable in the text that has no value
// how it gets one.
func CheckEnv(raw string) error {
	if name := UnsetIn(raw); name != "" {
		return Unset(name)
	}
	return nil
}

// UnsetIn returns the first environment variable in the text that has no value,
// or "".
func UnsetIn(raw string) string {
	for _, match := range variable.FindAllStringSubmatch(raw, -1) {
		if os.Getenv(match[1]) == "" {
			return match[1]
		}
	}
	return ""
}

// Words replaces the placeholders of a list, in which one placeholder may stand
// for several words.
func Words(list []string) ([]string, error) {
	words := make([]string, 0, len(list))
	for _, raw := range list {
		if !In(raw) {
			words = append(words, raw)
			continue
		}
		resolved, err := Resolve(raw)
		if err != nil {
			return nil, err
		}
		words = append(words, strings.Fields(resolved)...)
	}
	return slices.Clip(words), nil
}

// Unset says of an environment variable that it has no value, and how it gets
// one.
func Unset(name string) error {
	return fmt.Errorf("the environment variable %s is not set or empty where Caddy runs; for a systemd service, run `systemctl edit caddy`, write `[Service]` and below it `Environment=%s=...`, and restart Caddy", name, name)
}
