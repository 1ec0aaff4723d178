package load

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The histogram's range, in microseconds, and its precision in digits: a
// request that takes longer counts as the longest.
const (
	shortest, longest = 1, 60_000_000
	digits            = 3
)

// Open connects, and sends as Lines.Open does.
func Open(address string, conns int, perSecond float64, next Source) (Result, *hdrhistogram.Histogram, error) {
	lines, err := Connect(address, conns)
	if err != nil {
		return Result{}, nil, err
	}
	defer lines.Close()
	return lines.Open(perSecond, next)
}

// Open sends requests at fixed moments, perSecond of them a second, whether or
// not the earlier ones were answered, until next has no more. A request's
// latency runs from the moment when it was due, not from when a connection was
// free for it: nothing is omitted where the server stalls. The histogram is in
// microseconds.
func (lines Lines) Open(perSecond float64, next Source) (Result, *hdrhistogram.Histogram, error) {
	interval := float64(time.Second) / perSecond
	all := hdrhistogram.New(shortest, longest, digits)
	var mu sync.Mutex
	result, err := lines.drive(func(begin time.Time, sent *atomic.Int64, c *Conn, seen map[int]int64) error {
		took := make([]int64, 0, 1<<10)
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			for _, micros := range took {
				_ = all.RecordValue(min(max(micros, shortest), longest)) // in range
			}
		}()
		var room []byte
		for {
			n := sent.Add(1) - 1
			request, more := next(n, room[:0])
			if !more {
				return nil
			}
			room = request
			due := begin.Add(time.Duration(float64(n) * interval))
			time.Sleep(time.Until(due))
			status, err := c.Do(request)
			if err != nil {
				return err
			}
			took = append(took, time.Since(due).Microseconds())
			seen[status]++
		}
	})
	return result, all, err
}
