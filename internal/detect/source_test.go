package detect

import (
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestNextQuestionAtOnce: a source that has answered is not busy. If it seemed
// so, the next source would have its say.
func TestNextQuestionAtOnce(t *testing.T) {
	m := newMachine(t)
	m.say(ipaddr.V4, nil, good4)
	for i := range 50_000 {
		if _, err := m.d.Sources[0].ask(t.Context(), ipaddr.V4, ipsources.IPSettings{IPVersions: only(ipaddr.V4)}, zap.NewNop()); err != nil {
			t.Fatalf("question %d: %v", i+1, err)
		}
	}
}
