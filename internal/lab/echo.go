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

// Echo is an HTTPS service that answers with the address of its caller, or
// with one that it was told to answer with.
type Echo struct {
	// Where it is asked.
	URL string
	// The file of the certificate that its callers must trust.
	CertFile string

	mu     sync.Mutex
	answer map[bool]string // by whether the caller came over IPv6
	asked  int
}

// StartEcho starts an echo service in the namespace, at an IP address and
// port that is there.
func StartEcho(t testing.TB, ns *NS, addr string) *Echo {
	t.Helper()
	e := &Echo{answer: make(map[bool]string)}
	ln := ns.Listen(addr)
	srv := httptest.NewUnstartedServer(e)
	_ = srv.Listener.Close()
	srv.Listener = ln
	srv.TLS = testTLS(t, ln.Addr().(*net.TCPAddr).IP)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	e.URL = "https://" + ln.Addr().String()
	e.CertFile = filepath.Join(tempDir(t), "echo.pem")
	writeFile(t, e.CertFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
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
	e.answer[netip.MustParseAddr(addr).Is6()] = addr
}

// Asked returns how often the service has been asked so far.
func (e *Echo) Asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	caller := netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap()
	if told, ok := e.answer[caller.Is6()]; ok {
		fmt.Fprintln(w, told)
		return
	}
	fmt.Fprintln(w, caller)
}
