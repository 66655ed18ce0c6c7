// Package notify is a handler of Caddy's events that tells people what happens,
// by way of push services, chats and e-mail. It is compiled in where a build
// asks for it.
package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/outbox"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/target"
)

// recipientOf and exiting are variables for tests.
var (
	recipientOf = func(raw string) (outbox.Recipient, error) { return target.Parse(raw) }
	exiting     = caddy.Exiting
)

// lastPatience is how long Caddy's end waits for messages that are left.
const lastPatience = time.Second

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler sends a message about each event that it is subscribed to, in the
// background: neither what emits the event nor a reload waits for it.
//
// About one event and zone, or address family, each URL gets at most one message
// a minute. What happens meanwhile is held back: the newest is sent when the
// minute is over, with a count of the others. What cannot be sent is tried
// again for a day, after 5 seconds at first and every 10 minutes in the end, and
// within 30 seconds when something new happens. A reload forgets nothing; a
// message whose URL leaves the configuration is sent at once, and when Caddy
// ends, one second is left for that.
type Handler struct {
	// Where to send, as URLs of shoutrrr, such as `ntfy://ntfy.sh/<topic>` or
	// `smtp://<user>:<password>@<host>:587/?from=<address>&to=<address>`; see
	// https://shoutrrr.nickfedor.com for all services. Placeholders are
	// resolved when the configuration is loaded, and one may stand for several
	// URLs. At least one is required. Only the service, and its host where it
	// is a server of one's own choice, is ever logged.
	URLs []string `json:"urls,omitempty"`

	// The title, for services that show one, and the first line for others.
	// Placeholders are resolved, those of the event among them, such as
	// `{event.name}` and `{event.data.zone}`. Default: one that suits the
	// event.
	Title string `json:"title,omitempty"`

	// The text, likewise.
	Message string `json:"message,omitempty"`

	pooled   conf.Pooled
	outboxes []*box
	repl     *caddy.Replacer
}

// box is an outbox that outlives configurations, by the fingerprint of its URL.
type box struct {
	*outbox.Outbox
	id string
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "events.handlers.notify",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the URLs. Nobody is asked for anything.
func (h *Handler) Provision(caddy.Context) error {
	h.repl = caddy.NewReplacer()
	for i, raw := range h.URLs {
		urls, err := resolve(raw)
		if err != nil {
			return fmt.Errorf("urls[%d]: %w", i, err)
		}
		for _, u := range urls {
			if err := h.hold(u); err != nil {
				return fmt.Errorf("urls[%d]: %w", i, err)
			}
		}
	}
	if len(h.outboxes) == 0 {
		return errNoURL
	}
	return nil
}

var errNoURL = errors.New("there is no URL to send to; write one, such as `ntfy://ntfy.sh/<topic>` (JSON: urls)")

// resolve returns the URLs that a placeholder stands for, or the URL itself.
func resolve(raw string) ([]string, error) {
	if !placeholders.In(raw) {
		return []string{raw}, nil
	}
	resolved, err := placeholders.Resolve(raw)
	if problem := placeholders.CheckEnv(raw); err != nil && problem != nil {
		return nil, problem
	}
	if err != nil {
		// The error would repeat what may be a part of a secret.
		return nil, errors.New("a placeholder is empty or unknown; write one that has a value, such as {env.NOTIFY_URL} or {file./etc/caddy/notify-url}")
	}
	return strings.Fields(resolved), nil
}

// hold takes the outbox of a URL, or makes it.
func (h *Handler) hold(raw string) error {
	to, err := recipientOf(raw)
	if err != nil {
		return err
	}
	key := conf.Key{Kind: "notify", Config: conf.Fingerprint([]byte(raw))}
	shared, err := h.pooled.Hold(key, func() caddy.Destructor { return outbox.New(to, logger) })
	if err != nil {
		return err
	}
	h.outboxes = append(h.outboxes, &box{shared.(*outbox.Outbox), key.Config})
	return nil
}

// logger is that of the configuration that is running, if one is.
func logger() *zap.Logger {
	h := new(Handler)
	if ctx := caddy.ActiveContext(); ctx.Context != nil {
		return ctx.Logger(h)
	}
	return caddy.Log().Named(string(h.CaddyModule().ID))
}

// Handle implements caddyevents.Handler. It returns at once.
func (h *Handler) Handle(ctx context.Context, e caddy.Event) error {
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		repl = h.repl
	}
	m := message(e, h.Title, h.Message, repl)
	for _, box := range h.outboxes {
		box.Add(thing(e), m)
	}
	return nil
}

// EachRecipient calls fn for each URL, with an ID, the URL without its secrets,
// and a function that sends it a message.
func (h *Handler) EachRecipient(fn func(id, name string, send func(ctx context.Context, title, text string) error)) {
	for _, box := range h.outboxes {
		fn(box.id, box.String(), box.Try)
	}
}

// MarshalLogObject implements zapcore.ObjectMarshaler, for Caddy logs handlers
// at the debug level.
func (h *Handler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return enc.AddArray("urls", zapcore.ArrayMarshalerFunc(func(urls zapcore.ArrayEncoder) error {
		for _, box := range h.outboxes {
			urls.AppendString(box.String())
		}
		return nil
	}))
}

// Cleanup gives back what outlives the configuration. What is left to be sent
// is sent in the background, for which the process waits a moment at its end.
func (h *Handler) Cleanup() error {
	h.pooled.Release()
	if exiting() {
		ctx := theEnd()
		for _, box := range h.outboxes {
			box.Wait(ctx)
		}
	}
	return nil
}

// theEnd returns a context that ends when the process waits no longer.
var theEnd = sync.OnceValue(end)

func end() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(lastPatience, cancel)
	return ctx
}

var (
	_ caddy.Provisioner       = (*Handler)(nil)
	_ caddy.CleanerUpper      = (*Handler)(nil)
	_ caddyevents.Handler     = (*Handler)(nil)
	_ zapcore.ObjectMarshaler = (*Handler)(nil)
)
