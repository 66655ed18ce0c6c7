package target

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
)

// manual has the URLs of all services.
const manual = "https://shoutrrr.nickfedor.com"

// withServer are the services in whose URLs the host is that of a server, and
// not some secret.
var withServer = []string{"bark", "generic", "gotify", "lark", "matrix", "mattermost", "ntfy", "opsgenie", "pagerduty", "rocketchat", "signal", "smtp", "zulip"}

// withTitle are those that show a title. To others it is the first line.
var withTitle = []string{"bark", "discord", "gotify", "join", "lark", "ntfy", "opsgenie", "pushbullet", "pushover", "slack", "smtp", "teams", "telegram"}

// forms are what the URLs look like.
var forms = map[string]string{
	"bark":       "bark://:<device key>@<host>",
	"discord":    "discord://<token>@<webhook id>",
	"generic":    "generic+https://<host>/<path>",
	"gotify":     "gotify://<host>/<token>",
	"googlechat": "googlechat://chat.googleapis.com/v1/spaces/<space>/messages?key=<key>&token=<token>",
	"ifttt":      "ifttt://<key>/?events=<event>",
	"join":       "join://shoutrrr:<api key>@join/?devices=<device>",
	"lark":       "lark://open.larksuite.com/<token>",
	"matrix":     "matrix://<user>:<password>@<host>/?rooms=<room>",
	"mattermost": "mattermost://<host>/<token>",
	"notifiarr":  "notifiarr://<api key>",
	"ntfy":       "ntfy://ntfy.sh/<topic>",
	"opsgenie":   "opsgenie://api.opsgenie.com/<api key>",
	"pagerduty":  "pagerduty://events.pagerduty.com/<integration key>",
	"pushbullet": "pushbullet://<token>",
	"pushover":   "pushover://shoutrrr:<token>@<user key>/",
	"rocketchat": "rocketchat://<host>/<token>/<token>",
	"signal":     "signal://<host>:<port>/<from number>/<to number>",
	"slack":      "slack://hook:<token>@webhook",
	"smtp":       "smtp://<user>:<password>@<host>:587/?from=<address>&to=<address>",
	"teams":      "teams://<group>@<tenant>/<id>/<owner>/<id>?host=<host>",
	"telegram":   "telegram://<token>@telegram?chats=<chat id>",
	"wecom":      "wecom://<key>",
	"zulip":      "zulip://<bot mail>:<bot key>@<host>/?stream=<stream>",
}

// settings are words of URLs that are no secrets, and say what is wrong.
var settings = strings.Fields(`
	actions application attach auth auto cache channel channels chats click clienthost contenttype cram crammd5 default delay
	devices disabletls disabletlsverification email encryption events explicittls false filename firebase from fromaddress
	fromname high host http https icon implicittls json login markdown max message messagekey method min none notification
	parsemode plain port post preview priority requirestarttls rooms scheme shoutrrr skiptlsverify starttls stream subject
	tags telegram template text timeout title titlekey toaddresses token topic true unknown urgent usehtml usestarttls
	webhook`)

// elsewhere are what people write, being what the service itself shows them.
var elsewhere = []struct {
	host    *regexp.Regexp
	service string
}{
	{regexp.MustCompile(`(?i)(^|\.)ntfy\.`), "ntfy"},
	{regexp.MustCompile(`(?i)^(\w+\.)?discord(app)?\.com$`), "discord"},
	{regexp.MustCompile(`(?i)^hooks\.slack\.com$`), "slack"},
	{regexp.MustCompile(`(?i)^api\.telegram\.org$`), "telegram"},
	{regexp.MustCompile(`(?i)\.(office|logic\.azure)\.com$`), "teams"},
	{regexp.MustCompile(`(?i)^chat\.googleapis\.com$`), "googlechat"},
	{regexp.MustCompile(`(?i)^api\.pushover\.net$`), "pushover"},
	{regexp.MustCompile(`(?i)^gotify\.`), "gotify"},
}

// checkService refuses a service that does not exist or is of no use.
func checkService(service string, u *url.URL) error {
	switch service {
	case "http", "https":
		for _, e := range elsewhere {
			if e.host.MatchString(u.Hostname()) {
				return fmt.Errorf("%s:// is no service%s", service, hint(e.service))
			}
		}
		return fmt.Errorf("%s:// is no service; for a webhook, which gets the message in a POST request, put generic+ before it: `generic+%s://<host>/<path>`", service, service)
	case "mailto", "smtps", "email", "mail":
		return fmt.Errorf("%s: is no service%s", service, hint("smtp"))
	case "logger":
		return errors.New("logger: would send to Caddy's log what is there already; leave it out")
	case "":
		return fmt.Errorf("the URL does not begin with a service%s", hint("ntfy"))
	}
	if !slices.Contains(new(router.ServiceRouter).ListServices(), service) {
		known := slices.Sorted(maps.Keys(forms))
		if best := advice.Closest(service, known); best != "" {
			return fmt.Errorf("there is no service %s%s", service, hint(best))
		}
		return fmt.Errorf("there is no service of that name; there are %s; see %s", strings.Join(known, ", "), manual)
	}
	return nil
}

// hint says what the URL of a service looks like, or where that is said.
func hint(service string) string {
	if service == "hangouts" {
		service = "googlechat"
	}
	if form, ok := forms[service]; ok {
		return fmt.Sprintf("; write it like `%s`, see %s", form, manual)
	}
	return fmt.Sprintf("; write it like `%s`, see %s", forms["ntfy"], manual)
}

// scheme is what a text that is no URL begins with.
func scheme(raw string) string {
	before, _, found := strings.Cut(raw, "://")
	if !found {
		return ""
	}
	before, _, _ = strings.Cut(before, "+")
	return strings.ToLower(before)
}
