package notify

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/outbox"
)

const (
	// maxTitle and maxText are in characters. Some services take no more.
	maxTitle = 200
	maxText  = 1800
	// maxValue is how much of a value is shown of an event that is not known.
	maxValue = 200
)

// texts are the title and the text for an event, of its data.
type texts struct{ title, text *template.Template }

// defaults are the texts for the events of the dynamic_dns app and the dyndns
// handler.
var defaults = map[string]texts{
	"address_changed": write(
		`{{family .family}} address changed`,
		`The {{family .family}} address is now {{.new}}, from {{.source}}.{{with .old}} It was {{.}} before.{{end}}`),
	"address_lost": write(
		`{{family .family}} address lost`,
		`No {{family .family}} address is found any more. The last one was {{.addresses}}, which stays in DNS. {{.error}}`),
	"address_found": write(
		`{{family .family}} address found again`,
		`The {{family .family}} address is {{.addresses}}, from {{.source}}. None had been found for {{span .after}}.`),
	"records_changed": write(
		`{{.zone}} changed`,
		`Records of {{.zone}} at {{.provider}} were changed{{with .client}} for the client {{.}}{{end}}: {{.changes}}`),
	"update_failed": write(
		`{{.zone}} cannot be updated`,
		`{{.zone}} at {{.provider}} cannot be updated{{with .client}} for the client {{.}}{{end}}, which is tried again: {{.error}}`),
	"recovered": write(
		`{{.zone}} can be updated again`,
		`{{.zone}} at {{.provider}} can be updated again{{with .client}}, for the client {{.}} too{{end}}. It could not be for {{span .after}}.`),
	"instance_joined": write(
		`{{.instance}} has joined`,
		`The instance {{.instance}}{{with .host}} on {{.}}{{end}} has joined the cluster.`),
	"instance_gone": write(
		`{{.instance}} is gone`,
		`The instance {{.instance}} of the cluster is gone. Its addresses are taken out of DNS.`),
	"zone_taken_over": write(
		`{{.zone}} taken over`,
		`The instance {{.instance}} writes {{.zone}} at {{.provider}} from now on.`),
}

// other is for all other events.
var other = write(`{{.event}}`, `{{or .module "Caddy"}}: {{.event}}{{.details}}`)

func write(title, text string) texts {
	funcs := template.FuncMap{"family": family, "span": span}
	parse := func(s string) *template.Template { return template.Must(template.New("").Funcs(funcs).Parse(s)) }
	return texts{parse(title), parse(text)}
}

// family is how people write a family.
func family(v any) string {
	return strings.Replace(fmt.Sprint(v), "ipv", "IPv", 1)
}

// span is a number of seconds for people.
func span(v any) string {
	n, ok := v.(int)
	switch {
	case !ok:
		return fmt.Sprint(v)
	case n < 120:
		return fmt.Sprintf("%d seconds", n)
	case n < 120*60:
		return fmt.Sprintf("%d minutes", n/60)
	}
	return fmt.Sprintf("%d hours", n/3600)
}

// ours are the apps whose events have the default texts.
var ours = []caddy.ModuleID{"dynamic_dns", "dyndns"}

// message says what the event is about, in the words of the configuration if it
// has some.
func message(e caddy.Event, ownTitle, ownText string, repl *caddy.Replacer) outbox.Message {
	var module caddy.ModuleID
	if origin := e.Origin(); origin != nil {
		module = origin.CaddyModule().ID
	}
	title, text := describe(module, e.Name(), e.Data)
	if ownTitle != "" {
		title = repl.ReplaceKnown(ownTitle, "")
	} else if host, err := os.Hostname(); err == nil {
		title = host + ": " + title
	}
	if ownText != "" {
		text = repl.ReplaceKnown(ownText, "")
	}
	return outbox.Message{Title: oneLine(title, maxTitle), Text: shorten(text, maxText), At: e.Timestamp(), Event: e.ID().String()}
}

// describe returns the default title and text.
func describe(module caddy.ModuleID, event string, data map[string]any) (title, text string) {
	t, known := defaults[event]
	if !known || !slices.Contains(ours, module) {
		t = other
		data = map[string]any{"event": event, "module": string(module), "details": details(data)}
	}
	return execute(t.title, data), execute(t.text, data)
}

func execute(t *template.Template, data map[string]any) string {
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return err.Error()
	}
	return out.String()
}

// details lists what can be shown on a line of the data of an event.
func details(data map[string]any) string {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(data)) {
		var shown string
		switch v := data[key].(type) {
		case string, bool, int, int64, uint64, float64, []string, error, fmt.Stringer:
			shown = fmt.Sprint(v)
		}
		if shown != "" && !strings.ContainsRune(shown, '\n') {
			fmt.Fprintf(&lines, "\n%s: %s", key, shorten(shown, maxValue))
		}
	}
	return lines.String()
}

// thing is what there is at most one message a minute about.
func thing(e caddy.Event) string {
	thing := e.Name()
	for _, key := range []string{"zone", "family"} {
		if s, ok := e.Data[key].(string); ok {
			thing += " " + s
		}
	}
	return thing
}

// oneLine makes a title of a text, which goes into headers.
func oneLine(s string, most int) string {
	return shorten(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " "), most)
}

// shorten cuts a text off where it is too long. What is no text is left out.
func shorten(s string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, s))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}
