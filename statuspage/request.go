package statuspage

import (
	"cmp"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// prefersJSON reports whether a client wants JSON rather than a page (RFC 9110,
// section 12.5.1). Of two that it likes equally, it gets what it has named.
func prefersJSON(accept []string) bool {
	var json, html float64
	// The most specific range that matches a type counts.
	jsonBy, htmlBy := -1, -1
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		take := func(value *float64, by *int, specific int) {
			if specific > *by {
				*value, *by = q, specific
			}
		}
		switch name {
		case "*/*":
			take(&json, &jsonBy, 0)
			take(&html, &htmlBy, 0)
		case "application/*":
			take(&json, &jsonBy, 1)
		case "text/*":
			take(&html, &htmlBy, 1)
		case "application/json":
			take(&json, &jsonBy, 2)
		case "text/html":
			take(&html, &htmlBy, 2)
		}
	}
	return json > html || json == html && json > 0 && jsonBy > htmlBy
}

var (
	errForeign = errors.New("this request comes from another site, so nothing was checked")
	errProxied = errors.New("this request comes from a page at another host than it was sent to, so nothing was checked; if a proxy in front changes the host, have it pass the Host header on, or name it in the global option servers, trusted_proxies, so that its X-Forwarded-Host counts")
)

// sameOrigin refuses what a page of another site has made a browser send. A
// client that is no browser says nothing of where it comes from. The host that
// the browser knows may be another one behind a trusted proxy.
func sameOrigin(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errForeign
	}
	host := r.Host
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		host = cmp.Or(r.Header.Get("X-Forwarded-Host"), host)
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		switch {
		case err == nil && u.Host != "" && strings.EqualFold(u.Host, host):
		case r.Header.Get("Sec-Fetch-Site") == "same-origin":
			return errProxied
		default:
			return errForeign
		}
	}
	return nil
}
