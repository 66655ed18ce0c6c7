package dynamicdns

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
)

// positioned matches errors that have a position in a Caddyfile already.
var positioned = regexp.MustCompile(`, at .+:\d+`)

// parseModule parses the segment of a module, whose name is the dispenser's
// current token.
func parseModule(d *caddyfile.Dispenser, namespace, inlineKey, kind string) (json.RawMessage, error) {
	name := d.Val()
	id := namespace + "." + name
	if err := conf.Lacking(namespace, name, args(d)...); err != nil {
		return nil, d.WrapErr(err)
	}
	start := d.Token()
	unm, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		if positioned.MatchString(err.Error()) {
			return nil, err
		}
		return nil, errorAt(start, "%s %s: %w", kind, name, err)
	}
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(unm, inlineKey, name, &warnings)
	if len(warnings) > 0 {
		return nil, errorAt(start, "%s %s: %s", kind, name, warnings[0].Message)
	}
	return raw, nil
}

// position is where the token is, for messages that tell of two places.
func position(t caddyfile.Token) string { return fmt.Sprintf("%s:%d", t.File, t.Line) }

// errorAt makes an error with the position of a token.
func errorAt(t caddyfile.Token, format string, args ...any) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d.Errf(format, args...)
}

// args returns the rest of the line, and stays where it is.
func args(d *caddyfile.Dispenser) []string {
	words := d.RemainingArgs()
	for range words {
		d.Prev()
	}
	return words
}

// next returns the next word of the line, if there is one.
func next(d *caddyfile.Dispenser) string {
	if words := args(d); len(words) > 0 {
		return words[0]
	}
	return ""
}

// values returns the words of a module's segment as JSON, by the word that their
// line begins with, for the redactor.
func values(segment []caddyfile.Token) json.RawMessage {
	lines := make(map[string][]string)
	first := ""
	for i, t := range segment {
		switch {
		case i > 0 && startsLine(segment, i):
			first = t.Text
		case !isBrace(t, "{") && !isBrace(t, "}"):
			lines[first] = append(lines[first], t.Text)
		}
	}
	config, _ := json.Marshal(lines)
	return config
}

// opensBlock reports whether the next token opens a block.
func opensBlock(d *caddyfile.Dispenser) bool {
	if !d.Next() {
		return false
	}
	defer d.Prev()
	return isBrace(d.Token(), "{")
}

// isBrace reports whether the token is this brace, and not a quoted one or one
// in a heredoc.
func isBrace(t caddyfile.Token, brace string) bool {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d.ValRaw() == brace && t.NumLineBreaks() == 0
}

// startsLine reports whether a token, which is not the first, is the first of
// its line.
func startsLine(segment []caddyfile.Token, i int) bool {
	d := caddyfile.NewDispenser(segment[i-1 : i+1])
	d.Next()
	return d.NextLine()
}
