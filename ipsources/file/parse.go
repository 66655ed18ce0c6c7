package file

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const maxSize = 16 << 10

var errEmpty = errors.New("there is no address in it")

// parse reads one address a line, and reports whether the last line ends. The
// addresses are those of the whole file or none.
func parse(r io.Reader) (addrs []netip.Addr, ended bool, err error) {
	content, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, true, err
	}
	if len(content) > maxSize {
		return nil, true, fmt.Errorf("the file is larger than %d bytes", maxSize)
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		addr, err := ipaddr.Parse(line)
		if err != nil {
			return nil, endsLine(text), fmt.Errorf("line %d: %w", number, err)
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, endsLine(text), errEmpty
	}
	return addrs, endsLine(text), nil
}

func endsLine(text string) bool { return text == "" || strings.HasSuffix(text, "\n") }
