package dynamicdns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// asCaddy makes the test binary a Caddy that knows the stand-ins, and slowness
// is how long one of these takes to answer.
const (
	asCaddy  = "DYNAMIC_DNS_TEST_AS_CADDY"
	slowness = "DYNAMIC_DNS_TEST_SLOWNESS"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) == "" {
		os.Exit(m.Run())
	}
	current.Store(new(lab))
	current.Load().address(addr1)
	latency, _ := time.ParseDuration(os.Getenv(slowness))
	z := standin.New(standin.Character{Latency: latency}, zoneName)
	z.Put(zoneName, record("same", "A", addr1), record("other", "A", addr2), record("alias", "CNAME", "example.net."))
	os.Setenv("STANDIN", z.Register())
	caddycmd.Main()
}

// shell runs a line of shell in which `caddy` is this Caddy.
func shell(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "caddy() { '"+self+"' \"$@\"; }; "+line)
	dir := t.TempDir()
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// serve runs Caddy in real time, with its admin endpoint at a socket.
func serve(t *testing.T) (l *lab, load func(app string, others ...string) error, socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dynamic-dns")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "admin.sock")
	l = &lab{t: t, storage: dir, loaded: true}
	current.Store(l)
	t.Cleanup(func() {
		l.stop()
		os.RemoveAll(dir)
	})
	return l, func(app string, others ...string) error {
		return caddy.Load(fmt.Appendf(nil, `{
			"admin": {"listen": "unix/%s", "config": {"persist": false}},
			"storage": {"module": "file_system", "root": %q},
			"logging": {"logs": {"default": {"writer": {"output": "dynamic_dns_test"}, "level": "DEBUG"}}},
			"apps": {%s}
		}`, socket, dir, strings.Join(append(others, `"dynamic_dns": `+app), ", ")), true)
	}, socket
}

// TestExitStatus: scripts rely on it.
func TestExitStatus(t *testing.T) {
	_, load, socket := serve(t)
	current.Load().address(addr1)
	z := standin.New(standin.Character{}, zoneName)
	if err := load(appConfig(z.Register(), `{"example.com": ["www"]}`)); err != nil {
		t.Fatal(err)
	}
	address := " --address unix/" + socket
	expect := func(line string, wantCode int, wants ...string) {
		t.Helper()
		code, stdout, stderr := shell(t, line)
		if code != wantCode {
			t.Errorf("%s: exit status %d, want %d", line, code, wantCode)
		}
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: no %q in\n%s%s", line, want, stdout, stderr)
			}
		}
		if strings.ContainsAny(stdout, "\033\r") {
			t.Errorf("%s: colors or progress where there is no terminal: %q", line, stdout)
		}
	}
	expect("caddy dynamic-dns check"+address, 0, "In sync.", "in sync     A     www")
	expect("caddy dynamic-dns status"+address, 0, "In sync.")
	expect("caddy dynamic-dns plan"+address, 0, "nothing would change")
	expect("caddy dynamic-dns status --json"+address, 0, `"in_sync": true`)
	z.Drop(zoneName, "www", "A")
	expect("caddy dynamic-dns plan"+address, 2, "1 record would change", "there is no such record")
	z.Put(zoneName, record("www", "CNAME", "example.net."))
	expect("caddy dynamic-dns plan"+address, 2, "is in the way")
	expect("caddy dynamic-dns check"+address, 2, "Not in sync.", "blocked     A     www")
	expect("caddy dynamic-dns status"+address+" && echo fine", 2)
	z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
	expect("caddy dynamic-dns plan"+address, 1, "reading records: network", "cannot tell for all zones")

	expect("caddy dynamic-dns status --address localhost:1", 1, "asking Caddy at localhost:1", "start it with `caddy run`")
	expect("caddy dynamic-dns status --adress localhost:1", 1, "unknown flag")
	expect("caddy dynamic-dns stauts", 1, `no "stauts"; write check, doctor, notify-test, plan, status or token`)
	expect("caddy dynamic-dns", 1, "write check, doctor, notify-test, plan, status or token")
	expect("caddy dynamic-dns status example.com", 1, "unknown command")
	expect("caddy dynamic-dns --help", 0, "status|check|plan|doctor|notify-test [--address")
	if err := caddy.Load([]byte(`{"admin": {"listen": "unix/`+socket+`", "config": {"persist": false}}}`), true); err != nil {
		t.Fatal(err)
	}
	expect("caddy dynamic-dns status"+address, 1, "dynamic_dns is not configured")
}

// TestPlanFromFile: without a running Caddy.
func TestPlanFromFile(t *testing.T) {
	config := func(names string) string {
		file := filepath.Join(t.TempDir(), "caddy.json")
		err := os.WriteFile(file, []byte(`{"apps": {"dynamic_dns": `+appConfig("standin_1", `{"example.com": [`+names+`]}`)+`}}`), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	for names, want := range map[string]struct {
		code int
		text string
	}{
		`"same"`:          {0, "nothing would change"},
		`"same", "other"`: {2, "from " + addr2},
		`"new"`:           {2, "there is no such record"},
		`"alias"`:         {2, "is in the way"},
		`"same.example"`:  {2, "there is no such record"},
		`"same", "same."`: {1, "names are relative to their zone"},
	} {
		code, stdout, stderr := shell(t, "caddy dynamic-dns plan --config "+config(names))
		if code != want.code || !strings.Contains(stdout+stderr, want.text) {
			t.Errorf("%s: exit status %d, want %d with %q, got\n%s%s", names, code, want.code, want.text, stdout, stderr)
		}
		if strings.Contains(stdout+stderr, standin.Token) {
			t.Errorf("%s: the token is in\n%s%s", names, stdout, stderr)
		}
	}
}

// TestPlanStartsNothing: a plan from a file writes nothing and leaves nothing
// running.
func TestPlanStartsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "caddy.json")
	bubble(t, func(l *lab) {
		for _, character := range []standin.Character{{}, {NoGet: true}} {
			z := standin.New(character, zoneName)
			l.address(addr1)
			config := `{
				"storage": {"module": "file_system", "root": "` + l.storage + `"},
				"apps": {"dynamic_dns": ` + appConfig(z.Register(), `{"example.com": ["www"]}`) + `}
			}`
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			plan, err := planFromConfig(file, "", func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Zones) != 1 || len(plan.Zones[0].Changes) != 1 || plan.Zones[0].Changes[0].To[0].String() != addr1 {
				t.Errorf("plan: %+v", plan)
			}
			l.wait(24 * time.Hour)
			if n := z.Count("", ""); n > 1 || z.Count(standin.Get, "") != n {
				t.Errorf("%d calls", n)
			}
		}
	})
}

// TestNotifyTest: who takes a message and who does not, of those of a file and
// of the running Caddy.
func TestNotifyTest(t *testing.T) {
	var got atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(r.URL.Path, "/bad") || !strings.Contains(string(body), "If you can read this") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		got.Add(1)
	}))
	defer service.Close()
	host := strings.TrimPrefix(service.URL, "http://")
	good, bad := "generic+http://"+host+"/good/s3cret", "generic+http://"+host+"/bad/s3cret"
	events := func(urls ...string) string {
		return fmt.Sprintf(`"events": {"subscriptions": [{"handlers": [{"handler": "notify", "urls": ["%s"]}, {"handler": "notify", "urls": ["%s"]}]}]}`, strings.Join(urls, `", "`), good)
	}
	file := func(apps string) string {
		file := filepath.Join(t.TempDir(), "caddy.json")
		if err := os.WriteFile(file, []byte(`{"apps": {`+apps+`}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--config " + file
	}
	expect := func(where string, wantCode int, sent int32, wants ...string) {
		t.Helper()
		got.Store(0)
		code, stdout, stderr := shell(t, "caddy dynamic-dns notify-test "+where)
		if n := got.Load(); code != wantCode || n != sent {
			t.Errorf("%s: exit status %d, want %d; %d messages, want %d", where, code, wantCode, n, sent)
		}
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: no %q in\n%s%s", where, want, stdout, stderr)
			}
		}
		if strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%s: there is a secret in\n%s%s", where, stdout, stderr)
		}
	}
	taken, notTaken := "generic://"+host+": taken\n", "generic://"+host+": not taken: "
	expect(file(events(good)), 0, 1, taken)
	expect(file(events(bad)), 2, 1, taken, notTaken, "403 Forbidden")
	expect(file(events(bad))+" --json", 2, 1, `"taken": false`, `"url": "generic://`+host+`"`)
	expect(file(`"events": {}`), 1, 0, "no notify handler is configured; write one, such as `on update_failed notify ntfy://")
	expect(file(events("https://ntfy.sh/s3cret")), 1, 0, "write it like `ntfy://ntfy.sh/<topic>`")

	_, load, socket := serve(t)
	current.Load().address(addr1)
	config := appConfig(standin.New(standin.Character{}, zoneName).Register(), `{"example.com": ["www"]}`)
	running := "--address unix/" + socket
	if err := load(config); err != nil {
		t.Fatal(err)
	}
	expect(running, 1, 0, "no notify handler is configured")
	// The messages about events of the start are not those that are counted.
	if err := load(config, strings.Replace(events(good, bad), `{"handlers"`, `{"events": ["none"], "handlers"`, 1)); err != nil {
		t.Fatal(err)
	}
	expect(running, 2, 1, taken, notTaken)
}

// TestHelp: each subcommand has an example, and what is in it can be written.
func TestHelp(t *testing.T) {
	root := &cobra.Command{Use: "caddy"}
	cmd := &cobra.Command{Use: "dynamic-dns"}
	caddycmd.Commands()["dynamic-dns"].CobraFunc(cmd)
	root.AddCommand(cmd)
	for _, sub := range append(cmd.Commands(), cmd) {
		lines := strings.Split(strings.TrimSpace(sub.Example), "\n")
		for _, line := range lines {
			line, _, _ = strings.Cut(line, "&&")
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "caddy" || words[1] != "dynamic-dns" || sub != cmd && words[2] != sub.Name() {
				t.Errorf("%s: the example %q does not show it", sub.Name(), line)
				continue
			}
			found, rest, err := root.Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || found == cmd {
				t.Errorf("%s: the example %q cannot be run: %v", sub.Name(), line, err)
			}
		}
		if sub != cmd && (sub.Short == "" || sub.Long == "") {
			t.Errorf("%s: the help is incomplete", sub.Name())
		}
	}
}

// TestCompletion: what a shell asks for when people press the tabulator.
func TestCompletion(t *testing.T) {
	const files, noFiles = ":0\n", ":4\n"
	for words, want := range map[string]struct {
		proposed []string
		end      string
	}{
		`''`:                 {[]string{"check\t", "notify-test\t", "plan\t", "status\t", "token\t"}, noFiles},
		`pl`:                 {[]string{"plan\tShows what would change"}, noFiles},
		`status ''`:          {nil, noFiles},
		`status --`:          {[]string{"--adapter\t", "--address\t", "--config\t", "--json\t"}, noFiles},
		`plan --config ''`:   {nil, files},
		`plan --config=./Ca`: {nil, files},
		`notify-test -c ''`:  {nil, files},
		`check --address ''`: {nil, noFiles},
		`check --adapter ''`: {[]string{"caddyfile\n"}, noFiles},
		`token ''`:           {nil, noFiles},
	} {
		code, stdout, stderr := shell(t, "caddy __complete dynamic-dns "+words)
		if code != 0 || !strings.HasSuffix(stdout, want.end) {
			t.Errorf("%s: exit status %d, got\n%s%s", words, code, stdout, stderr)
		}
		for _, proposed := range want.proposed {
			if !strings.Contains(stdout, proposed) {
				t.Errorf("%s: %q is not proposed in\n%s", words, proposed, stdout)
			}
		}
		if want.proposed == nil && stdout != want.end {
			t.Errorf("%s: proposed\n%s", words, stdout)
		}
	}
}

// TestProgress is shown while something takes longer than a second.
func TestProgress(t *testing.T) {
	bubble(t, func(*lab) {
		for _, test := range []struct {
			takes time.Duration
			want  string
			err   bool
		}{
			{900 * time.Millisecond, "", false},
			{2500 * time.Millisecond, "\r\033[Kwaiting: 1s\r\033[Kwaiting: 2s\r\033[K", false},
			{time.Hour, "waiting: 35s\n", true},
		} {
			var progress bytes.Buffer
			c := &console{progress: &progress}
			err := c.wait("waiting", func() error {
				time.Sleep(test.takes)
				return nil
			})
			if got := progress.String(); (err != nil) != test.err || !strings.HasSuffix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("after %s: %v, %q", test.takes, err, got)
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestProgressOnTerminal: it is shown on a terminal, and nowhere else.
func TestProgressOnTerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no script (Debian package bsdutils), which has a terminal")
	}
	t.Setenv(slowness, "2500ms")
	file := filepath.Join(t.TempDir(), "caddy.json")
	if err := os.WriteFile(file, []byte(`{"apps": {"dynamic_dns": `+appConfig("standin_1", `{"example.com": ["same"]}`)+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	progress := regexp.MustCompile(`\r\033\[Kreading zones, 0 of 1 done: \ds`)
	code, stdout, stderr := shell(t, "caddy dynamic-dns plan --config "+file)
	if code != 0 || strings.ContainsAny(stdout+stderr, "\r\033") || strings.Contains(stderr, "reading") {
		t.Errorf("without a terminal: exit status %d, %q and %q", code, stdout, stderr)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, terminal, _ := shell(t, "script -qec '"+self+" dynamic-dns plan --config "+file+"' /dev/null")
	if !progress.MatchString(terminal) || !strings.Contains(terminal, "nothing would change") {
		t.Errorf("on a terminal: %q", terminal)
	}
	// It is no part of the answer, which can be kept.
	_, terminal, _ = shell(t, "script -qec '"+self+" dynamic-dns plan --config "+file+" > answer' /dev/null; cat answer >&2")
	if !progress.MatchString(terminal) || strings.Contains(terminal, "nothing would change") {
		t.Errorf("with the answer in a file, on the terminal: %q", terminal)
	}
}

// TestProgressOfCheck: what is said of a check that is under way.
func TestProgressOfCheck(t *testing.T) {
	bubble(t, func(l *lab) {
		l.address(addr1)
		first, second := standin.New(standin.Character{}, zoneName), standin.New(standin.Character{Latency: 10 * time.Second}, "example.net.")
		l.load(appConfig(first.Register(), `{"example.com": ["www"]}, "providers": [{"dns_provider": {"name": "`+second.Register()+`"}, "domains": {"example.net": ["www"]}}]`))
		l.wait(10 * time.Minute)
		began := time.Now()
		at := func() string { return activeStatus(t).Progress(began) }
		if got := at(); got != "asking the IP sources" {
			t.Errorf("at first: %s", got)
		}
		app, err := activeApp()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan bool, 1)
		go func() { done <- app.checkNow() }()
		l.wait(5 * time.Second)
		if got := at(); got != "reading zones, 1 of 2 done" {
			t.Errorf("then: %s", got)
		}
		<-done
		l.wait(time.Second)
		if got := at(); got != "reading zones, 2 of 2 done" {
			t.Errorf("in the end: %s", got)
		}
	})
}

// TestAdminSurvivesReloads: a hundred reloads, of which some fail, under
// requests to every endpoint.
func TestAdminSurvivesReloads(t *testing.T) {
	_, load, socket := serve(t)
	current.Load().address(addr1)
	z := standin.New(standin.Character{}, zoneName)
	name := z.Register()
	config := appConfig(name, `{"example.com": ["www"]}`)
	if err := load(config); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	do := func(method, path string) (int, string) {
		req, err := http.NewRequest(method, "http://127.0.0.1"+path, nil)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		resp, err := client.Do(req)
		for began := time.Now(); err != nil && time.Since(began) < 10*time.Second; {
			// Caddy closes connections that a reload caught before a request.
			resp, err = client.Do(req)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return 0, ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return resp.StatusCode, string(body)
	}
	if code, body := do(http.MethodPost, adminBase+"check"); code != http.StatusOK {
		t.Fatalf("first check: %d %s", code, body)
	}

	// That there is no telling, in a plan.
	const zoneError = "\n\t\t\t\"error\": "
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for path, method := range map[string]string{
		adminBase + "status": http.MethodGet,
		adminBase + "health": http.MethodGet,
		adminBase + "plan":   http.MethodGet,
		adminBase + "check":  http.MethodPost,
		"/metrics":           http.MethodGet,
	} {
		wg.Go(func() {
			for ctx.Err() == nil {
				if code, body := do(method, path); code != http.StatusOK || strings.Contains(body, zoneError) {
					t.Errorf("%s: %d %s", path, code, body)
				}
			}
		})
	}
	for i := range 100 {
		var err error
		if i%10 == 9 {
			if err = load(config, `"dynamic_dns_test_failing": {}`); err == nil {
				t.Error("the failing app did not fail")
			}
		} else if err = load(config); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	cancel()
	wg.Wait()
	if n := z.Count(standin.Set, ""); n != 1 {
		t.Errorf("%d writes", n)
	}
	// The last reload failed, and so does one that does not get that far.
	for _, last := range []string{config, `{"nonsense": true}`} {
		_ = load(last, `"dynamic_dns_test_failing": {}`)
		_, metrics := do(http.MethodGet, "/metrics")
		for _, want := range []string{
			`changes_total{provider="` + name + `",type="A",zone="example.com"} 1`,
			`zone_in_sync{provider="` + name + `",zone="example.com"} 1`,
		} {
			if !strings.Contains(metrics, observe.Prefix+want) {
				t.Errorf("no %s in\n%s", want, metrics)
			}
		}
	}
}
