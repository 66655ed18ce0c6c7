// Package pagetest compares what a program says with what a page shows of it.
package pagetest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	section = regexp.MustCompile(`(?m)^## (.+)$`)
	fence   = regexp.MustCompile(`(?ms)^\x60{3}\n(\$ .*?)^\x60{3}$`)
	// varying is what differs from run to run: durations and ports.
	varying = regexp.MustCompile(`serial \d+|\b\d+ times? in a row\b|\b(\d+(s|m|h|d| s| min| h)|now)\b( ago)?|\bin (\d+[smhd]|now)\b|:\d{5}\b`)
)

// Block is the output of a command as a page shows it.
type Block struct {
	// Heading is that of the section, Command the line after the prompt.
	Heading, Command string
	Text             string
}

// Blocks returns what a page shows of commands.
func Blocks(t testing.TB, page string) (blocks []Block) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	headings := section.FindAllStringSubmatchIndex(string(text), -1)
	for i, h := range headings {
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		for _, m := range fence.FindAllStringSubmatch(string(text[h[1]:end]), -1) {
			command, shown, _ := strings.Cut(m[1], "\n")
			blocks = append(blocks, Block{string(text[h[2]:h[3]]), strings.TrimPrefix(command, "$ "), shown})
		}
	}
	return blocks
}

// Shows fails the test unless the page shows, below the heading, what the
// command said. Line breaks, durations and ports may differ, and a line of
// three dots stands for what is left out.
func Shows(t testing.TB, page, heading, command, said string) {
	t.Helper()
	for _, b := range Blocks(t, page) {
		if b.Heading != heading || b.Command != command {
			continue
		}
		rest := words(said)
		for _, part := range regexp.MustCompile(`(?m)^\.\.\.$`).Split(b.Text, -1) {
			_, after, ok := strings.Cut(rest, words(part))
			if !ok {
				t.Errorf("%s, %s: the page shows\n%s\nwhich is not in\n%s", heading, command, part, said)
				return
			}
			rest = after
		}
		return
	}
	t.Errorf("%s shows no %q below %q; it says\n%s", page, command, heading, said)
}

func words(s string) string {
	return strings.Join(strings.Fields(varying.ReplaceAllString(s, "~")), " ")
}
