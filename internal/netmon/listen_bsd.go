//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netmon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// listen reads a routing socket until ctx is done or it fails.
func listen(ctx context.Context, changed func()) error {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("opening a routing socket: %w", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("opening a routing socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "routing socket")
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	changed()

	flagsAt := 8
	if runtime.GOOS == "openbsd" {
		flagsAt = 16
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := socket.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			// Messages were lost, which is as good as a message.
			changed()
		case err != nil:
			return fmt.Errorf("reading the routing socket: %w", err)
		case concernsRouting(buf[:n], flagsAt, binary.NativeEndian):
			changed()
		}
	}
}
