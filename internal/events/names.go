package events

import (
	"slices"
	"strings"
	"sync/atomic"
	"weak"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Names are the events that there are.
var Names = []string{
	string(status.EventAddressChanged), string(status.EventAddressLost), string(status.EventAddressFound),
	string(status.EventRecordsChanged), string(status.EventUpdateFailed), string(status.EventRecovered),
	string(status.EventInstanceJoined), string(status.EventInstanceGone), string(status.EventZoneTakenOver),
}

// origins are the apps that emit them.
var origins = []caddy.ModuleID{"dynamic_dns", "dyndns"}

// looked is the events app that was looked at last. Several apps of a
// configuration have one.
var looked atomic.Pointer[weak.Pointer[caddyevents.App]]

// warnOfNames says which handlers wait in vain, for the events app takes every
// name.
func warnOfNames(app *caddyevents.App, logger *zap.Logger) {
	this := weak.Make(app)
	if last := looked.Swap(&this); last != nil && *last == this {
		return
	}
	for _, sub := range app.Subscriptions {
		for _, name := range sub.Events {
			meant, wrong := misnamed(name, sub.Modules)
			if !wrong {
				continue
			}
			fields := []zap.Field{zap.String("event", name), zap.Strings("events", Names)}
			if meant != "" {
				fields = append(fields, zap.String("did_you_mean", meant))
			}
			logger.Warn("no event has this name, so its handlers wait in vain", fields...)
		}
	}
}

// misnamed reports whether a subscription is meant for an event of ours and has
// another name, and which is meant if that can be told. Names of other apps'
// events are their business.
func misnamed(name string, from []caddy.ModuleID) (meant string, wrong bool) {
	others := slices.DeleteFunc(slices.Clone(from), func(id caddy.ModuleID) bool { return id == "" || slices.Contains(origins, id) })
	if name == "" || slices.Contains(Names, name) || len(from) > 0 && len(others) == len(from) {
		return "", false
	}
	word := strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(strings.ToLower(name))
	for _, origin := range origins {
		word = strings.TrimPrefix(word, string(origin)+"_")
	}
	meant = advice.Closest(word, Names)
	ours := len(from) > 0 && len(others) == 0 && !slices.Contains(from, "")
	return meant, meant != "" || ours
}
