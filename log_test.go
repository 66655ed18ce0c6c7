package dynamicdns

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestLog: one line per start and per change, each a sentence with fields,
// and nothing else at info.
func TestLog(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		name := z.Register()
		config := appConfig(name, `{"example.com": ["@", "www"]}`)
		seen := 0
		expect := func(when string, want ...string) {
			t.Helper()
			lines := l.logged("info", "")
			var got []string
			for _, line := range lines[seen:] {
				got = append(got, sentence(line))
			}
			seen = len(lines)
			if !slices.Equal(got, want) {
				t.Errorf("%s: logged\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		change := func(message, record, from, to string) string {
			return fmt.Sprintf("info %s; from=[%s] name=%s provider=%s source=fake to=[%s] type=A zone=example.com", message, from, record, name, to)
		}

		l.load(config)
		l.wait(time.Minute)
		expect("at the start",
			"info managing DNS records; names=2 zones=[example.com]",
			"info address changed; family=ipv4 from=[] source=fake to=["+addr1+"]",
			change("created DNS record", "@", "", addr1),
			change("created DNS record", "www", "", addr1))
		l.wait(72 * time.Hour)
		expect("in the steady state")
		l.load(config)
		l.wait(72 * time.Hour)
		expect("after a reload", "info managing DNS records; names=2 zones=[example.com]")

		l.address(addr2)
		l.wait(10 * time.Minute)
		expect("with another address",
			"info address changed; family=ipv4 from=["+addr1+"] source=fake to=["+addr2+"]",
			change("updated DNS record", "@", addr1, addr2),
			change("updated DNS record", "www", addr1, addr2))

		z.Drop(zoneName, "www", "A")
		z.Put(zoneName, record("www", "A", "192.0.2.66"))
		l.wait(3 * time.Hour)
		expect("after drift",
			change("repaired drift: the DNS record had been changed", "www", "192.0.2.66", addr2))
	})
}

// sentence makes one line of a line of the log, with its fields in order.
func sentence(line map[string]any) string {
	var fields []string
	for _, key := range slices.Sorted(maps.Keys(line)) {
		if !slices.Contains([]string{"level", "ts", "logger", "msg"}, key) {
			fields = append(fields, fmt.Sprintf("%s=%v", key, line[key]))
		}
	}
	return fmt.Sprintf("%s %s; %s", line["level"], line["msg"], strings.Join(fields, " "))
}
