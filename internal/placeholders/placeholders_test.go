package placeholders

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	t.Setenv("NAMES", "blog  www\nftp")
	t.Setenv("ONE", "mail")
	t.Setenv("EMPTY", "")
	for _, tc := range []struct {
		in      []string
		want    string
		wantErr string
	}{
		{in: nil},
		{in: []string{"@", "www"}, want: "@ www"},
		{in: []string{"@", "{env.NAMES}", "{env.ONE}"}, want: "@ blog www ftp mail"},
		{in: []string{"{env.ONE}.home"}, want: "mail.home"},
		{in: []string{"a b"}, want: "a b"}, // is for others to refuse
		{in: []string{"www", "{env.EMPTY}"}, wantErr: "the environment variable EMPTY is not set or empty where Caddy runs; for a systemd service, run `systemctl edit caddy`"},
		{in: []string{"{env.ONE}{env.NO_SUCH_VARIABLE}"}, wantErr: "below it `Environment=NO_SUCH_VARIABLE=...`"},
		{in: []string{"{no.such}"}, wantErr: "unrecognized placeholder {no.such}"},
	} {
		got, err := Words(tc.in)
		if tc.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%q: got error %v, want one with %s", tc.in, err, tc.wantErr)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%q: got %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
	if got, err := Words([]string{"a b"}); err != nil || !slices.Equal(got, []string{"a b"}) {
		t.Errorf("a word without a placeholder became %q, %v", got, err)
	}
}
