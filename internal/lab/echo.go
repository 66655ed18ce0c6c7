//go:build linux

package lab

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Echo is an HTTPS or DNS service that answers with the address of its caller, or
// with one that it was told to answer with.
type Echo struct {
	// Where it is asked: a URL, or the address of a DNS server.
	URL string
	// The file of the certificate that its callers must trust.
	CertFile string

	mu     sync.Mutex
	answer map[bool]netip.Addr // by whether the caller came over IPv6
	asked  int
}

// StartEcho starts an echo service in the namespace, at an IP address and
// port that is there.
func StartEcho(t testing.TB, ns *NS, addr string) *Echo {
	t.Helper()
	ln := ns.Listen(addr)
	e := newEcho("https://" + ln.Addr().String())
	srv := httptest.NewUnstartedServer(e)
	_ = srv.Listener.Close()
	srv.Listener = ln
	srv.TLS = testTLS(t, ln.Addr().(*net.TCPAddr).IP)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	e.publish(t, srv.Certificate().Raw)
	return e
}

// Trust returns what makes Caddy trust the services, and only them, as an
// addition to its environment.
func Trust(echoes ...*Echo) string {
	var dirs []string
	for _, e := range echoes {
		dirs = append(dirs, filepath.Dir(e.CertFile))
	}
	return "SSL_CERT_DIR=" + strings.Join(dirs, ":")
}

// Answer makes the service answer with the address to callers of its family.
func (e *Echo) Answer(addr string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := netip.MustParseAddr(addr)
	e.answer[told.Is6()] = told
}

// Asked returns how often the service has been asked so far.
func (e *Echo) Asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, e.seen(r.RemoteAddr))
}

func newEcho(url string) *Echo { return &Echo{URL: url, answer: make(map[bool]netip.Addr)} }

// publish writes the file of the certificate.
func (e *Echo) publish(t testing.TB, cert []byte) {
	e.CertFile = filepath.Join(tempDir(t), "echo.pem")
	WriteFile(t, e.CertFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
}

// seen returns what a caller is told that its address is.
func (e *Echo) seen(caller string) netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	addr := netip.MustParseAddrPort(caller).Addr().Unmap()
	if told, ok := e.answer[addr.Is6()]; ok {
		return told
	}
	return addr
}
