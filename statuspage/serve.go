package statuspage

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage/internal/view"
)

const (
	// checkPatience is how long the answer to a check waits for it. The page
	// then shows the rest as it comes.
	checkPatience = 3 * time.Second
	// checkEvery is how often a check is begun.
	checkEvery = 10 * time.Second
)

// ServeHTTP answers a request. It never calls the next handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "no-store")
	switch {
	case r.Method == http.MethodPost && h.AllowCheck:
		return h.serveCheck(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", h.methods())
		return refuse(w, r, http.StatusMethodNotAllowed, fmt.Sprintf("method %s is not allowed here; use %s", r.Method, h.methods()))
	}
	if query := r.URL.Query(); query.Has("icon") {
		header.Set("Cache-Control", "max-age=3600")
		return answer(w, r, http.StatusOK, "image/svg+xml", icon(view.Mood(query.Get("icon"))))
	}
	header.Set("Vary", "Accept")
	if prefersJSON(r.Header.Values("Accept")) {
		return h.serveJSON(w, r)
	}
	return h.servePage(w, r)
}

func (h *Handler) methods() string {
	if h.AllowCheck {
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

// serveJSON answers what the admin endpoint does.
func (h *Handler) serveJSON(w http.ResponseWriter, r *http.Request) error {
	found, _ := running()
	if found == nil {
		return refuse(w, r, http.StatusNotFound, "dynamic_dns is not configured; write a dynamic_dns block in the global options (JSON: apps.dynamic_dns)")
	}
	var body bytes.Buffer
	if err := status.Encode(&body, found.Status(time.Now())); err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	return answer(w, r, http.StatusOK, "application/json", body.Bytes())
}

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request) error {
	var shown *status.Status
	var reported *report.Status
	found, server := running()
	now := time.Now()
	code := http.StatusNotFound
	if found != nil {
		shown, code = found.Status(now), http.StatusOK
	}
	if server != nil {
		reported, code = server.Report(), http.StatusOK
	}
	page := view.New(shown, reported, now)
	page.CanCheck = h.AllowCheck && found != nil
	body, err := render(page, r.Host)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	return answer(w, r, code, "text/html; charset=utf-8", body)
}

// serveCheck begins a check, and leads back to the page.
func (h *Handler) serveCheck(w http.ResponseWriter, r *http.Request) error {
	if err := sameOrigin(r); err != nil {
		return refuse(w, r, http.StatusForbidden, err.Error())
	}
	if found, _ := running(); found != nil && h.mayCheck(time.Now()) {
		h.logger.Info("checking now, as the status page was asked to", zap.String("remote", r.RemoteAddr))
		timer := time.NewTimer(checkPatience)
		defer timer.Stop()
		select {
		case <-found.Check():
		case <-timer.C:
		case <-r.Context().Done():
		case <-h.ending.Done():
		}
	}
	// The same address without a query, wherever the page is mounted.
	w.Header().Set("Location", "?")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// mayCheck reports whether the last check was long enough ago.
func (h *Handler) mayCheck(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.checked) < checkEvery {
		return false
	}
	h.checked = now
	return true
}

// refuse answers why not, as the admin endpoint does or in plain text.
func refuse(w http.ResponseWriter, r *http.Request, code int, reason string) error {
	if !prefersJSON(r.Header.Values("Accept")) {
		return answer(w, r, code, "text/plain; charset=utf-8", []byte(reason+"\n"))
	}
	var body bytes.Buffer
	if err := status.Encode(&body, map[string]string{"error": reason}); err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	return answer(w, r, code, "application/json", body.Bytes())
}

func answer(w http.ResponseWriter, r *http.Request, code int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

// icon is the page's, in the color of the mood.
func icon(mood view.Mood) []byte {
	color, ok := map[view.Mood]string{view.Well: "#2f9e63", view.Busy: "#c98a1b", view.Wrong: "#cf3b34"}[mood]
	if !ok {
		color = "#7b868e"
	}
	return []byte(strings.Replace(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="COLOR"/></svg>`, "COLOR", color, 1))
}

var _ caddyhttp.MiddlewareHandler = (*Handler)(nil)
