package nameserver

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestListenAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		":53": "", "127.0.0.1": "", "udp/:53": "", "tcp6/[::1]:1053": "", "fdgram/3": "",
		"http/:53": "does not use the network", "quic/:53": "does not use the network", "ip/127.0.0.1": "does not use the network",
		"unix//run/dns": "unix sockets", "127.0.0.1:0": "a port that clients can know", ":53-54": "one port",
	} {
		_, err := listenAddresses(newReplacer(), []string{addr})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestTransferToAddresses(t *testing.T) {
	for _, tc := range []struct {
		network string
		client  net.TCPAddr
		want    bool
	}{
		{"192.0.2.0/24", net.TCPAddr{IP: net.ParseIP("192.0.2.1")}, true},
		{"::ffff:192.0.2.0/120", net.TCPAddr{IP: net.ParseIP("192.0.2.1")}, true},
		{"::ffff:192.0.2.0/120", net.TCPAddr{IP: net.ParseIP("192.0.3.1")}, false},
		{"::ffff:192.0.2.1", net.TCPAddr{IP: net.ParseIP("192.0.2.1")}, true},
		{"fe80::1", net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, true},
		{"fe80::1%eth0", net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, true},
		{"fe80::/10", net.TCPAddr{IP: net.ParseIP("fe80::2"), Zone: "eth0"}, true},
	} {
		p, err := (&Zone{TransferTo: []string{tc.network}}).transferPolicy(newReplacer(), nil)
		if err != nil {
			t.Fatal(err)
		}
		client, _ := clientOf(&tc.client)
		if got := p.allows(client, ""); got != tc.want {
			t.Errorf("%s for %s: %t", tc.client.String(), tc.network, got)
		}
	}
}

// Nothing of a record is left out in silence.
func TestRecordData(t *testing.T) {
	for data, want := range map[string]string{
		`v=DMARC1; p=none`:   "put a text with a semicolon in quotes",
		`"v=DMARC1; p=none"`: "",
		`( "x"`:              "not the data of a record of type TXT",
		`"x" )`:              "not the data of a record of type TXT",
	} {
		_, err := Record{"x", "TXT", data}.parse(newReplacer(), "example.test.", 300)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestKeysOfOneName(t *testing.T) {
	a := &App{TSIGKeys: map[string]*TSIGKey{"k": {Secret: "YQ=="}, "K.": {Secret: "Yg=="}}}
	if _, err := resolveKeys(newReplacer(), a.TSIGKeys); err == nil || !strings.Contains(err.Error(), "two keys of this name") {
		t.Errorf("%v", err)
	}
}

// That this process has one address of a port says nothing of another address,
// which another program may share.
func TestSecondAddressSharedByAnotherProgram(t *testing.T) {
	port := uint(freePort(t))
	at := func(host string) caddy.NetworkAddress {
		return caddy.NetworkAddress{Network: "udp", Host: host, StartPort: port, EndPort: port}
	}
	_, key, err := useSocket(t.Context(), at("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Delete(key)
	other := at("::1")
	probed, err := net.ListenPacket("udp", netip.AddrPortFrom(netip.IPv6Loopback(), 0).String())
	if err != nil {
		t.Skip("needs IPv6 on the loopback interface")
	}
	probed.Close()
	holder, err := other.Listen(t.Context(), 0, net.ListenConfig{}) // with SO_REUSEPORT
	if err != nil {
		t.Fatal(err)
	}
	defer holder.(net.PacketConn).Close()
	if _, key, err := useSocket(t.Context(), other); err == nil {
		_, _ = sockets.Delete(key)
		t.Error("listening on an address that another holds")
	}
}
