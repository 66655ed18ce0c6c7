package dyndns

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// filledIn is what routers put in the place of what stands in the recipes.
var filledIn = strings.NewReplacer(
	"<ipaddr>", "198.51.100.1", "<ip6addr>", "2001:db8:0:1::1", "<ip6lanprefix>", "2001:db8:0:2::/64",
	"<username>", "home", "<pass>", "secret", "<domain>", "home.example.com",
	"%h", "home.example.com", "%i", "198.51.100.1", "%IP%", "198.51.100.1",
	"__HOSTNAME__", "home.example.com", "__MYIP__", "198.51.100.1", "__USERNAME__", "home", "__PASSWORD__", "secret",
	"[USERNAME]", "home", "[PASSWORD]", "secret", "[DOMAIN]", "home.example.com", "[IP]", "198.51.100.1",
	"$ip", "198.51.100.1",
)

// TestRecipes: each line of the recipes is an update that the handler takes.
func TestRecipes(t *testing.T) {
	page, err := os.ReadFile("../docs/dyndns-recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	const v4, v6, nas = "198.51.100.1", "2001:db8:0:1::1", "2001:db8:0:2:21b:21ff:fe3c:4d5e"
	const both = v4 + "," + v6
	const two = "198.51.100.7,198.51.100.8,2001:db8:1::7"
	want := map[string][]string{
		"url": {
			both + "\n" + v4 + "," + nas, // FRITZ!Box
			both,
			v4, // UniFi
			v4,
			v4, // OPNsense
			v4, // pfSense
			v4, // OpenWrt
			v4, // Synology
			two + "\n" + two,
			"198.51.100.7\n198.51.100.7,2001:db8:1:2:21b:21ff:fe3c:4d5e",
			"2001:db8:1:2:21b:21ff:fe3c:4d5e",
			"2001:db8:1::7",
			"",
		},
		"sh":       {"127.0.0.1", "127.0.0.1"},
		"routeros": {v4},
	}
	next := func(t *testing.T, language string) string {
		if len(want[language]) == 0 {
			t.Fatalf("a line too many in %s", language)
		}
		line := want[language][0]
		want[language] = want[language][1:]
		return line
	}
	for _, block := range blocks[1:] {
		language, text := block[1], block[2]
		if language == "caddyfile" {
			continue
		}
		// Each has a server of its own, for a name may not change too often.
		w := listen(t, "", recipesBlock(t, blocks[0][2]))
		here := func(line string) string {
			line = strings.ReplaceAll(line, "https://", "http://")
			return strings.ReplaceAll(line, "ddns.example.com", w.addr)
		}
		switch language {
		case "ddclient", "inadyn":
			t.Run(language, func(t *testing.T) { run(t, w, language, here(text)) })
		case "url", "sh", "routeros":
			for line := range strings.Lines(text) {
				line = strings.TrimSpace(line)
				if language == "routeros" && !strings.Contains(line, "/tool/fetch") {
					continue
				}
				t.Run(line, func(t *testing.T) {
					addrs := next(t, language)
					for range 2 {
						body := fetch(t, language, here(filledIn.Replace(line)))
						if got := regexp.MustCompile(`(?m)^(good|nochg) ?`).ReplaceAllString(body, ""); got != addrs+"\n" {
							t.Errorf("answered %q", body)
						}
					}
				})
			}
		}
	}
	for _, language := range []string{"url", "sh", "routeros"} {
		if len(want[language]) > 0 {
			t.Errorf("%d lines of %s are not in the recipes", len(want[language]), language)
		}
	}
}

// recipesBlock is the server of the recipes, with another provider, and
// without a host, so that it answers wherever it listens.
func recipesBlock(t *testing.T, site string) string {
	t.Helper()
	start, end := strings.Index(site, "{\n"), strings.LastIndex(site, "}")
	if !strings.HasPrefix(site, "ddns.example.com {") || end < 0 {
		t.Fatalf("the server of the recipes is\n%s", site)
	}
	block := strings.Replace(site[start+2:end], "cloudflare {env.CLOUDFLARE_API_TOKEN}", "PROVIDER", 1)
	return strings.Replace(block, "dyndns {", "dyndns {\nquery_auth\ninclude 198.51.100.0/24 2001:db8::/32 127.0.0.0/8\n", 1)
}

// run has a program update from a file of its configuration.
func run(t *testing.T, w *wire, program, config string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(err)
	}
	file := filepath.Join(w.dir, program+".conf")
	var args []string
	if program == "ddclient" {
		config = strings.Replace(config, "ssl=yes", "ssl=no", 1)
		args = []string{"-daemon=0", "-foreground", "-noquiet", "-cache", file + ".cache", "-file", file}
	} else {
		// It takes no address of loopback from a server.
		config = regexp.MustCompile(`(?m)^ *checkip-.*\n`).ReplaceAllString(config, "")
		config = strings.Replace(config, "username", "ssl = false\n checkip-command = \"echo 198.51.100.9\"\n username", 1)
		args = []string{"-1", "-n", "--no-pidfile", "--cache-dir=" + w.dir, "-f", file}
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := map[string]string{"ddclient": "127.0.0.1", "inadyn": "198.51.100.9"}[program]
	if got := w.z.Values(origin, "home", "A"); !slices.Equal(got, []string{want}) {
		t.Errorf("DNS has %v, want %s; it says\n%s", got, want, out)
	}
}

// fetch makes the request of a line and returns the body of the answer.
func fetch(t *testing.T, language, line string) string {
	t.Helper()
	switch language {
	case "sh":
		if _, err := exec.LookPath(strings.Fields(line)[0]); err != nil {
			t.Skip(err)
		}
		out, err := exec.Command("sh", "-c", line).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	case "routeros":
		line = regexp.MustCompile(`url="([^"]*)"`).FindStringSubmatch(line)[1]
	}
	if !strings.HasPrefix(line, "http://") {
		line = "http://" + line
	}
	if strings.HasSuffix(line, "hostname=") {
		line += "home.example.com"
	}
	u, err := url.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	if u.User == nil && !strings.Contains(line, "pass") {
		u.User = url.UserPassword("home", "secret")
	}
	resp, err := http.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answered %s %s", resp.Status, body.String())
	}
	return body.String()
}
