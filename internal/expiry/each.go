package expiry

import (
	"sync"
	"sync/atomic"
)

// each calls do for 0 … n−1, a bounded number at once, and returns when all
// have returned.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, askers) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
