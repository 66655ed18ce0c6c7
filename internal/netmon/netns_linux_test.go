package netmon

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

func TestWatchInNamespace(t *testing.T) {
	if _, inside := lab.Inside(); !inside {
		lab.NewNS(t).Rerun(t, "nothing")
		return
	}
	lab.IP(t, lab.WANLink+"addr add 93.184.216.34/32 dev wan0\n")

	t.Run("what matters", func(t *testing.T) {
		for _, tc := range []struct {
			command string
			matters bool
		}{
			{"addr add 93.184.216.35/32 dev wan0 valid_lft 3600 preferred_lft 1800", true},
			{"addr change 93.184.216.35/32 dev wan0 valid_lft 7200 preferred_lft 3600", false},
			{"addr change 93.184.216.35/32 dev wan0 valid_lft 7200 preferred_lft 0", true},
			{"addr del 93.184.216.35/32 dev wan0", true},
			{"addr add fe80::7/64 dev wan0 nodad", false},
			{"addr add 2606:4700::7/64 dev wan0", false}, // until it is known to be unique
			{"route add 198.51.100.0/24 dev wan0", false},
			{"addr add 2606:4700:8::7/64 dev wan0 nodad", true},
			{"route del 2606:4700:8::/64 dev wan0", true},
			{"route add 2606:4700:8::/64 dev wan0", true},
			{"route add 2606:4700:8::/48 dev wan0", false},
			{"addr del 2606:4700:8::7/64 dev wan0", true},
			{"route add default dev wan0 metric 7", true},
			{"route add default dev wan0 metric 7 table 77", false},
			{"route del default dev wan0 metric 7", true},
			{"route add default via fe80::1 dev wan0", true},
		} {
			before, err := snapshotAddresses()
			if err != nil {
				t.Fatal(err)
			}
			lab.IP(t, tc.command+"\n")
			after, err := snapshotAddresses()
			if err != nil {
				t.Fatal(err)
			}
			if (before != after) != tc.matters {
				t.Errorf("%s: matters %v, want %v\nbefore:\n%s\nafter:\n%s", tc.command, !tc.matters, tc.matters, before, after)
			}
		}
	})

	t.Run("at once and once settled", func(t *testing.T) {
		goroutines := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		signals := Watch(ctx, zap.NewNop())
		lab.IP(t, "addr del 93.184.216.34/32 dev wan0\naddr add 93.184.216.36/32 dev wan0\n")
		await(t, signals)
		await(t, signals)
		cancel()
		for range signals {
		}
		lab.Eventually(t, 20*time.Second, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
	})

	t.Run("latency", func(t *testing.T) {
		w := &addressWatch{logger: zap.NewNop(), subscribe: subscribeAddresses, snapshot: snapshotAddresses, wallClock: time.Now}
		ctx, cancel := context.WithCancel(t.Context())
		events := w.start(ctx)
		var took []time.Duration
		for i := range 20 {
			began := time.Now()
			lab.IP(t, fmt.Sprintf("addr add 93.184.217.%d/32 dev wan0\n", i))
			took = append(took, await(t, events).Sub(began))
		}
		slices.Sort(took)
		t.Logf("from the start of ip(8) to the event: min %v, median %v, max %v", took[0], took[10], took[19])
		if took[10] > 50*time.Millisecond {
			t.Errorf("the median is %v", took[10])
		}
		cancel()
		for range events {
		}
	})
}

// await returns when the signal came.
func await(t *testing.T, signals <-chan struct{}) time.Time {
	t.Helper()
	select {
	case _, ok := <-signals:
		if !ok {
			t.Fatal("the watch has ended")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no signal within 10s")
	}
	return time.Now()
}

func TestConcernsAddresses(t *testing.T) {
	route := func(destination byte) []byte {
		data := make([]byte, unix.SizeofRtMsg)
		data[1] = destination
		return data
	}
	prefix := func(table byte, attribute ...byte) []byte {
		data := route(64)
		data[0], data[4] = unix.AF_INET6, table
		return append(data, attribute...)
	}
	for _, tc := range []struct {
		name        string
		messageType uint16
		data        []byte
		want        bool
	}{
		{"new address", unix.RTM_NEWADDR, nil, true},
		{"deleted address", unix.RTM_DELADDR, nil, true},
		{"new default route", unix.RTM_NEWROUTE, route(0), true},
		{"deleted default route", unix.RTM_DELROUTE, route(0), true},
		{"other route", unix.RTM_NEWROUTE, route(24), false},
		{"IPv6 prefix of a link", unix.RTM_DELROUTE, prefix(unix.RT_TABLE_MAIN, 8, 0, unix.RTA_OIF, 0, 2, 0, 0, 0), true},
		{"IPv6 route by a gateway", unix.RTM_NEWROUTE, prefix(unix.RT_TABLE_MAIN, 8, 0, unix.RTA_GATEWAY, 0, 2, 0, 0, 0), false},
		{"IPv6 route of another table", unix.RTM_NEWROUTE, prefix(unix.RT_TABLE_LOCAL), false},
		{"IPv6 route with broken attributes", unix.RTM_NEWROUTE, prefix(unix.RT_TABLE_MAIN, 99, 0, unix.RTA_OIF, 0), false},
		{"cut route", unix.RTM_NEWROUTE, []byte{unix.AF_INET}, false},
		{"new link", unix.RTM_NEWLINK, nil, false},
	} {
		if got := concernsAddresses(tc.messageType, tc.data); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
