// Package command is the IP source that runs a program. It is not compiled in
// unless a build asks for it: whoever may change Caddy's configuration could run
// anything with it.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(Command{})
}

const (
	defaultTimeout = 30 * time.Second
	minTimeout     = 100 * time.Millisecond
	// maxTimeout is how long the app waits for a source.
	maxTimeout = time.Minute
	// fresh is how long ago a run may have begun whose outcome another question
	// still takes: both families are asked for at about the same time.
	fresh = 100 * time.Millisecond
)

// Command is an IP source that runs a program, which prints addresses: with
// commas or white space between them, of one or both families. All addresses of
// a family are published together. Of a program that prints none, anything else
// or more than 4 KiB, or that exits with another status than 0, nothing is
// published, and the next source is asked; the error has what it wrote to its
// standard error.
//
// The program is run without a shell, as the user of Caddy, once for both
// families, and never twice at a time. Of the environment it gets PATH and HOME,
// and LANG=C. When its time is over it is killed, and on Unix the programs that
// it started with it.
type Command struct {
	// The program: its path, or a name that is looked for in PATH. It need not
	// exist when the configuration is loaded. Placeholders are resolved.
	Command string `json:"command,omitempty"`

	// Its arguments, in which placeholders are resolved. What others put into
	// these is taken as it is, so use them with care.
	Args []string `json:"args,omitempty"`

	// The directory to run it in. Placeholders are resolved. Default: that of
	// Caddy.
	Dir string `json:"dir,omitempty"`

	// How long it may take. Default: 30s. From 100ms to 1m.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	runs *runs
}

// CaddyModule returns the Caddy module information.
func (Command) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.command",
		New: func() caddy.Module { return new(Command) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	command <program> [<args...>] {
//		dir     <path>
//		timeout <duration>
//	}
func (c *Command) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.NextArg() || d.Val() == "" {
		return d.WrapErr(errNoProgram)
	}
	c.Command = d.Val()
	c.Args = d.RemainingArgs()
	for d.NextBlock(0) {
		option := d.Val()
		switch option {
		case "dir":
			if c.Dir != "" {
				return d.Err("dir is given twice: remove one of them")
			}
			if !d.AllArgs(&c.Dir) || c.Dir == "" {
				return d.Err("dir needs one path, such as /var/lib/caddy")
			}
		case "timeout":
			if c.Timeout != 0 {
				return d.Err("timeout is given twice: remove one of them")
			}
			var value string
			if !d.AllArgs(&value) {
				return d.Err("timeout needs one duration, such as 10s")
			}
			timeout, err := caddy.ParseDuration(value)
			if err != nil || timeout < minTimeout || timeout > maxTimeout {
				return d.Errf("timeout %q is no duration from 100ms to 1m: write one such as 10s", value)
			}
			c.Timeout = caddy.Duration(timeout)
		default:
			return d.Errf("unrecognized subdirective %q: command takes dir and timeout; write further arguments on its line", option)
		}
		if d.NextBlock(1) {
			return d.Errf("%s takes no block", option)
		}
	}
	return nil
}

// Provision sets up the source.
func (c *Command) Provision(ctx caddy.Context) error {
	if c.Command == "" {
		return errNoProgram
	}
	timeout := cmp.Or(time.Duration(c.Timeout), defaultTimeout)
	if timeout < minTimeout || timeout > maxTimeout {
		return fmt.Errorf("timeout %s is not from 100ms to 1m: write one such as 10s", timeout)
	}
	path, err := resolve(c.Command)
	if err != nil {
		return fmt.Errorf("command %q: %w", c.Command, err)
	}
	dir, err := resolve(c.Dir)
	if err != nil {
		return fmt.Errorf("dir %q: %w", c.Dir, err)
	}
	args := make([]string, len(c.Args))
	for i, raw := range c.Args {
		if args[i], err = resolve(raw); err != nil {
			return fmt.Errorf("args[%d]: %w", i, err)
		}
	}
	program := &program{path: path, args: args, dir: dir, timeout: timeout, redact: redactor(c.Args)}
	// A run outlives the question that it was begun for, but not the
	// configuration.
	c.runs = &runs{begin: func() ([]netip.Addr, error) { return program.run(ctx) }}
	return nil
}

// GetIPs runs the program, or waits for it where it runs already.
func (c *Command) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	all, err := c.runs.outcome(ctx)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, addr := range all {
		if addr.Is4() && settings.IPVersions.V4Enabled() || addr.Is6() && settings.IPVersions.V6Enabled() {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

var errNoProgram = errors.New("command needs a program, such as `ip_source command /usr/local/bin/my-address`")

var (
	_ caddy.Provisioner     = (*Command)(nil)
	_ caddyfile.Unmarshaler = (*Command)(nil)
	_ ipsources.IPSource    = (*Command)(nil)
)
