// Package load sends HTTP/1.1 requests over keep-alive connections as cheaply
// as it can: on a machine that it shares with the server, its own cost counts.
package load

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Source returns the request with that number, and false when there are no
// more. No two calls share a number; they count from 0. The bytes may be
// appended to room, or lie elsewhere; nobody changes them.
type Source func(n int64, room []byte) ([]byte, bool)

// Result is what a run saw.
type Result struct {
	Elapsed time.Duration
	Status  map[int]int64
	Errors  int64
}

// Requests returns how many requests were answered, of any status.
func (r Result) Requests() int64 {
	var sum int64
	for _, count := range r.Status {
		sum += count
	}
	return sum
}

// PerSecond returns the answered requests a second.
func (r Result) PerSecond() float64 { return float64(r.Requests()) / r.Elapsed.Seconds() }

// Closed drives conns connections as fast as they answer, until next has no
// more requests or the time is over. All are connected before the clock
// starts.
func Closed(address string, conns int, most time.Duration, next Source) (Result, error) {
	return Crowd{address, conns, most}.drive(next, func(c *Conn, a *Answer, request []byte) (err error) {
		a.Status, err = c.Do(request)
		return err
	})
}

// Lines is connections that stay open.
type Lines []*Conn

// Connect opens so many connections.
func Connect(address string, conns int) (Lines, error) {
	lines := make(Lines, 0, conns)
	for range conns {
		c, err := Dial(address)
		if err != nil {
			lines.Close()
			return nil, err
		}
		lines = append(lines, c)
	}
	return lines, nil
}

// Close ends the connections.
func (lines Lines) Close() {
	for _, c := range lines {
		_ = c.Close() // nothing to lose
	}
}

// crowd connects and drives.
func crowd(address string, conns int, run func(time.Time, *atomic.Int64, *Conn, map[int]int64) error) (Result, error) {
	lines, err := Connect(address, conns)
	if err != nil {
		return Result{}, err
	}
	defer lines.Close()
	return lines.drive(run)
}

// drive runs one function per connection, each in its own goroutine, and
// gathers what they saw. An error ends one connection only; it is an error of
// the run where none is left.
func (lines Lines) drive(run func(time.Time, *atomic.Int64, *Conn, map[int]int64) error) (Result, error) {
	result := Result{Status: map[int]int64{}}
	var mu sync.Mutex
	var sent atomic.Int64
	var failures []error
	var wait sync.WaitGroup
	begin := time.Now()
	for _, c := range lines {
		wait.Go(func() {
			seen := map[int]int64{}
			err := run(begin, &sent, c, seen)
			mu.Lock()
			defer mu.Unlock()
			for status, count := range seen {
				result.Status[status] += count
			}
			if err != nil {
				result.Errors++
				failures = append(failures, err)
			}
		})
	}
	wait.Wait()
	result.Elapsed = time.Since(begin)
	if len(failures) == len(lines) {
		return result, errors.Join(failures...)
	}
	return result, nil
}
