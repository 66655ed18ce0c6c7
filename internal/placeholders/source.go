package placeholders

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// expanded matches the placeholders that Caddy replaces while it reads a
// Caddyfile, those with a default left out.
var (
	expanded = regexp.MustCompile(`\{\$([^{}:\s]+)\}`)
	leading  = regexp.MustCompile(`^\s*\{\$([^{}:\s]+)\}`)
)

// UnsetInLines says of the first environment variable with which a word of
// these lines of a Caddyfile vanished how it gets a value. It returns nil if
// there is none or the file cannot be read.
func UnsetInLines(file string, from, to int) error {
	return unset(file, from, to, expanded)
}

func unset(file string, from, to int, pattern *regexp.Regexp) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	for number := from; number <= to && 0 < number && number <= len(lines); number++ {
		for _, match := range pattern.FindAllStringSubmatch(lines[number-1], -1) {
			if os.Getenv(match[1]) == "" {
				return fmt.Errorf("a word is missing where %s:%d has %s: %w", file, number, strings.TrimSpace(match[0]), Unset(match[1]))
			}
		}
	}
	return nil
}

// UnsetFirst is UnsetInLines for the first word of a line.
func UnsetFirst(file string, line int) error {
	return unset(file, line, line, leading)
}

// UnsetAt is UnsetInLines for a place, which is a file and a line.
func UnsetAt(place string) error {
	file, line, _ := cutLast(place, ":")
	number, err := strconv.Atoi(line)
	if err != nil {
		return nil
	}
	return UnsetInLines(file, number, number)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
