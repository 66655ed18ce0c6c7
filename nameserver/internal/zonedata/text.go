package zonedata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// SplitText cuts a text into the strings of a TXT record.
func SplitText(text string) []string {
	if text == "" {
		return []string{""}
	}
	var out []string
	for chunk := range slices.Chunk([]byte(text), 255) {
		out = append(out, EscapeText(string(chunk)))
	}
	return out
}

// Text returns the text of a TXT record.
func Text(rr *dns.TXT) string {
	var b strings.Builder
	for _, s := range rr.Txt {
		b.WriteString(UnescapeText(s))
	}
	return b.String()
}

// EscapeText brings bytes to the form with zone file escapes that the library
// holds texts in.
func EscapeText(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// UnescapeText returns the bytes that a text with zone file escapes means.
func UnescapeText(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	isDigit := func(c byte) bool { return '0' <= c && c <= '9' }
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && isDigit(s[i]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
			b.WriteByte((s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0')
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
