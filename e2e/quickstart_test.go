//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// quickstart is the README's first command, run by somebody new.
type quickstart struct {
	t        *testing.T
	ns       *lab.NS
	terminal *lab.Terminal
	dig      string // the command that the log says to try
}

func startQuickstart(t *testing.T, ns *lab.NS) *quickstart {
	t.Helper()
	lab.Need(t, "dig")
	q := &quickstart{t: t, ns: ns}
	q.terminal = lab.TypeCommand(t, ns, fence(t, "sh"))
	// What is left of the build is linking.
	lab.Eventually(t, 3*time.Minute, "Caddy runs and says what to try", func() bool {
		if !q.terminal.Running() {
			t.Fatal("the command ended")
		}
		screen := q.terminal.Screen()
		return strings.Contains(screen, "serving initial configuration\n") && strings.Contains(screen, "dig @")
	})
	screen := q.terminal.Screen()
	m := regexp.MustCompile(`(?m)^(\S+ \S+)\t.*\bserving zone\b.*"(dig @[^"]*)"`).FindStringSubmatch(screen)
	started := regexp.MustCompile(`(?m)^(\S+ \S+)\t.*\bserving initial configuration$`).FindStringSubmatch(screen)
	if m == nil || started == nil {
		t.Fatal("no line to try")
	}
	if after := logTime(t, m[1]).Sub(logTime(t, started[1])); after.Abs() > time.Second {
		t.Errorf("what to try is logged %v after Caddy has started", after)
	}
	// Nothing in it that a shell or an eye would stumble over.
	if q.dig = m[2]; !regexp.MustCompile(`^dig @[0-9.]+ -p \d+ [a-z.]+$`).MatchString(q.dig) {
		t.Errorf("not a command that can be pasted: %q", q.dig)
	}
	return q
}

// fence returns the README's first block in the language.
func fence(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if block[1] == language {
			return block[2]
		}
	}
	t.Fatalf("the README has no block of %q", language)
	return ""
}

// expectLines compares the form of the lines of the log in the README with that
// on the terminal. What they say, a test of the root compares.
func (q *quickstart) expectLines(lines string) {
	q.t.Helper()
	form := func(line string) string {
		line = regexp.MustCompile(`\x1b\[\d*m`).ReplaceAllString(strings.TrimSpace(line), "")
		line = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3}\t`).ReplaceAllString(line, "TIME\t")
		return regexp.MustCompile(`(: \[?)"[^"]*"`).ReplaceAllString(line, `$1"..."`)
	}
	for line := range strings.Lines(lines) {
		lab.Eventually(q.t, soon, "a line on the terminal looks like that of the README: "+line, func() bool {
			screen := strings.Split(q.terminal.Screen(), "\n")
			return slices.ContainsFunc(screen, func(other string) bool { return form(other) == form(line) })
		})
	}
}

func logTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006/01/02 15:04:05.000", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// expect runs what the log says to try until it shows these addresses.
func (q *quickstart) expect(want ...string) {
	q.t.Helper()
	answer := regexp.MustCompile(`(?m)^home\.example\.com\.\s+\d+\s+IN\s+A\s+(\S+)$`)
	lab.EventuallyEqual(q.t, soon, q.dig, func() (got []string) {
		out, err := q.ns.Run(exec.Command("sh", "-c", q.dig))
		if err != nil {
			return []string{err.Error(), out}
		}
		for _, m := range answer.FindAllStringSubmatch(out, -1) {
			got = append(got, m[1])
		}
		return got
	}, want...)
}

// complaints are the lines that a newcomer should not see.
func (q *quickstart) complaints() []string {
	lines := strings.Split(q.terminal.Screen(), "\n")
	return slices.DeleteFunc(lines, func(line string) bool {
		return !strings.Contains(line, "WARN") && !strings.Contains(line, "ERROR")
	})
}

func TestQuickstartWithoutInternet(t *testing.T) {
	t.Parallel()
	ns := lab.NewNS(t)
	q := startQuickstart(t, ns)
	q.expect("127.0.0.1")
	if c := q.complaints(); len(c) > 0 {
		t.Errorf("not all is well: %q", c)
	}

	lab.Link(ns, "eth0", ns, "eth0p")
	ns.IP("addr add 192.168.7.23/24 dev eth0", "route add default via 192.168.7.1")
	q.expect("192.168.7.23")
}

func TestQuickstartFollowsTheAddress(t *testing.T) {
	t.Parallel()
	ns := lab.NewNS(t)
	lab.Link(ns, "eth0", ns, "eth0p")
	ns.IP("addr add 192.168.7.23/24 dev eth0", "route add default via 192.168.7.1")
	q := startQuickstart(t, ns)
	q.expect("192.168.7.23")
	q.expectLines(fence(t, ""))

	ns.IP("addr del 192.168.7.23/24 dev eth0", "addr add 192.168.7.42/24 dev eth0", "route replace default via 192.168.7.1")
	q.expect("192.168.7.42")
	if c := q.complaints(); len(c) > 0 {
		t.Errorf("not all is well: %q", c)
	}
}
