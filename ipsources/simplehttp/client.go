package simplehttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody      = 4 << 10
	maxHeader    = 16 << 10
	maxRedirects = 3
)

// client asks echo services what address they see.
type client struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	roots *x509.CertPool // nil means the system's
}

// ask asks one service over one network, "tcp4" or "tcp6". Its errors do not
// name the URL, which may hold a secret.
func (c *client) ask(ctx context.Context, network string, endpoint *url.URL) (netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.String(), nil)
	if err != nil {
		return netip.Addr{}, withoutURL(err)
	}
	req.Header.Set("Accept", "text/plain, */*;q=0.1")
	req.Header.Set("User-Agent", "caddy-dynamic-dns")

	resp, err := c.httpClient(ctx, network).Do(req)
	if err != nil {
		return netip.Addr{}, withoutURL(err)
	}
	defer resp.Body.Close()
	if pause := pauseOf(resp, time.Now()); pause > 0 {
		return netip.Addr{}, &pauseError{resp.StatusCode, pause}
	}
	if resp.StatusCode != http.StatusOK {
		return netip.Addr{}, fmt.Errorf("status is %d, not 200", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the answer: %w", err)
	}
	return parseAnswer(body, network == "tcp6")
}

// httpClient returns a client for one request. A connection that was kept
// could still belong to the old address, and a proxy would be told its own.
func (c *client) httpClient(ctx context.Context, network string) *http.Client {
	transport := &http.Transport{
		// A transport goes on with a dial and a handshake that nobody waits
		// for any longer, so both are bound to the lookup here.
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			conn, err := c.dial(ctx, network, address)
			if err == nil {
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		},
		TLSClientConfig:        &tls.Config{RootCAs: c.roots},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case req.URL.Scheme != "https":
				return errors.New("redirected away from HTTPS")
			case operatorOf(req.URL) != operatorOf(via[0].URL):
				// Two services that lead to the same one are not two.
				return fmt.Errorf("redirected to another host: write %q instead", req.URL.Hostname())
			case len(via) > maxRedirects:
				return fmt.Errorf("redirected more than %d times", maxRedirects)
			}
			return nil
		},
	}
}

// parseAnswer parses an answer: the bare address, the lines of Cloudflare's
// trace, or a JSON object whose one member is `ip`.
func parseAnswer(body []byte, v6 bool) (netip.Addr, error) {
	if len(body) > maxBody {
		return netip.Addr{}, fmt.Errorf("the answer is longer than %d bytes", maxBody)
	}
	text := string(bytes.TrimSpace(body))
	var err error
	switch {
	case text == "":
		return netip.Addr{}, errors.New("the answer is empty")
	case text[0] == '<':
		return netip.Addr{}, errors.New("the answer is HTML, perhaps the page of a captive portal")
	case text[0] == '{':
		text, err = addrFromJSON(text)
	case strings.Contains(text, "="):
		text, err = addrFromTrace(text)
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return parseAddr(text, v6)
}

func parseAddr(text string, v6 bool) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil && countAddrs(text) > 1:
		return netip.Addr{}, errors.New("the answer holds more than one address")
	case err != nil:
		return netip.Addr{}, fmt.Errorf("the answer is no address: %.64q", text)
	case addr.Zone() != "":
		return netip.Addr{}, fmt.Errorf("the answer has a zone: %.64q", text)
	case addr.Is4In6():
		return netip.Addr{}, fmt.Errorf("the answer is an IPv4-mapped address: %s", addr)
	case addr.Is6() && !v6:
		return netip.Addr{}, fmt.Errorf("asked over IPv4, it answered an IPv6 address: %s", addr)
	case addr.Is4() && v6:
		return netip.Addr{}, fmt.Errorf("asked over IPv6, it answered an IPv4 address: %s", addr)
	}
	return addr, nil
}

// addrFromJSON returns the value of the object's one member, `ip`. It goes by
// tokens, for json.Unmarshal takes other spellings and the last of several.
func addrFromJSON(text string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	var tokens [4]json.Token
	for i := range tokens {
		tokens[i], _ = dec.Token()
	}
	value, ok := tokens[2].(string)
	if tokens[1] != "ip" || !ok || tokens[3] != json.Delim('}') {
		return "", errors.New(`the answer is JSON other than {"ip": "<address>"}`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", errors.New("the answer goes on after its JSON object")
	}
	return value, nil
}

// addrFromTrace returns the value of the one line that begins with "ip=",
// where all lines are of that form.
func addrFromTrace(text string) (string, error) {
	var ip string
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case !ok || key == "" || strings.ContainsAny(key, " \t<>{}"):
			return "", errors.New("the answer is neither an address nor lines of <key>=<value>")
		case key != "ip":
		case ip != "":
			return "", errors.New("the answer holds more than one ip= line")
		case value == "":
			return "", errors.New("the answer holds an empty ip= line")
		default:
			ip = value
		}
	}
	if ip == "" {
		return "", errors.New("the answer has no ip= line")
	}
	return ip, nil
}

func countAddrs(text string) (n int) {
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;", r) }) {
		if _, err := netip.ParseAddr(field); err == nil {
			n++
		}
	}
	return n
}

// withoutURL strips the URL that net/http and net/url put into their errors.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
