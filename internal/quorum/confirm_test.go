package quorum

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// TestConfirm plays what one voter says: an address, or "!" for a failure.
func TestConfirm(t *testing.T) {
	const one, two, three, v6, private = "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "10.0.0.1"
	for _, tc := range []struct {
		name, known, says string
		want, wantErr     string
		asked             int
	}{
		{name: "a known one at once", known: one, says: one, want: one, asked: 1},
		{name: "the first at once", says: one, want: one, asked: 1},
		{name: "the first of its family at once", known: v6, says: one, want: one, asked: 1},
		{name: "a newcomer confirmed twice", known: one, says: two + " " + two + " " + two, want: two, asked: 3},
		{name: "the known one again", known: one, says: two + " " + two + " " + one, want: one, asked: 3},
		{name: "another newcomer starts again", known: one, says: two + " " + two + " " + three + " " + three + " " + three, want: three, asked: 5},
		{name: "wavering", known: one, says: strings.Repeat(two+" "+three+" ", 3), wantErr: "does not stay with an answer", asked: 6},
		{name: "a failure", known: one, says: "!", wantErr: "down", asked: 1},
		{name: "a failure after a newcomer", known: one, says: two + " " + two + " !", wantErr: "down", asked: 3},
		{name: "one that nobody acts on", known: one, says: private, want: private, asked: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var known []netip.Addr
			if tc.known != "" {
				known = append(known, netip.MustParseAddr(tc.known))
			}
			says, asked := strings.Fields(tc.says), 0
			got, err := Confirm(known, func(addr netip.Addr) bool { return !addr.IsPrivate() }, func() (netip.Addr, error) {
				s := says[asked]
				asked++
				if s == "!" {
					return netip.Addr{}, errors.New("down")
				}
				return netip.MustParseAddr(s), nil
			})
			switch {
			case tc.wantErr != "":
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || got.IsValid() {
					t.Errorf("got %v and error %v, want error %q", got, err, tc.wantErr)
				}
			case err != nil || got.String() != tc.want:
				t.Errorf("got %v and error %v, want %s", got, err, tc.want)
			}
			if asked != tc.asked {
				t.Errorf("asked %d times, want %d", asked, tc.asked)
			}
		})
	}
}
