package natpmp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
)

var routerAddr = netip.MustParseAddr("192.168.1.1")

// fakeRouter answers questions, in fake time.
type fakeRouter struct {
	// answer returns the packets to answer with.
	answer func(question []byte) [][]byte
	asked  []string
	began  time.Time
	at     []time.Duration
}

func (r *fakeRouter) client() *Client {
	return &Client{dial: func(local netip.Addr, router netip.AddrPort) (net.Conn, netip.AddrPort, error) {
		if router.Port() != Port {
			return nil, netip.AddrPort{}, errors.New("asked at another port")
		}
		if !local.IsValid() {
			local = netip.MustParseAddr("192.168.1.7")
		}
		near, far := net.Pipe()
		r.began = time.Now()
		go r.serve(far)
		return near, netip.AddrPortFrom(local, 46698), nil
	}}
}

func (r *fakeRouter) serve(far net.Conn) {
	defer far.Close()
	for b := make([]byte, 2000); ; {
		n, err := far.Read(b)
		if err != nil {
			return
		}
		r.at = append(r.at, time.Since(r.began))
		r.asked = append(r.asked, kind(b[:n]))
		for _, a := range r.answer(slices.Clone(b[:n])) {
			// A reader may be gone, which loses the packet.
			_ = far.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = far.Write(a)
		}
	}
}

func kind(question []byte) string {
	switch {
	case len(question) == 2:
		return "address"
	case binary.BigEndian.Uint32(question[4:]) == 0:
		return "unmap"
	}
	return "map"
}

// pcp answers a question for a mapping.
func pcp(question []byte, result byte, addr string) []byte {
	b := slices.Clone(question)
	b[1] |= response
	b[3] = result
	ip := netip.MustParseAddr(addr).As16()
	copy(b[44:], ip[:])
	return b
}

func TestIPv4(t *testing.T) {
	pmp := func(result byte, addr string) []byte {
		ip := netip.MustParseAddr(addr).As4()
		return append([]byte{0, response, 0, result, 0, 0, 0, 9}, ip[:]...)
	}
	for _, tc := range []struct {
		name string
		// answers by the kind of the question; each kind's are used up in turn,
		// and the last one stays.
		address, mapping [][]byte
		mapResult        byte
		mapAddr          string
		want, wantErr    string
		asked            string
		took             time.Duration
	}{
		{name: "NAT-PMP", address: [][]byte{pmp(0, "93.184.216.34")}, want: "93.184.216.34", asked: "address"},
		{name: "the third question is heard", address: [][]byte{nil, nil, pmp(0, "93.184.216.34")}, want: "93.184.216.34", asked: "address address address", took: 750 * time.Millisecond},
		{name: "a stranger's packet first", address: [][]byte{{1, 2, 3}, pmp(0, "93.184.216.34")}, want: "93.184.216.34", asked: "address address", took: 250 * time.Millisecond},
		{name: "silence", address: [][]byte{nil}, wantErr: "the router 192.168.1.1 does not answer", asked: "address address address address address", took: patience},
		{name: "refused", address: [][]byte{pmp(2, "0.0.0.0")}, wantErr: "configured to refuse", asked: "address"},
		{name: "an unknown result", address: [][]byte{pmp(77, "0.0.0.0")}, wantErr: "result code 77", asked: "address"},
		{name: "PCP", address: [][]byte{pmp(1, "0.0.0.0")}, mapAddr: "93.184.216.34", want: "93.184.216.34", asked: "address map unmap"},
		{name: "PCP that refuses", address: [][]byte{pmp(1, "0.0.0.0")}, mapAddr: "0.0.0.0", mapResult: pcpRefused, wantErr: "configured to refuse", asked: "address map"},
		{name: "neither", address: [][]byte{pmp(1, "0.0.0.0")}, wantErr: "does not answer", asked: "address map map map map map unmap", took: patience},
		{name: "PCP without address", address: [][]byte{pmp(1, "0.0.0.0")}, mapAddr: "0.0.0.0", wantErr: "no public address now", asked: "address map unmap"},
		{name: "offline", address: [][]byte{pmp(0, "0.0.0.0")}, mapAddr: "0.0.0.0", mapResult: pcpNoResources, wantErr: "no public address now: it is offline, or itself behind NAT", asked: "address map"},
		{name: "double NAT", address: [][]byte{pmp(3, "0.0.0.0")}, mapAddr: "10.1.2.3", mapResult: pcpNoResources, wantErr: "is itself behind NAT, with the address 10.1.2.3 (double NAT)", asked: "address map"},
		{name: "carrier-grade NAT", address: [][]byte{pmp(3, "0.0.0.0")}, mapAddr: "100.64.0.1", mapResult: pcpNoResources, wantErr: "double NAT", asked: "address map"},
		{name: "a NAT between", address: [][]byte{pmp(1, "0.0.0.0")}, mapAddr: "0.0.0.0", mapResult: pcpMismatch, wantErr: "double NAT", asked: "address map"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRouter{answer: func(question []byte) (answers [][]byte) {
					if kind(question) != "address" {
						if tc.mapAddr != "" {
							answers = append(answers, pcp(question, tc.mapResult, tc.mapAddr))
						}
						return answers
					}
					a := tc.address[0]
					if len(tc.address) > 1 {
						tc.address = tc.address[1:]
					}
					if a != nil {
						answers = append(answers, a)
					}
					return answers
				}}
				began := time.Now()
				addr, err := r.client().IPv4(t.Context(), routerAddr)
				took := time.Since(began)
				sourcetest.CheckErr(t, "error", err, tc.wantErr)
				if err == nil && addr.String() != tc.want {
					t.Errorf("got %s, want %s", addr, tc.want)
				}
				synctest.Wait()
				if got := strings.Join(r.asked, " "); got != tc.asked {
					t.Errorf("asked %q at %v, want %q", got, r.at, tc.asked)
				}
				if took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
		})
	}
}

func TestIPv6(t *testing.T) {
	local := netip.MustParseAddr("2606:4700::7")
	for _, tc := range []struct {
		name          string
		answer        func(question []byte) [][]byte
		want, wantErr string
		silent        bool
	}{
		{name: "PCP", answer: func(q []byte) [][]byte { return [][]byte{pcp(q, 0, "2606:4700::7")} }, want: "2606:4700::7"},
		{name: "silence", answer: func([]byte) [][]byte { return nil }, wantErr: "does not answer", silent: true},
		{name: "NAT-PMP alone", answer: func([]byte) [][]byte { return [][]byte{{0, 0x81, 0, 1, 0, 0, 0, 9}} }, wantErr: "does not answer", silent: true},
		{name: "an IPv4 address", answer: func(q []byte) [][]byte { return [][]byte{pcp(q, 0, "93.184.216.34")} }, wantErr: "does not answer", silent: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRouter{answer: tc.answer}
				addr, err := r.client().IPv6(t.Context(), local, netip.MustParseAddr("fe80::1%eth0"))
				sourcetest.CheckErr(t, "error", err, tc.wantErr)
				if err == nil && addr.String() != tc.want || errors.Is(err, ErrSilent) != tc.silent {
					t.Errorf("got %v, error %v", addr, err)
				}
				synctest.Wait()
			})
		})
	}
}

// TestGivenUp: a question ends with its caller, and a mapping that may exist
// is deleted all the same.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRouter{answer: func([]byte) [][]byte { return nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/10)
		defer cancel()
		began := time.Now()
		_, err := r.client().IPv6(ctx, netip.MustParseAddr("2606:4700::7"), netip.MustParseAddr("fe80::1%eth0"))
		if took := time.Since(began); took != time.Second/10 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v after %v", err, took)
		}
		synctest.Wait()
		if got := strings.Join(r.asked, " "); got != "map unmap" {
			t.Errorf("asked %q", got)
		}
	})
}

// TestDeadRouter: a thousand questions to a router that never answers leave
// nothing behind, or else the bubble does not end.
func TestDeadRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := func() *Client {
			return (&fakeRouter{answer: func([]byte) [][]byte { return nil }}).client()
		}
		for range 500 {
			if _, err := dead().IPv4(t.Context(), routerAddr); !errors.Is(err, ErrSilent) {
				t.Fatalf("IPv4: %v", err)
			}
			if _, err := dead().IPv6(t.Context(), netip.MustParseAddr("2606:4700::7"), netip.MustParseAddr("fe80::1%eth0")); !errors.Is(err, ErrSilent) {
				t.Fatalf("IPv6: %v", err)
			}
		}
	})
}
