// Package target sends messages by the URLs of shoutrrr, and keeps the secrets
// in them.
package target

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
)

// Target is a service with all that it takes to send to it.
type Target struct {
	url  *url.URL
	name string
	// cut takes secrets out of what the service's module says.
	cut func(string) string
	// session is the service's client where one that logs in is made once.
	session types.Service
}

// client is for those services that take one. Others make one for each message,
// with connections of its own.
var client = &http.Client{Timeout: 10 * time.Second}

func init() {
	// Telegram's sends by this one, which would wait without an end.
	jsonclient.DefaultClient = jsonclient.NewWithHTTPClient(client)
}

// Parse makes a target of a URL, without a request to anybody. The error says
// what to write instead, and does not repeat the URL.
func Parse(raw string) (*Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("this is no URL, maybe for a sign that must be escaped, such as %%2F for / in a password%s", hint(scheme(raw)))
	}
	t := &Target{url: u}
	service, _, _ := strings.Cut(u.Scheme, "+")
	if err := checkService(service, u); err != nil {
		return nil, err
	}
	if slices.Contains(withServer, service) && u.Hostname() == "" {
		return nil, fmt.Errorf("the URL has no server%s", hint(service))
	}
	t.name = service + "://…"
	if slices.Contains(withServer, service) {
		t.name = service + "://" + u.Host
	}
	t.cut = cutter(raw, u, t.name)
	err = safely(func() (err error) {
		if service == matrix.Scheme {
			// It logs in when it is initialized.
			return new(matrix.Config).SetURL(u)
		}
		_, err = t.initialize()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s%s", t.cut(err.Error()), hint(service))
	}
	return t, nil
}

// safely calls a function of shoutrrr, some of which do not expect what they
// could be given.
func safely(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the URL is incomplete")
		}
	}()
	return fn()
}

// initialize makes the service's client.
func (t *Target) initialize() (service types.Service, err error) {
	name, _, custom := strings.Cut(t.url.Scheme, "+")
	if service, err = new(router.ServiceRouter).NewService(name); err != nil {
		return nil, err
	}
	u := new(url.URL)
	*u = *t.url
	if custom {
		converter, ok := service.(types.CustomURLService)
		if !ok {
			return nil, fmt.Errorf("%s takes no other protocol after a +", name)
		}
		if u, err = converter.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	if err := service.Initialize(u, nil); err != nil {
		return nil, err
	}
	if s, ok := service.(interface{ SetHTTPClient(*http.Client) }); ok && !u.Query().Has("disabletlsverification") {
		s.SetHTTPClient(client)
	}
	return service, nil
}

// open returns a client of the service: a new one for each message, for some
// repeat what was in the message before.
func (t *Target) open() (types.Service, error) {
	if t.session != nil {
		return t.session, nil
	}
	service, err := t.initialize()
	if err == nil && service.GetID() == matrix.Scheme {
		t.session = service
	}
	return service, err
}

// String is the URL without what could be a secret.
func (t *Target) String() string { return t.name }

// Deliver sends a message. It must not be called by two at a time.
func (t *Target) Deliver(title, text string) error {
	service, err := t.open()
	if err != nil {
		return errors.New(t.cut(err.Error()))
	}
	params := types.Params{}
	switch {
	case !t.titled():
		text = title + "\n" + text
	case t.url.Scheme == "smtp":
		// Shoutrrr writes it into the header as it is.
		params.SetTitle(mime.QEncoding.Encode("utf-8", title))
	default:
		params.SetTitle(title)
	}
	if err := service.Send(text, &params); err != nil {
		return errors.New(t.cut(err.Error()))
	}
	return nil
}

// titled reports whether the service shows a title.
func (t *Target) titled() bool {
	service, _, _ := strings.Cut(t.url.Scheme, "+")
	return slices.Contains(withTitle, service) || service == "generic" && t.url.Query().Has("template")
}

var (
	anyURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*:/[^\s"'<>]*`)
	word   = regexp.MustCompile(`[\pL\pN]+`)
)

// cutter returns a function that cuts out of a text all that may be a secret of
// the URL: each part of it, and all URLs, for shoutrrr makes others of it.
func cutter(raw string, u *url.URL, name string) func(string) string {
	password, _ := u.User.Password()
	secrets := []string{raw, u.String(), u.User.String(), u.User.Username(), password, u.Path, u.EscapedPath(), u.RawQuery}
	if !slices.Contains(withServer, strings.Split(u.Scheme, "+")[0]) {
		secrets = append(secrets, u.Host, u.Hostname())
	}
	secrets = append(secrets, strings.Split(u.Path, "/")...)
	for key, values := range u.Query() {
		secrets = append(append(secrets, key), values...)
	}
	// What a service makes of a part may be pieces of it.
	for _, s := range slices.Clone(secrets) {
		for _, piece := range word.FindAllString(s, -1) {
			if len(piece) > 7 && !strings.Contains(name, piece) {
				secrets = append(secrets, piece)
			}
		}
	}
	cut := conf.Cutter(slices.DeleteFunc(secrets, func(s string) bool { return slices.Contains(settings, strings.ToLower(s)) }))
	return func(s string) string {
		return cut(anyURL.ReplaceAllStringFunc(s, func(found string) string {
			if found == name {
				return found
			}
			return "[URL]"
		}))
	}
}
