package command

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
)

func TestCommandCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in      string
		want    Command
		wantErr string
	}{
		{in: "command /usr/local/bin/my-address", want: Command{Command: "/usr/local/bin/my-address"}},
		// As its namesake has it.
		{in: "command echo 1.2.3.4,2004:1234::1234", want: Command{Command: "echo", Args: []string{"1.2.3.4,2004:1234::1234"}}},
		{
			in:   "command curl -H \"Authorization: {env.TOKEN}\" {\n timeout 10s\n dir /tmp\n}",
			want: Command{Command: "curl", Args: []string{"-H", "Authorization: {env.TOKEN}"}, Timeout: caddy.Duration(10 * time.Second), Dir: "/tmp"},
		},
		{in: "command", wantErr: "command needs a program, such as `ip_source command /usr/local/bin/my-address`"},
		{in: `command ""`, wantErr: "command needs a program"},
		{in: "command x {\n timeout\n}", wantErr: "timeout needs one duration, such as 10s"},
		{in: "command x {\n timeout 10\n}", wantErr: `timeout "10" is no duration from 100ms to 1m: write one such as 10s`},
		{in: "command x {\n timeout 2m\n}", wantErr: "from 100ms to 1m"},
		{in: "command x {\n timeout 1s\n timeout 1s\n}", wantErr: "timeout is given twice"},
		{in: "command x {\n dir\n}", wantErr: "dir needs one path"},
		{in: "command x {\n dir /a /b\n}", wantErr: "dir needs one path"},
		{in: "command x {\n dir /a\n dir /b\n}", wantErr: "dir is given twice"},
		{in: "command x {\n args y\n}", wantErr: `unrecognized subdirective "args": command takes dir and timeout; write further arguments on its line`},
		{in: "command x {\n dir /a {\n b\n }\n}", wantErr: "dir takes no block"},
	} {
		var c Command
		err := c.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err != nil {
			if !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("%s: no file and line in %v", tc.in, err)
			}
			continue
		}
		if c.Command != tc.want.Command || !slices.Equal(c.Args, tc.want.Args) || c.Timeout != tc.want.Timeout || c.Dir != tc.want.Dir {
			t.Errorf("%s: got %+v", tc.in, c)
		}
	}
}

func TestCommandProvision(t *testing.T) {
	t.Setenv("COMMAND_TOKEN", "c2VjcmV0")
	for config, wantErr := range map[string]string{
		`{"command": "echo", "args": ["1.2.3.4,2004:1234::1234"]}`:                                  "",
		`{"command": "{env.COMMAND_TOKEN}", "dir": "/{env.COMMAND_TOKEN}", "timeout": 30000000000}`: "",
		`{"command": "awk", "args": ["{print $2}", "{env.COMMAND_TOKEN}"], "timeout": "5s"}`:        "",
		`{"command": "/not/there/yet"}`:                                                             "",
		`{}`:                                                                                        "command needs a program",
		`{"command": "x", "timeout": 10}`:                                                           "timeout 10ns is not from 100ms to 1m: write one such as 10s",
		`{"command": "x", "timeout": "2m"}`:                                                         "timeout 2m0s is not from",
		`{"command": "x", "args": ["y", "{env.NO_SUCH_TOKEN}"]}`:                                    "args[1]: the environment variable NO_SUCH_TOKEN is not set",
		`{"command": "{env.NO_SUCH_TOKEN}"}`:                                                        `command "{env.NO_SUCH_TOKEN}": `,
		`{"command": "x", "dir": "{env.NO_SUCH_TOKEN}"}`:                                            `dir "{env.NO_SUCH_TOKEN}": `,
	} {
		var c Command
		if err := json.Unmarshal([]byte(config), &c); err != nil {
			t.Fatal(err)
		}
		sourcetest.CheckErr(t, config, c.Provision(caddy.Context{Context: t.Context()}), wantErr)
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct{ output, want, wantErr string }{
		{output: "198.51.100.7", want: "198.51.100.7"},
		{output: "198.51.100.7\r\n", want: "198.51.100.7"},
		{output: "198.51.100.7,2001:db8::7\n", want: "198.51.100.7 2001:db8::7"},
		{output: " 198.51.100.7 ,\n\t2001:db8::7,198.51.100.7\n", want: "198.51.100.7 2001:db8::7"},
		{output: "", wantErr: "it printed no address"},
		{output: " ,\n", wantErr: "it printed no address"},
		{output: "198.51.100.7\nwarning", wantErr: `it printed something else than addresses: "warning" is not an address`},
		{output: "198.51.100.7/32", wantErr: "write 198.51.100.7"},
		{output: "198.51.100.7\x00", wantErr: "is not an address"},
		{output: "fe80::1%eth0", wantErr: "write fe80::1"},
		{output: "::ffff:198.51.100.7", wantErr: "write 198.51.100.7"},
		{output: "<html>", wantErr: "is not an address"},
		{output: strings.Repeat("1", 4000), wantErr: "is not an address"},
	} {
		got, err := parse(tc.output)
		sourcetest.CheckIPs(t, got, err, tc.want, tc.wantErr)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "198.51.100.7", "198.51.100.7,2001:db8::7\n", " , ", "fe80::1%eth0", "::ffff:1.2.3.4", "1.2.3.4/32", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, output string) {
		addrs, err := parse(output)
		if (err == nil) != (len(addrs) > 0) || err != nil && len(err.Error()) > 512 {
			t.Errorf("got %v and %v", addrs, err)
		}
		var words []string
		for _, addr := range addrs {
			if addr.Zone() != "" || addr.Is4In6() {
				t.Errorf("got %v", addr)
			}
			words = append(words, addr.String())
		}
		if again, _ := parse(strings.Join(words, ",")); !slices.Equal(again, addrs) {
			t.Errorf("%v is read as %v", addrs, again)
		}
	})
}
