package request

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

// maxSize limits the query and the form, each, in bytes.
const maxSize = 8 << 10

const formType = "application/x-www-form-urlencoded"

// Params are the parameters of a request in the order sent: those of the
// query, then those of the form.
type Params []param

type param struct{ name, value string }

// Read takes the parameters out of a request of an allowed method. It reads
// the body of a POST or PUT, if that is a form. The error is a [*reply.Error].
func Read(r *http.Request) (Params, error) {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut:
	default:
		return nil, reply.Refuse(http.StatusMethodNotAllowed, reply.BadAgent, "the method %q is none of an update", r.Method)
	}
	if len(r.URL.RawQuery) > maxSize {
		return nil, reply.Refuse(http.StatusRequestURITooLong, reply.DNSError, "the query has more than %d bytes", maxSize)
	}
	params := split(nil, r.URL.RawQuery)
	if r.Method == http.MethodGet || r.Body == nil || r.Body == http.NoBody {
		return params, nil
	}
	form, err := io.ReadAll(io.LimitReader(r.Body, maxSize+1))
	switch {
	case err != nil:
		return nil, reply.Refuse(http.StatusBadRequest, reply.DNSError, "reading the form: %v", err)
	case len(form) > maxSize:
		return nil, reply.Refuse(http.StatusRequestEntityTooLarge, reply.DNSError, "the form has more than %d bytes", maxSize)
	case len(form) > 0 && !isForm(r.Header.Get("Content-Type")):
		// To ignore it would be to publish the client's address instead.
		return nil, reply.Refuse(http.StatusUnsupportedMediaType, reply.DNSError, "the body is no form of type %s", formType)
	}
	return split(params, string(form)), nil
}

// isForm reports whether a body of that type is read as a form. Simple
// clients send no type.
func isForm(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == formType
}

func split(params Params, query string) Params {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "" {
			params = append(params, param{unescape(name), unescape(value)})
		}
	}
	return params
}

// unescape takes text as it is if it is not escaped well: some clients escape
// nothing, not even the percent sign of a password.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// Credentials returns the user and password among the parameters.
func (p Params) Credentials() (user, password string, ok bool) {
	user, hasUser := p.first("username", "user")
	password, hasPassword := p.first("password", "pass")
	return user, password, hasUser && hasPassword
}

// first returns the first parameter of one of these names.
func (p Params) first(names ...string) (value string, ok bool) {
	for _, name := range names {
		for _, q := range p {
			if q.name == name {
				return q.value, true
			}
		}
	}
	return "", false
}
