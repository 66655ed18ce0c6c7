package dynamicdns

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestClusterWithdrawLast: the last one takes all of its own away, and nothing
// that another one has which may come back.
func TestClusterWithdrawLast(t *testing.T) {
	for name, withdraws := range map[string]bool{"withdraw": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				module := z.Register()
				config := clusterConfig(module)
				if withdraws {
					config = withdrawing(config)
				}
				l.address(addr1)
				l.load(config)
				l.wait(time.Minute)
				p := l.peer("c", module, addr2, "only")
				l.wait(time.Minute)
				hasA(t, z, "www", addr1, addr2)
				hasA(t, z, "only", addr2)
				p.end()
				l.wait(time.Minute)
				l.load(config)
				l.wait(10 * time.Minute)
				hasA(t, z, "www", addr1)
				hasA(t, z, "only", addr2)
				z.Put(zoneName, record("www", "A", addr3))
				l.exit()
				l.wait(time.Minute)
				if withdraws {
					hasA(t, z, "www", addr3)
				} else {
					hasA(t, z, "www", addr1, addr3)
				}
				hasA(t, z, "only", addr2)
			})
		})
	}
}

// TestClusterWithdrawOther: of one that leaves, whoever writes takes away what
// it had alone.
func TestClusterWithdrawOther(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address(addr1)
		l.load(clusterConfig(module))
		l.wait(time.Minute)
		p := l.peer("c", module, addr2, "only", "also")
		l.wait(time.Minute)
		hasA(t, z, "only", addr2)
		hasA(t, z, "also", addr2)

		p.mu.Lock()
		p.names = []string{"only"}
		p.mu.Unlock()
		p.member.Poke()
		l.wait(30 * time.Second)
		hasA(t, z, "also")
		hasA(t, z, "only", addr2)

		p.end()
		p.member.Leave(context.Background())
		l.wait(10 * time.Second)
		hasA(t, z, "www", addr1)
		hasA(t, z, "only")
	})
}

// TestClusterWithdrawNotLast: one that is not the last leaves it to the others,
// and waits for nothing.
func TestClusterWithdrawNotLast(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address(addr1)
		l.load(withdrawing(clusterConfig(module)))
		l.wait(time.Minute)
		p := l.peer("c", module, addr2)
		l.wait(time.Minute)
		hasA(t, z, "www", addr1, addr2)
		if took := l.exit(); took > time.Second {
			t.Errorf("the end took %s", took)
		}
		if entries := p.member.Status().Members; len(entries) > 1 {
			t.Errorf("the other sees %+v", entries)
		}
		hasA(t, z, "www", addr1, addr2)
	})
}

// TestClusterWithdrawName: a name that leaves the configuration is taken away,
// unless another instance has it, and so is one that left while Caddy did not
// run.
func TestClusterWithdrawName(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		config := func(names string) string {
			return withdrawing(strings.Replace(clusterConfig(module), `["www"]`, names, 1))
		}
		l.address(addr1)
		l.load(config(`["www", "shared", "mine", "later"]`))
		l.wait(time.Minute)
		p := l.peer("c", module, addr2, "shared")
		l.wait(time.Minute)
		hasA(t, z, "shared", addr1, addr2)
		hasA(t, z, "mine", addr1)
		l.load(config(`["www", "later"]`))
		l.wait(30 * time.Second)
		hasA(t, z, "shared", addr2)
		hasA(t, z, "mine")
		hasA(t, z, "later", addr1)
		p.end()
		p.member.Leave(context.Background())
		l.wait(30 * time.Second)
		hasA(t, z, "shared")
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errors.New("503 service unavailable")} })
		l.exit()
		l.wait(time.Hour)
		z.Fail(nil)
		hasA(t, z, "later", addr1)
		l.load(config(`["www"]`))
		l.wait(2 * time.Minute)
		hasA(t, z, "later")
		hasA(t, z, "www", addr1)
	})
}
