package netmon

import (
	"context"
	"time"
)

// pollInterval is how often the addresses are looked at where the system may
// miss to tell of them.
const pollInterval = 10 * time.Second

// listenAndPoll calls changed whenever listen does, and every poll interval all
// the same, until ctx is done or listen fails.
func listenAndPoll(ctx context.Context, listen func(ctx context.Context, changed func()) error, changed func()) error {
	ended := make(chan error, 1)
	go func() { ended <- listen(ctx, changed) }()
	changed()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			changed()
		case <-ctx.Done():
			return <-ended
		case err := <-ended:
			return err
		}
	}
}
