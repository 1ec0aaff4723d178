package redis

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue/queuetest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestQueue(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		queuetest.Run(t, func(t *testing.T) queuetest.Machine {
			c := open(t, url)
			q := c.run1(t, QueueOptions{Name: "one", Redeliver: time.Hour, Buckets: func() []shop.Bucket {
				return []shop.Bucket{{Sale: "suite", Number: 3}, {Sale: "retro-85", Number: 63}}
			}})
			return queuetest.Machine{Queue: q, Publisher: c.Publisher(), Redeliver: func() { q.redeliver(t) }}
		})
	})
}

// run1 runs a queue until the test ends.
func (c *Client) run1(tb testing.TB, options QueueOptions) *Queue {
	tb.Helper()
	q := c.Queue(options)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := q.Run(ctx); err != nil {
			tb.Errorf("run: %v", err)
		}
	})
	tb.Cleanup(func() {
		stop()
		running.Wait()
	})
	return q
}

// redeliver makes all that is not acknowledged come again at once.
func (q *Queue) redeliver(tb testing.TB) {
	tb.Helper()
	for _, bucket := range q.options.Buckets() {
		s := &stream{Queue: q, shelf: q.client.shelf(bucket)}
		must(tb, s.claim(tb.Context(), 0))
	}
}
