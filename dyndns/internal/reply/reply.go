// Package reply has the words of the DynDNS2 protocol and writes them.
//
// Clients look for words anywhere in a body, and some judge by the status
// alone, so that a failure is never 2xx, and a body holds the words and
// addresses alone: nothing that the client has sent.
package reply

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Word is what a client understands of an answer.
type Word string

const (
	// Good says that what was asked for is in DNS, and was not before.
	Good Word = "good"
	// NoChange says that it was in DNS already.
	NoChange Word = "nochg"

	// BadAuth refuses credentials, or asks for some.
	BadAuth Word = "badauth"
	// BadAgent refuses a method.
	BadAgent Word = "badagent"
	// NotFQDN refuses what is no full name of a host.
	NotFQDN Word = "notfqdn"
	// NoHost refuses a host that is not the user's, or nobody's.
	NoHost Word = "nohost"
	// NumHost refuses too many hosts.
	NumHost Word = "numhost"
	// DNSError refuses an address, or says that DNS could not be changed.
	DNSError Word = "dnserr"
	// Trouble asks the client to come back later.
	Trouble Word = "911"
)

// Error is an answer other than success.
type Error struct {
	// Status is the HTTP status, never 2xx, and never 429, which ends
	// some clients.
	Status int
	Word   Word
	// RetryAfter asks the client to wait for so long. 0 asks for nothing.
	RetryAfter time.Duration
	// Reason is for the log. It may quote names and addresses of the
	// request, never a password.
	Reason string
}

// Refuse makes an answer of which the log tells the reason.
func Refuse(status int, word Word, format string, args ...any) *Error {
	return &Error{Status: status, Word: word, Reason: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Reason }

// allowedMethods are those of an update.
var allowedMethods = strings.Join([]string{http.MethodGet, http.MethodPost, http.MethodPut}, ", ")

// Write answers with the error's status and its word alone.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	switch e.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="dynamic DNS"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", allowedMethods)
	}
	if e.RetryAfter > 0 {
		// A part of a second counts as a whole one, or the client comes early.
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	write(w, e.Status, string(e.Word)+"\n")
}

// Line is the answer for one host.
type Line struct {
	// Changed says that the host was not as desired before.
	Changed bool
	// Addrs are what the request gave, in the order sent.
	Addrs []netip.Addr
}

func (l Line) append(b []byte) []byte {
	word := NoChange
	if l.Changed {
		word = Good
	}
	b = append(b, word...)
	for i, addr := range l.Addrs {
		separator := byte(',')
		if i == 0 {
			separator = ' '
		}
		b = addr.Unmap().AppendTo(append(b, separator))
	}
	return append(b, '\n')
}

// Success answers with one line for each host, in the order asked.
func Success(w http.ResponseWriter, lines []Line) {
	var b []byte
	for _, l := range lines {
		b = l.append(b)
	}
	write(w, http.StatusOK, string(b))
}

// Address answers with the client's own address.
func Address(w http.ResponseWriter, addr netip.Addr) {
	write(w, http.StatusOK, addr.Unmap().WithZone("").String()+"\n")
}

func write(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
