package dynamicdns

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// positioned matches errors that have a position in a Caddyfile already.
var positioned = regexp.MustCompile(`, at .+:\d+`)

// parseModule parses the segment of a module, whose name is the dispenser's
// current token.
func parseModule(d *caddyfile.Dispenser, namespace, inlineKey, kind string) (json.RawMessage, error) {
	name := d.Val()
	id := namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		var known []string
		for _, info := range caddy.GetModules(namespace) {
			known = append(known, info.ID.Name())
		}
		if hint := didYouMean(name, known); hint != "" {
			return nil, d.Errf("unknown %s %q%s", kind, name, hint)
		}
		return nil, d.Errf("unknown %s %q: this build of Caddy has no module %s; build one with a package that has it (xcaddy build --with <package>)", kind, name, id)
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

// didYouMean names the known word that is closest to the given one, if one is
// close.
func didYouMean(word string, known []string) string {
	slices.Sort(known)
	best, least := "", 2+len(word)/4
	for _, k := range known {
		if d := editDistance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the insertions, deletions and substitutions between
// two words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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
