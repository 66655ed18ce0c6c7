package notify

import (
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/adapttest"
)

func TestAdapt(t *testing.T) { adapttest.Run(t) }
