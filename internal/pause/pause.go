// Package pause lets time pass, for as long as a context goes on.
package pause

import (
	"context"
	"time"
)

// For returns after d, or as soon as ctx ends. It reports whether ctx still goes
// on. A d of 0 or less does not wait.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
