package cloudflare

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// apiHost is the host name that the library has built in.
const apiHost = "api.cloudflare.com"

type transport struct {
	server *Server
	others http.RoundTripper
}

// Client returns a client that reaches s as api.cloudflare.com.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: &transport{s, http.DefaultTransport}}
}

// Install has http.DefaultTransport reach s as api.cloudflare.com until the
// test is over. Requests to other hosts go where they always go. It changes
// the whole process, so such tests may not be parallel ones.
func (s *Server) Install(t testing.TB) {
	before := http.DefaultTransport
	http.DefaultTransport = &transport{s, before}
	t.Cleanup(func() { http.DefaultTransport = before })
}

// RoundTrip calls the handler without a network in between.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Hostname() != apiHost {
		return t.others.RoundTrip(req)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	r := req.Clone(req.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	w := httptest.NewRecorder()
	t.server.ServeHTTP(w, r)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	res.Request = req
	return res, nil
}

// Env starts a proxy at addr, such as "127.0.0.1:0", that leads to s and
// nowhere else, and returns the environment variables with which a process
// uses it. Both end with the test.
func (s *Server) Env(t testing.TB, addr string) []string {
	t.Helper()
	cert, certPEM := newCertificate(t)
	certFile := filepath.Join(t.TempDir(), "cloudflare.pem")
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}

	api := httptest.NewUnstartedServer(s)
	api.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	api.StartTLS()
	t.Cleanup(api.Close)

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(connect(api.Listener.Addr().String()))
	proxy.Listener.Close()
	proxy.Listener = ln
	proxy.Start()
	t.Cleanup(proxy.Close)
	return []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + certFile}
}

// connect answers CONNECT requests for the API with a tunnel to addr.
func connect(addr string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != apiHost+":443" {
			http.Error(w, "this proxy leads to "+apiHost+" only", http.StatusForbidden)
			return
		}
		upstream, err := net.Dial("tcp", addr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		client, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(upstream, buf)
			_ = upstream.Close()
		}()
		_, _ = io.Copy(client, upstream)
	}
}

func newCertificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{apiHost},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := pem.Encode(&buf, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, buf.Bytes()
}
