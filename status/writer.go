package status

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lineWidth is the width of a terminal's line that everything fits in.
const lineWidth = 80

// printer writes status and plan for people.
type printer struct {
	text  strings.Builder
	color bool
}

// The colors of terminals.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// row writes a label of the given width and a text beside it.
func (p *printer) row(indent, width int, label painted, format string, args ...any) {
	lines := wrap(sprintf(format, args), lineWidth-indent-width)
	pad := strings.Repeat(" ", max(1, width-visible(string(label))))
	p.text.WriteString(strings.Repeat(" ", indent) + string(label) + pad + lines[0] + "\n")
	for _, line := range lines[1:] {
		p.text.WriteString(strings.Repeat(" ", indent+width) + line + "\n")
	}
}

// line writes a text, of which what does not fit goes below.
func (p *printer) line(indent int, format string, args ...any) {
	for i, line := range wrap(sprintf(format, args), lineWidth-indent-2) {
		pad := indent
		if i > 0 {
			pad += 2
		}
		p.text.WriteString(strings.TrimRight(strings.Repeat(" ", pad)+line, " ") + "\n")
	}
}

// painted is a text that may go to a terminal as it is.
type painted string

// sprintf formats a text, in which all strings that are not painted may come
// from anywhere.
func sprintf(format string, args []any) string {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = clean(s)
		}
	}
	return fmt.Sprintf(format, args...)
}

// clean keeps what others wrote, such as a provider's error, from controlling
// the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

func (p *printer) paint(color, text string) painted {
	if !p.color {
		return painted(clean(text))
	}
	return painted("\033[" + color + "m" + clean(text) + "\033[0m")
}

func (p *printer) state(s State, width int) painted {
	color := yellow
	switch s {
	case StateInSync, StateLeftAlone:
		color = green
	case StateBlocked, StateFailing:
		color = red
	}
	return p.paint(color, fmt.Sprintf("%-*s", width, strings.ReplaceAll(string(s), "_", " ")))
}

// wrap breaks a text between words, and words that are longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && visible(line)+1+visible(word) > width {
			lines, line = append(lines, line), ""
		}
		for visible(word) > width {
			runes := []rune(word)
			lines, word = append(lines, string(runes[:width])), string(runes[width:])
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// visible returns how many columns a text takes, colors aside.
func visible(text string) int {
	n := utf8.RuneCountInString(text)
	for _, color := range []string{green, yellow, red, "0"} {
		n -= strings.Count(text, "\033["+color+"m") * len("\033["+color+"m")
	}
	return n
}
