package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestFileCaddyfile(t *testing.T) {
	for _, tc := range []struct{ in, want, wantErr string }{
		{in: "file /run/addresses", want: "/run/addresses"},
		{in: `file "/run/my addresses"`, want: "/run/my addresses"},
		{in: "file {env.ADDRESSES}", want: "{env.ADDRESSES}"},
		{in: "file", wantErr: "file needs the path of a file with one address a line, such as `ip_source file /run/addresses`"},
		{in: `file ""`, wantErr: "file needs the path"},
		{in: "file /run/my addresses", wantErr: `unexpected argument "addresses": file takes one path; write one with spaces in quotes`},
		{in: "file /run/addresses {\n poll 1s\n}", wantErr: `unrecognized subdirective "poll": file has no options`},
	} {
		var s File
		err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err != nil && !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s: no file and line in %v", tc.in, err)
		}
		if err == nil && s.Path != tc.want {
			t.Errorf("%s: got %q", tc.in, s.Path)
		}
	}
}

func TestFileProvision(t *testing.T) {
	t.Setenv("ADDRESSES", "/run/addresses")
	for path, wantErr := range map[string]string{
		"{env.ADDRESSES}":         "",
		"not/there/yet":           "",
		"":                        "file needs the path",
		"{env.NO_SUCH_ADDRESSES}": `path "{env.NO_SUCH_ADDRESSES}"`,
	} {
		s := File{Path: path}
		sourcetest.CheckErr(t, path, s.Provision(caddy.Context{}), wantErr)
	}
}

// newFile provisions a source and returns what writes its file, which has not
// been written to for as long as the test says.
func newFile(t *testing.T) (s *File, write func(content string, ago time.Duration)) {
	t.Helper()
	s = &File{Path: filepath.Join(t.TempDir(), "addresses")}
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return s, func(content string, ago time.Duration) {
		t.Helper()
		if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-ago)
		if err := os.Chtimes(s.path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileContents(t *testing.T) {
	for _, tc := range []struct {
		name, content string
		v4, v6        string
		wantErr       string
		doubt         bool
	}{
		{name: "both", content: "198.51.100.7\n2001:db8::7\n", v4: "198.51.100.7", v6: "2001:db8::7"},
		{name: "one family", content: "198.51.100.7\n", v4: "198.51.100.7"},
		{name: "several", content: "198.51.100.8\n198.51.100.7\n198.51.100.8\n", v4: "198.51.100.8 198.51.100.7"},
		{name: "comments and blanks", content: "# WAN\n\n \t198.51.100.7\t# from DHCP\n#2001:db8::7\n", v4: "198.51.100.7"},
		{name: "Windows", content: "\ufeff198.51.100.7\r\n2001:db8::7\r\n", v4: "198.51.100.7", v6: "2001:db8::7"},
		{name: "last line without its end", content: "198.51.100.7\n2001:db8::7", v4: "198.51.100.7", v6: "2001:db8::7"},

		{name: "empty", content: "", wantErr: "there is no address in it"},
		{name: "nothing but comments", content: "# soon\n\n", wantErr: "there is no address in it"},
		{name: "malformed", content: "198.51.100.7\n198.51.100\n", wantErr: `line 2: "198.51.100" is not an address`, doubt: true},
		{name: "two in a line", content: "198.51.100.7 198.51.100.8\n", wantErr: "line 1: ", doubt: true},
		{name: "a range", content: "\n198.51.100.0/24\n", wantErr: "line 2: a range is not an address: write 198.51.100.0", doubt: true},
		{name: "a name", content: "example.com\n", wantErr: "is not an address", doubt: true},
		{name: "a port", content: "198.51.100.7:53\n", wantErr: "is not an address", doubt: true},
		{name: "leading zeros", content: "198.051.100.007\n", wantErr: "is not an address", doubt: true},
		{name: "a zone", content: "fe80::1%eth0\n", wantErr: "write fe80::1", doubt: true},
		{name: "mapped", content: "::ffff:198.51.100.7\n", wantErr: "write 198.51.100.7", doubt: true},
		{name: "binary", content: "\x7fELF\x00\x00", wantErr: `"\x7fELF\x00\x00" is not an address`, doubt: true},
		{name: "UTF-16", content: "1\x009\x008\x00.\x00", wantErr: "is not an address", doubt: true},
		{name: "one long line", content: strings.Repeat("1", 10_000), wantErr: "line 1: ", doubt: true},
		{name: "too large", content: strings.Repeat("198.51.100.7\n", 2000), wantErr: "larger than 16384 bytes", doubt: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, write := newFile(t)
			write(tc.content, time.Minute)
			for f, want := range map[ipaddr.Family]string{ipaddr.V4: tc.v4, ipaddr.V6: tc.v6} {
				got, err := s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(f)})
				sourcetest.CheckIPs(t, got, err, want, tc.wantErr)
				if _, doubt := errors.AsType[*ipsources.DoubtError](err); doubt != tc.doubt {
					t.Errorf("doubt is %t, want %t", doubt, tc.doubt)
				}
				if err != nil && (len(err.Error()) > 512 || !strings.Contains(err.Error(), s.path)) {
					t.Errorf("an error of %d bytes: %.600v", len(err.Error()), err)
				}
			}
		})
	}
}

func TestFileThatIsNone(t *testing.T) {
	s, _ := newFile(t)
	_, err := s.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "missing", err, s.path+" does not exist (yet)")
	s.path = t.TempDir()
	_, err = s.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "directory", err, s.path+" is not a file")
}

// TestFileHalfWritten: a line that does not end is no address yet, and a file
// that is being written to is not read.
func TestFileHalfWritten(t *testing.T) {
	s, write := newFile(t)
	write("198.51.100.7\n203.0.113.2", time.Second/2)
	got, err := s.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, got, err, "", "its last line does not end")
	if soon, ok := errors.AsType[*ipsources.SoonError](err); !ok || soon.After != unterminated {
		t.Errorf("does not ask to be asked again: %v", err)
	}

	write("", 0)
	go func() {
		time.Sleep(settleTime / 10)
		_ = os.WriteFile(s.path, []byte("203.0.113.25\n"), 0o600)
	}()
	got, err = s.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, got, err, "203.0.113.25", "")

	write("203.0.113.26", -time.Hour)
	got, err = s.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, got, err, "203.0.113.26", "")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "198.51.100.7", "198.51.100.7\n2001:db8::7\n", "# x\n\n198.51.100.7 # y\r\n", "\ufeff::1\n", "198.51.100\n",
		"fe80::1%eth0\n", "::ffff:198.51.100.7\n", "198.51.100.0/24\n", "\x00\n", strings.Repeat("1.2.3.4\n", 3000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		addrs, ended, err := parse(strings.NewReader(content))
		if (err == nil) != (len(addrs) > 0) || err != nil && len(err.Error()) > 512 {
			t.Errorf("got %v and %v", addrs, err)
		}
		if len(content) > maxSize && err == nil {
			t.Errorf("read %d bytes", len(content))
		}
		var lines []string
		for i, addr := range addrs {
			if addr.Zone() != "" || addr.Is4In6() {
				t.Errorf("got %v", addr)
			}
			lines = append(lines, addrs[i].String())
		}
		if err != nil {
			return
		}
		again, _, err := parse(strings.NewReader(strings.Join(lines, "\n")))
		if err != nil || len(again) != len(addrs) {
			t.Errorf("%v is read as %v, %v", addrs, again, err)
		}
		if !ended && strings.HasSuffix(content, "\n") {
			t.Error("the last line ends")
		}
	})
}
