package dyndns

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

// ServeHTTP answers an update. Whatever comes is answered here: it never calls
// the next handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	began := time.Now()
	u := &update{handler: h, agent: agentOf(r.UserAgent())}
	lines, err := u.serve(r)
	var refused *reply.Error
	if err != nil && !errors.As(err, &refused) {
		// What is no answer of the protocol must not look like success.
		refused = reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "%v", err)
	}
	switch {
	case refused != nil:
		refused.Write(w)
	case u.address.IsValid():
		reply.Address(w, u.address)
		return nil
	default:
		reply.Success(w, lines)
	}
	u.note(r, lines, refused, time.Since(began))
	return nil
}

// note tells of the answer: the access log, the log, the metrics and the
// status.
func (u *update) note(r *http.Request, lines []reply.Line, refused *reply.Error, took time.Duration) {
	shared := u.handler.app.shared
	result := reply.NoChange
	for _, l := range lines {
		if l.Changed {
			result = reply.Good
		}
	}
	if refused != nil {
		result = refused.Word
	}
	shared.counts.updates.WithLabelValues(string(result), u.agent).Inc()
	if result == reply.Good {
		shared.counts.latency.Observe(took.Seconds())
	}
	if u.tried && u.user == nil {
		shared.counts.failures.Inc()
	}
	now := time.Now()
	var who []zap.Field
	if u.user != nil {
		shared.seen.note(u.user.Name, visit{at: now, client: u.client, agent: u.agent, result: result})
		who = append(who, zap.String("user", u.user.Name), zap.Strings("hosts", u.hosts))
		if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			for _, field := range who {
				extra.Add(field)
			}
		}
	}
	if len(u.leftAlone) > 0 {
		u.handler.logger.Debug("leaving a family of a host alone", append(who, zap.Strings("reasons", u.leftAlone))...)
	}
	if refused == nil {
		return
	}
	level := zapcore.WarnLevel
	// A stranger has all addresses of a network, and would fill the log.
	network := auth.Network(u.client).String()
	if u.user == nil && !u.tried || shared.seen.repeats(network+" "+string(refused.Word)+" "+refused.Reason, now) {
		level = zapcore.DebugLevel
	}
	u.handler.logger.Log(level, "refused an update", append(who,
		zap.Stringer("client", u.client), zap.String("agent", u.agent), zap.Int("status", refused.Status),
		zap.String("answer", string(refused.Word)), zap.String("reason", refused.Reason))...)
}

var _ caddyhttp.MiddlewareHandler = (*Handler)(nil)
