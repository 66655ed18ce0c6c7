// Package advice knows what people write in place of what is understood, and
// what to write instead. What stands between backticks can be pasted.
package advice

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Option says what to write instead of an option of the Caddyfile that does not
// exist, where these are known.
func Option(word string, known []string) string {
	if instead, ok := options[strings.ToLower(word)]; ok {
		return "; write " + instead
	}
	return closestOrAll(word, known)
}

// Member says what to write instead of a member of the JSON that does not
// exist, where these are known.
func Member(word string, known []string) string {
	if instead, ok := members[strings.ToLower(word)]; ok {
		return "; write " + instead
	}
	return closestOrAll(word, known)
}

func closestOrAll(word string, known []string) string {
	if best := Closest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	known = slices.Sorted(slices.Values(known))
	return "; write one of " + strings.Join(known, ", ")
}

// Closest returns the known word that is a few letters off, if one is.
func Closest(word string, known []string) string {
	best, least := "", 2+len(word)/4
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
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

// listMarks are what separates and encloses the words of lists elsewhere.
const listMarks = ",;[]"

// List returns the words of a list that was written with commas or brackets,
// or nil if it was not. URLs and placeholders may have such signs of their own.
func List(words []string) []string {
	marked := false
	var list []string
	for _, word := range words {
		if word == "" || strings.Contains(word, "{") {
			list = append(list, word)
			continue
		}
		isMark := func(r rune) bool { return strings.ContainsRune(listMarks, r) }
		bare := strings.FieldsFunc(word, isMark)
		if strings.Contains(word, "://") {
			bare = []string{strings.Trim(strings.TrimPrefix(word, "["), ",;")}
		}
		marked = marked || len(bare) != 1 || bare[0] != word
		list = append(list, bare...)
	}
	if !marked {
		return nil
	}
	return list
}

// variable are the ways to write a placeholder of an environment variable that
// Caddy does not know. Those without a dot have capital letters only, so that
// no password is taken for one.
var variable = regexp.MustCompile(`^(?:env\.([A-Za-z_]\w*)|\{env:(\w+)\}|\$\{?env[.:](\w+)\}?|\$?\{([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)\}|\$([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+))$`)

// Variable returns the environment variable that a word was to stand for, if it
// does not.
func Variable(word string) string {
	if match := variable.FindStringSubmatch(word); match != nil {
		return strings.Join(match[1:], "")
	}
	return ""
}

// VariableIn returns what Variable finds among the strings of a configuration.
func VariableIn(config json.RawMessage) string {
	var v any
	if json.Unmarshal(config, &v) != nil {
		return ""
	}
	var find func(v any) string
	find = func(v any) string {
		switch v := v.(type) {
		case string:
			return Variable(v)
		case []any:
			for _, e := range v {
				if found := find(e); found != "" {
					return found
				}
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if found := find(v[key]); found != "" {
					return found
				}
			}
		}
		return ""
	}
	return find(v)
}
