package remote

import (
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const (
	defaultTimeout = 10 * time.Second
	minTimeout     = 100 * time.Millisecond
)

// Options say how services are asked.
type Options struct {
	// How many operators must agree before an address that is not the one last
	// confirmed is believed. Services whose hosts have one registrable domain
	// are of one operator, and so are those that are known to be: Cloudflare
	// runs icanhazip.com, 1.1.1.1 and every `/cdn-cgi/trace`. Those of the
	// list's other sources that ask services, `simple_http` and `dns`, count as
	// well. When fewer answer at all, and they agree, what they say is believed
	// after three checks alike, 10 seconds apart, and a warning says so.
	// Default: 2, or 1 if there is but one operator in the list, which is warned
	// of.
	Quorum int `json:"quorum,omitempty"`

	// How long one check may take, all services together. The next one is asked
	// after 250 ms already. Default: 10s. Minimum: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The network interface to ask through, for machines with several ways to
	// the internet: the address that is found is the one that this way has.
	// Names are looked up as ever. The interface needs a default route of its
	// own, which may be one of a higher metric, and need not exist when the
	// configuration is loaded. Placeholders are resolved. Works on Linux (before
	// 5.7 with the capability CAP_NET_RAW), macOS and Windows, and is refused
	// elsewhere. Default: whichever way the system's routes say.
	Interface string `json:"interface,omitempty"`
}

// Unmarshal takes the option that the dispenser is at, and reports whether it is
// one of these. Syntax:
//
//	quorum    <number>
//	timeout   <duration>
//	interface <name>
func (o *Options) Unmarshal(d *caddyfile.Dispenser) (ok bool, err error) {
	switch d.Val() {
	case "quorum":
		return true, o.unmarshalQuorum(d)
	case "timeout":
		return true, o.unmarshalTimeout(d)
	case "interface":
		return true, o.unmarshalInterface(d)
	}
	return false, nil
}

func (o *Options) unmarshalQuorum(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.Err("quorum needs one number: how many operators must agree on a changed address")
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("quorum %q is no number of operators: write 1 or more", value)
	}
	if o.Quorum != 0 && o.Quorum != n {
		return d.Errf("quorum is given twice, as %d and as %d: remove one of them", o.Quorum, n)
	}
	o.Quorum = n
	return nil
}

func (o *Options) unmarshalTimeout(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.Err("timeout needs one duration, such as 10s")
	}
	timeout, err := caddy.ParseDuration(value)
	if err != nil || timeout < minTimeout {
		return d.Errf("timeout %q is no duration of at least %s: write one such as 10s", value, minTimeout)
	}
	if o.Timeout != 0 && o.Timeout != caddy.Duration(timeout) {
		return d.Errf("timeout is given twice, as %s and as %s: remove one of them", time.Duration(o.Timeout), timeout)
	}
	o.Timeout = caddy.Duration(timeout)
	return nil
}

func (o *Options) unmarshalInterface(d *caddyfile.Dispenser) error {
	var name string
	if !d.AllArgs(&name) || name == "" {
		return d.Err("interface needs the name of one network interface, such as wan2")
	}
	if o.Interface != "" && o.Interface != name {
		return d.Errf("interface is given twice, as %s and as %s: remove one of them", o.Interface, name)
	}
	o.Interface = name
	return nil
}

func (o *Options) validate() error {
	if o.Quorum < 0 {
		return fmt.Errorf("quorum %d is no number of operators: write 1 or more", o.Quorum)
	}
	if timeout := time.Duration(o.Timeout); timeout != 0 && timeout < minTimeout {
		return fmt.Errorf("timeout %s is shorter than %s: write one such as 10s", timeout, minTimeout)
	}
	return nil
}
