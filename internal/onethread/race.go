//go:build race

package onethread

import "runtime"

// Go 1.26 has one race context for all timers of a synctest bubble, and the
// race detector crashes when two threads run some at once.
func init() { runtime.GOMAXPROCS(1) }
