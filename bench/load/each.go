package load

import (
	"sync/atomic"
	"time"
)

// Answer is what came to one request.
type Answer struct {
	Number int64 // of the request, as its Source counts
	Status int
	Body   []byte        // until the listener returns
	After  time.Duration // since the first request
}

// Crowd is over how many connections somebody comes, whither, and for how long
// at most.
type Crowd struct {
	Address string
	Conns   int
	Most    time.Duration
}

// Each drives the connections as Closed does, and tells hear of every answer,
// from all of them at once.
func (w Crowd) Each(next Source, hear func(*Answer)) (Result, error) {
	begin := time.Now() // a little early: connecting takes a millisecond
	return w.drive(next, func(c *Conn, a *Answer, request []byte) (err error) {
		if a.Status, a.Body, err = c.Hear(request); err != nil {
			return err
		}
		a.After = time.Since(begin)
		hear(a)
		return nil
	})
}

// drive lets every connection ask again and again.
func (w Crowd) drive(next Source, ask func(*Conn, *Answer, []byte) error) (Result, error) {
	return crowd(w.Address, w.Conns, func(begin time.Time, sent *atomic.Int64, c *Conn, seen map[int]int64) error {
		end := begin.Add(w.Most)
		var room []byte
		var a Answer
		for time.Now().Before(end) {
			a.Number = sent.Add(1) - 1
			request, more := next(a.Number, room[:0])
			if !more {
				return nil
			}
			room = request
			if err := ask(c, &a, request); err != nil {
				return err
			}
			seen[a.Status]++
		}
		return nil
	})
}
