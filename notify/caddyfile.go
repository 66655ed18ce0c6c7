package notify

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/target"
)

// UnmarshalCaddyfile parses a handler:
//
//	notify [<urls...>] {
//		url     <urls...>
//		title   <text>
//		message <text>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	from := d.Line()
	if err := h.addURLs(d); err != nil {
		return err
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var err error
		switch option {
		case "url", "urls":
			before := len(h.URLs)
			if err = h.addURLs(d); err == nil && len(h.URLs) == before {
				err = d.WrapErr(missing(d, d.Line()))
			}
		case "title":
			err = setText(d, &h.Title)
		case "message":
			err = setText(d, &h.Message)
		default:
			if strings.Contains(option, "://") {
				return d.Err("a URL stands alone on a line; write `url` before it")
			}
			err = d.Errf("unrecognized subdirective %q%s", option, advice.Option(option, []string{"url", "title", "message"}))
		}
		if err != nil {
			return err
		}
		if d.NextBlock(nesting + 1) {
			return d.Errf("%s takes no block", option)
		}
	}
	if len(h.URLs) == 0 {
		return d.WrapErr(missing(d, from))
	}
	return nil
}

// addURLs takes the URLs of a line. Those without a placeholder are checked
// here, where file and line are known.
func (h *Handler) addURLs(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		raw := d.Val()
		if !placeholders.In(raw) {
			if name := advice.Variable(raw); name != "" {
				return d.Errf("this is no placeholder; write `{env.%s}`", name)
			}
			if _, err := target.Parse(raw); err != nil {
				return d.WrapErr(err)
			}
		}
		if slices.Contains(h.URLs, raw) {
			return d.Err("one URL is there twice; write it once")
		}
		h.URLs = append(h.URLs, raw)
	}
	return nil
}

// missing says that there is no URL, maybe because of a variable without a
// value.
func missing(d *caddyfile.Dispenser, from int) error {
	if err := placeholders.UnsetInLines(d.File(), from, d.Line()); err != nil {
		return err
	}
	return errNoURL
}

func setText(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	if *into != "" {
		return d.Errf("%s is there twice; write it once", option)
	}
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("%s needs a text, such as `%s \"{event.data.zone}: {event.name}\"`", option, option)
	}
	*into = d.Val()
	if d.NextArg() {
		return d.Errf("%s takes one text; write it in quotes", option)
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
