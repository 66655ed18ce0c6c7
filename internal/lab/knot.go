//go:build linux

package lab

import (
	"fmt"
	"path/filepath"

	"github.com/miekg/dns"
)

// Knot is Knot DNS in the place of a BIND, with its zone and its key. Unlike
// named, whose memory allocator and libfaketime do not go together, it can have
// a clock that is wrong.
type Knot struct {
	*process

	bind    *BIND
	library string
}

// NewKnot ends the BIND, and has Knot DNS ready to start in its place.
func NewKnot(b *BIND) *Knot {
	b.t.Helper()
	Need(b.t, "knotd")
	libraries, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if len(libraries) == 0 {
		lack(b.t, "libfaketime")
	}
	b.Stop()
	dir := filepath.Dir(b.log)
	file := filepath.Join(dir, "knot.conf")
	WriteFile(b.t, file, fmt.Sprintf(`server:
    listen: %s@%s
    rundir: %q
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: %[3]q
key:
  - id: %s
    algorithm: %s
    secret: %s
acl:
  - id: all
    key: %[4]s
    action: [transfer, update]
zone:
  - domain: %[7]s
    storage: %[3]q
    file: %[7]s.zone
    acl: all
`, b.host, b.port, dir, b.KeyName, b.KeyAlg, b.Key, b.zone))
	return &Knot{newProcess(b.t, b.ns, filepath.Join(dir, "knot.log"), nil, "knotd", "-c", file), b, libraries[0]}
}

// Start starts it, again if it runs, with a clock that is off by so much, such as
// "+1h", or "+0".
func (k *Knot) Start(by string) {
	k.t.Helper()
	k.Stop()
	k.env = []string{"LD_PRELOAD=" + k.library, "FAKETIME=" + by}
	k.start()
	k.awaitReady(func() bool {
		_, _, err := k.bind.query(k.bind.zone, dns.TypeSOA)
		return err == nil
	})
}
