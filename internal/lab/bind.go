//go:build linux

package lab

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BIND is a running named, the primary of some zones that take updates signed
// with a TSIG key.
type BIND struct {
	*process

	Addr    string // host and port
	KeyName string
	KeyAlg  string
	Key     string // base64

	host, port, zone string

	mu   sync.Mutex
	conn net.Conn
}

// StartBIND starts named on a free port of 127.0.0.1, in the namespace, with
// zones that hold an SOA, an NS and the A record of ns1.
func StartBIND(t testing.TB, ns *NS, zones ...string) *BIND {
	t.Helper()
	return startBIND(t, ns, "127.0.0.1", zones...)
}

// startBIND is StartBIND on another address of the namespace.
func startBIND(t testing.TB, ns *NS, ip string, zones ...string) *BIND {
	t.Helper()
	Need(t, "named")
	port := freePort(t, ns)
	dir := tempDir(t)
	key := NewTSIGKey(t, "lab-key")
	var conf strings.Builder
	fmt.Fprintf(&conf, `%s
options {
	directory "%s"; pid-file none; session-keyfile none;
	listen-on port %d { %s; }; listen-on-v6 { none; };
	recursion no; dnssec-validation no; notify no; minimal-responses yes;
	allow-transfer { key lab-key; };
};
controls { };
`, key, dir, port, ip)
	for _, zone := range zones {
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; update-policy { grant lab-key zonesub ANY; }; };\n", zone, zone+".zone")
		WriteFile(t, filepath.Join(dir, zone+".zone"), `$TTL 60
@   IN SOA ns1 hostmaster ( 1 3600 600 86400 60 )
    IN NS  ns1
ns1 IN A   127.0.0.1
`)
	}
	WriteFile(t, filepath.Join(dir, "named.conf"), conf.String())
	return RunBIND(t, ns, dir, fmt.Sprintf("%s:%d", ip, port), key, zones[len(zones)-1])
}

// RunBIND starts named on the named.conf in dir, and waits until it answers
// for the zone. The key is a key statement of that named.conf.
func RunBIND(t testing.TB, ns *NS, dir, addr, key, zone string) *BIND {
	t.Helper()
	Need(t, "named", "dig", "nsupdate")
	m := regexp.MustCompile(`key "?([^" ]+)"? \{\s*algorithm "?([^";]+)"?;\s*secret "?([^";]+)"?;`).FindStringSubmatch(key)
	if m == nil {
		t.Fatal("not a key statement")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &BIND{
		process: newProcess(t, ns, filepath.Join(dir, "named.log"), nil,
			"named", "-g", "-n", "2", "-c", filepath.Join(dir, "named.conf")),
		Addr: addr, KeyName: m[1], KeyAlg: m[2], Key: m[3],
		host: host, port: port, zone: zone,
	}
	b.Start()
	return b
}

// NewTSIGKey returns a new key as a statement of named.conf.
func NewTSIGKey(t testing.TB, name string) string {
	t.Helper()
	Need(t, "tsig-keygen")
	key, err := exec.Command("tsig-keygen", "-a", "hmac-sha256", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// Start starts named again, on the zones as it left them.
func (b *BIND) Start() {
	b.t.Helper()
	b.start()
	b.awaitReady(func() bool {
		_, _, err := b.query(b.zone, dns.TypeSOA)
		return err == nil
	})
}

// Dig returns what dig prints for the name and type: the data of the answer's
// records, in no order. No answer at all is no data.
func (b *BIND) Dig(name, rrtype string) []string {
	b.t.Helper()
	out, err := b.ns.Run(exec.Command("dig", "@"+b.host, "-p", b.port, "+short", "+norecurse", "+time=2", "+tries=2", name, rrtype))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// Lookup is like Dig without the program: for loops that measure time, or
// that ask for thousands of names.
func (b *BIND) Lookup(name string, rrtype uint16) ([]string, error) {
	_, answer, err := b.query(name, rrtype)
	if err != nil {
		return nil, err
	}
	var data []string
	for _, rr := range answer {
		data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return data, nil
}

func (b *BIND) query(name string, rrtype uint16) (ttl uint32, answer []dns.RR, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		if b.conn, err = b.ns.Dial("udp", b.Addr); err != nil {
			return 0, nil, err
		}
		b.t.Cleanup(func() { _ = b.conn.Close() })
	}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), rrtype)
	resp, _, err := (&dns.Client{Timeout: time.Second}).ExchangeWithConn(m, &dns.Conn{Conn: b.conn})
	if err != nil {
		return 0, nil, err
	}
	if resp.Rcode != dns.RcodeSuccess && resp.Rcode != dns.RcodeNameError {
		return 0, nil, fmt.Errorf("%s %s: %s", name, dns.TypeToString[rrtype], dns.RcodeToString[resp.Rcode])
	}
	if len(resp.Answer) > 0 {
		ttl = resp.Answer[0].Header().Ttl
	}
	return ttl, resp.Answer, nil
}

// TTL returns the TTL of the RRset, 0 if there is none.
func (b *BIND) TTL(name string, rrtype uint16) uint32 {
	b.t.Helper()
	ttl, _, err := b.query(name, rrtype)
	if err != nil {
		b.t.Fatal(err)
	}
	return ttl
}

// Zone returns the zone's records, one a line, without the SOA.
func (b *BIND) Zone(zone string) []string {
	b.t.Helper()
	out, err := b.ns.Run(exec.Command("dig", "@"+b.host, "-p", b.port, "-y", b.KeyAlg+":"+b.KeyName+":"+b.Key,
		"+noall", "+answer", zone, "AXFR"))
	if err != nil {
		b.t.Fatalf("dig AXFR: %v: %s", err, out)
	}
	var records []string
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[3] != "SOA" && fields[3] != "TSIG" {
			records = append(records, strings.Join(fields, " "))
		}
	}
	return records
}

// NSUpdate changes records by hand: the lines are commands of nsupdate.
func (b *BIND) NSUpdate(lines ...string) {
	b.t.Helper()
	cmd := exec.Command("nsupdate", "-y", b.KeyAlg+":"+b.KeyName+":"+b.Key)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s %s\n%s\nsend\n", b.host, b.port, strings.Join(lines, "\n")))
	if out, err := b.ns.Run(cmd); err != nil {
		b.t.Fatalf("nsupdate: %v: %s", err, out)
	}
}

// Updates returns how many UPDATE messages named has acted upon so far. Each
// change of a message is a line in the log; the client's port tells the
// messages apart.
func (b *BIND) Updates() int {
	b.t.Helper()
	senders := make(map[string]bool)
	for _, m := range updateLine.FindAllStringSubmatch(b.Log(), -1) {
		senders[m[1]] = true
	}
	return len(senders)
}

var updateLine = regexp.MustCompile(`client @\S+ (\S+#\d+)/key \S+: updating zone `)

// Transfers returns how many zone transfers named has been asked for so far.
func (b *BIND) Transfers() int { return strings.Count(b.Log(), "AXFR started") }

// Log returns what named has logged so far, over all its starts.
func (b *BIND) Log() string {
	b.t.Helper()
	return readFile(b.t, b.log)
}

// freePort returns a port of 127.0.0.1 that neither TCP nor UDP uses.
func freePort(t testing.TB, ns *NS) int {
	t.Helper()
	var port int
	err := ns.Do(func() error {
		for range 20 {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			port = ln.Addr().(*net.TCPAddr).Port
			pc, err := net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(port))
			_ = ln.Close()
			if err == nil {
				return pc.Close()
			}
		}
		return fmt.Errorf("no port is free for both TCP and UDP")
	})
	if err != nil {
		t.Fatal(err)
	}
	return port
}
