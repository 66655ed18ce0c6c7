package nameserver

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// A secondary that is dead does not hold up reloads.
func TestDeadSecondary(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := func(i int) []byte {
		return configFor(t, dir, &App{
			MaxQPSPerClient: i, Listen: []string{server},
			Zones: map[string]*Zone{"example.test": {Notify: []string{silent.LocalAddr().String()}}},
		})
	}
	load(t, config(1))
	began := time.Now()
	for i := range 5 {
		if err := caddy.Load(config(i+2), true); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d > notifyTimeout {
		t.Errorf("5 reloads took %s", d)
	}
}

// A secondary is told of each change once, and of none when there is none.
func TestNotifiesOfChangesOnly(t *testing.T) {
	var notified atomic.Int32
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secondary := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		notified.Add(1)
		_ = w.WriteMsg(new(dns.Msg).SetReply(q))
	})}
	go func() { _ = secondary.ActivateAndServe() }()
	defer func() { _ = secondary.Shutdown() }()
	dir := t.TempDir()
	config := func(i int) []byte {
		return configFor(t, dir, &App{
			MaxQPSPerClient: i, Listen: []string{fmt.Sprintf("127.0.0.1:%d", freePort(t))},
			Zones: map[string]*Zone{"example.test": {Notify: []string{pc.LocalAddr().String()}}},
		})
	}
	want := func(n int32) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); notified.Load() < n && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		if got := notified.Load(); got != n {
			t.Fatalf("%d notifications, want %d", got, n)
		}
	}
	load(t, config(1))
	want(1)
	for i := range 3 {
		if err := caddy.Load(config(i+2), true); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	if _, err := providerAt(dir).SetRecords(context.Background(), "example.test", []libdns.Record{address("www", "192.0.2.1")}); err != nil {
		t.Fatal(err)
	}
	want(2)
}

// Where the option names a key, notifications are signed with it.
func TestSignedNotify(t *testing.T) {
	verified := make(chan error, 10)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secondary := &dns.Server{PacketConn: pc, TsigSecret: map[string]string{"transfer.": transferSecret}, MsgAcceptFunc: accept,
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			err := w.TsigStatus()
			if q.IsTsig() == nil {
				err = dns.ErrNoSig
			}
			verified <- err
			m := new(dns.Msg).SetReply(q)
			m.SetTsig("transfer.", dns.HmacSHA256, fudge, time.Now().Unix())
			_ = w.WriteMsg(m)
		})}
	go func() { _ = secondary.ActivateAndServe() }()
	defer func() { _ = secondary.Shutdown() }()
	load(t, configFor(t, t.TempDir(), &App{
		Listen:   []string{fmt.Sprintf("127.0.0.1:%d", freePort(t))},
		TSIGKeys: map[string]*TSIGKey{"transfer": {Secret: transferSecret}},
		Zones:    map[string]*Zone{"example.test": {Notify: []string{pc.LocalAddr().String() + " key:transfer"}}},
	}))
	select {
	case err := <-verified:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no notification")
	}
	time.Sleep(100 * time.Millisecond)
	if len(verified) > 0 {
		t.Error("the answer was not understood, and the notification sent again")
	}
}
