package node

import (
	"context"
	"fmt"
	"sync"
)

// crew runs walkers until they are told to stop, and hears when one of them
// ends on its own.
type crew struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	failed chan error // of the first walker that ended before it was told to
}

// walker is anything that walks the road: Run blocks until ctx ends.
type walker interface {
	Run(ctx context.Context) error
}

// muster starts walkers. They outlive the doors: what is in flight when the
// node drains still has to be decided.
func muster(ctx context.Context, walkers map[string]walker) *crew {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &crew{cancel: cancel, failed: make(chan error, 1)}
	for name, w := range walkers {
		c.wait.Go(func() {
			err := w.Run(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = fmt.Errorf("%s ended by itself, without being told to", name)
			} else {
				err = fmt.Errorf("%s ended: %w", name, err)
			}
			select {
			case c.failed <- err:
			default: // the first one is reported
			}
		})
	}
	return c
}

// stop tells the walkers to end and waits until they have.
func (c *crew) stop() {
	c.cancel()
	c.wait.Wait()
}
