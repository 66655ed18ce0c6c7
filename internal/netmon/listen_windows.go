package netmon

import (
	"context"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// listeners are who wants to know. A callback of Windows can never be freed, so
// there is one for all, and it knows no listener.
var listeners struct {
	sync.Mutex
	next    int
	changed map[int]func()
}

var callback = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(_, _ unsafe.Pointer, _ uint32) uintptr {
		listeners.Lock()
		defer listeners.Unlock()
		for _, changed := range listeners.changed {
			changed()
		}
		return 0
	})
})

// listen has Windows tell of addresses and routes until ctx is done.
func listen(ctx context.Context, changed func()) error {
	listeners.Lock()
	id := listeners.next
	listeners.next++
	if listeners.changed == nil {
		listeners.changed = make(map[int]func())
	}
	listeners.changed[id] = changed
	listeners.Unlock()
	defer func() {
		listeners.Lock()
		defer listeners.Unlock()
		delete(listeners.changed, id)
	}()

	var addresses, routes windows.Handle
	if err := windows.NotifyUnicastIpAddressChange(windows.AF_UNSPEC, callback(), nil, false, &addresses); err != nil {
		return fmt.Errorf("asking to be told of addresses: %w", err)
	}
	defer windows.CancelMibChangeNotify2(addresses)
	if err := windows.NotifyRouteChange2(windows.AF_UNSPEC, callback(), nil, false, &routes); err != nil {
		return fmt.Errorf("asking to be told of routes: %w", err)
	}
	defer windows.CancelMibChangeNotify2(routes)
	changed()
	<-ctx.Done()
	return ctx.Err()
}
