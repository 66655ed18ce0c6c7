// Package file is the IP source that reads addresses from a file.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(File{})
}

const (
	// settleTime is how long a file must not have been written to before it is
	// read: it may be written in several steps.
	settleTime = 50 * time.Millisecond
	// maxSettle bounds how long a file that is written to all the time is
	// waited for.
	maxSettle = time.Second
	// unterminated is how long a last line without its end, or a file without
	// an address, is taken for one that is still being written.
	unterminated = 2 * time.Second
)

// File is an IP source that reads addresses from a file, which another program
// writes: a DHCP client's hook, a router's script, a sidecar.
//
// The file has one address a line. What follows a `#` is a comment, and empty
// lines do not count. All addresses of a family are published together; a family
// of which it has none is left to the next source, and so are both if the file
// does not exist. One that is larger than 16 KiB, or has a line that is no
// address, changes nothing in DNS, not even where its other lines are good or
// another source follows.
//
// A change of the file is noticed at once, whether it is written, renamed into
// its place or behind a symbolic link that now leads elsewhere, unless the app's
// `watch` is off. It is best replaced by renaming. One that is written in place
// is read when it has not been written to for 50 ms. Until its last line ends and
// there is an address in it, it changes nothing for 2 seconds.
type File struct {
	// The path of the file, in which placeholders are resolved. It need not
	// exist when the configuration is loaded.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.file",
		New: func() caddy.Module { return new(File) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	file <path>
func (s *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.NextArg() || d.Val() == "" {
		return d.WrapErr(errNoPath)
	}
	s.Path = d.Val()
	if d.NextArg() {
		return d.Errf("unexpected argument %q: file takes one path; write one with spaces in quotes", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("unrecognized subdirective %q: file has no options", d.Val())
	}
	return nil
}

// Provision sets up the source.
func (s *File) Provision(caddy.Context) error {
	if s.Path == "" {
		return errNoPath
	}
	path, err := placeholders.Resolve(s.Path)
	if err != nil {
		return fmt.Errorf("path %q: %w", s.Path, err)
	}
	s.path = filepath.Clean(path)
	return nil
}

// GetIPs reads the file.
func (s *File) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	all, err := s.read(ctx)
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

// Local implements ipsources.Local.
func (*File) Local() {}

// read returns the addresses of the file, once nobody writes to it.
func (s *File) read(ctx context.Context) ([]netip.Addr, error) {
	for began := time.Now(); ; {
		info, err := os.Stat(s.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("the file %s does not exist (yet)", s.path)
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a file", s.path)
		}
		// A time to come says nothing.
		age := time.Since(info.ModTime())
		if age < 0 || age >= settleTime || time.Since(began) > maxSettle {
			return s.parse(age)
		}
		select {
		case <-time.After(settleTime - age):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// parse returns the addresses of the file that was last written to that long
// ago.
func (s *File) parse(age time.Duration) ([]netip.Addr, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	addrs, ended, err := parse(file)
	fresh := age >= 0 && age < unterminated
	switch {
	case fresh && !ended:
		return nil, s.unfinished("its last line does not end")
	case fresh && errors.Is(err, errEmpty):
		// A shell empties the file before it runs what writes to it.
		return nil, s.unfinished(errEmpty.Error())
	case errors.Is(err, errEmpty):
		return nil, fmt.Errorf("%s: %w", s.path, err)
	case err != nil:
		return nil, &ipsources.HoldError{Err: &ipsources.DoubtError{Err: fmt.Errorf("%s: %w; nothing of it is published", s.path, err)}}
	}
	return addrs, nil
}

// unfinished is the answer while the file may still be written.
func (s *File) unfinished(reason string) error {
	return &ipsources.HoldError{Err: &ipsources.SoonError{
		After: unterminated,
		Err:   fmt.Errorf("%s: %s, so it may still be written; it counts after %s without a change", s.path, reason, unterminated),
	}}
}

var errNoPath = errors.New("file needs the path of a file with one address a line, such as `ip_source file /run/addresses`")

var (
	_ caddy.Provisioner     = (*File)(nil)
	_ caddyfile.Unmarshaler = (*File)(nil)
	_ ipsources.IPSource    = (*File)(nil)
	_ ipsources.Local       = (*File)(nil)
	_ ipsources.Notifier    = (*File)(nil)
)
