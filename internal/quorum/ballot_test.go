package quorum

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// voter is written as "name" or "name@operator".
type voter string

func (v voter) Name() string { name, _, _ := strings.Cut(string(v), "@"); return name }

func (v voter) Operator() string {
	if _, operator, ok := strings.Cut(string(v), "@"); ok {
		return operator
	}
	return string(v)
}

// TestBallot plays ballots: "?x y" expects x and y to be asked next, "x=1"
// answers, "x!" fails, and "x~" is slow.
func TestBallot(t *testing.T) {
	for _, tc := range []struct {
		name, queue, known string
		quorum             int
		play               string
		want               string
	}{
		{"one vote for a known address", "a b c", "1", 2, "?a a=1 ?", "1"},
		{"a quorum for another one", "a b c", "1", 2, "?a a=2 ?b b=2 ?", "2"},
		{"nothing known", "a b c", "", 2, "?ab a=2 b=2 ?", "2"},
		{"operators count once", "a@x b@x c", "", 2, "?ab a=2 b=2 ?c c=2", "2"},
		{"an operator that answered is not asked again", "a@x c b@x d", "1", 2, "?a a=2 ?c c! ?d d=2", "2"},
		{"a disagreement asks all", "a b c d e", "", 2, "?ab a=2 b=3 ?cde c=3", "3"},
		{"a known address ends a disagreement", "a b c", "1", 2, "?a a=2 ?b b=1 ?", "1"},
		{"a slow voter is doubled", "a b c", "1", 2, "?a a~ ?b b~ ?c a=1", "1"},
		{"nobody is left", "a b", "", 2, "?ab a=2 b! ?", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr := func(s string) netip.Addr { return netip.MustParseAddr("192.0.2." + s) }
			var queue []voter
			byName := make(map[string]voter)
			for _, s := range strings.Fields(tc.queue) {
				queue = append(queue, voter(s))
				byName[voter(s).Name()] = voter(s)
			}
			var known []netip.Addr
			if tc.known != "" {
				known = append(known, addr(tc.known))
			}
			b := New(known, tc.quorum, nil, queue)
			for _, move := range strings.Fields(tc.play) {
				switch {
				case move[0] == '?':
					asked := ""
					for _, v := range b.Next() {
						asked += v.Name()
					}
					if asked != move[1:] {
						t.Fatalf("asks %q next, want %q", asked, move[1:])
					}
				case move[1] == '=':
					b.Answer(byName[move[:1]], addr(move[2:]))
				case move[1] == '!':
					b.Fault(byName[move[:1]], errors.New("down"))
				case move[1] == '~':
					b.Slow(byName[move[:1]])
				}
			}
			got, won := b.Winner()
			if won != (tc.want != "") || won && got != addr(tc.want) {
				t.Errorf("%v has won, want %q", got, tc.want)
			}
		})
	}
}

func TestBallotSummary(t *testing.T) {
	b := New(nil, 3, nil, []voter{"c", "b", "a"})
	b.Next()
	b.Answer("b", netip.MustParseAddr("192.0.2.1"))
	b.Fault("c", errors.New("down"))
	if b.Over() {
		t.Error("over while one may answer")
	}
	b.Close(errors.New("late"))
	if want := "b says 192.0.2.1; a: late; c: down"; !b.Over() || b.Summary() != want {
		t.Errorf("got %q, want %q", b.Summary(), want)
	}
}

func TestOperatorOf(t *testing.T) {
	for host, want := range map[string]string{
		"1.1.1.2": Cloudflare, "1.0.0.3": Cloudflare, "2606:4700:4700::1112": Cloudflare,
		"208.67.222.123": "opendns.com", "2620:119:35::123": "opendns.com", "8.8.8.8": "google.com", "1.1.2.1": "1.1.2.1",
		"bücher.example": "xn--bcher-kva.example", "www.BÜCHER.example.": "xn--bcher-kva.example", "a_b.example.com": "example.com",
		"icanhazip.com": Cloudflare, "ipv4.icanhazip.com": Cloudflare, "one.one.one.one": Cloudflare,
		"1.1.1.1": Cloudflare, "2606:4700:4700:0::1111": Cloudflare, "speed.cloudflare.com.": Cloudflare,
		"www.example.co.uk": "example.co.uk", "Example.co.uk": "example.co.uk", "localhost": "localhost",
		"208.67.222.222": "opendns.com", "dns.opendns.com": "opendns.com", "dns.umbrella.com": "opendns.com",
		"4.tnedi.me": "ident.me", "198.51.100.7": "198.51.100.7", "2001:DB8::7": "2001:db8::7",
		"a.github.io": "a.github.io",
	} {
		if got := OperatorOf(host); got != want {
			t.Errorf("%s is run by %s, want %s", host, got, want)
		}
	}
}

func TestRepeat(t *testing.T) {
	var r Repeat
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, tc := range []struct {
		addr   netip.Addr
		voters string
		want   int
	}{{one, "a", 1}, {one, "a", 2}, {two, "a", 1}, {two, "a b", 1}, {two, "a b", 2}, {two, "a b", 3}} {
		if got := r.Again(tc.addr, strings.Fields(tc.voters)); got != tc.want {
			t.Errorf("%d: got %d, want %d", i, got, tc.want)
		}
	}
}
