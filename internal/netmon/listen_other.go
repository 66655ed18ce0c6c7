//go:build !linux && !windows && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package netmon

import "context"

// listen learns of nothing here.
func listen(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}
