package statuspage

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

var errForeign = errors.New("this request comes from another site, so nothing was checked")

// sameOrigin refuses what a page of another site has made a browser send. A
// client that is no browser says nothing of where it comes from.
func sameOrigin(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errForeign
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return errForeign
		}
	}
	return nil
}
