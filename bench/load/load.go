// Package load sends HTTP/1.1 requests over keep-alive connections as cheaply
// as it can: on a machine that it shares with the server, its own cost counts.
package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// answerMax bounds a response's head line and body, in bytes.
const answerMax = 64 << 10

// Conn is one keep-alive connection.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a host and port.
func Dial(address string) (*Conn, error) {
	conn, err := net.Dial("tcp", address) //nolint:noctx // bounded by the kernel, on loopback
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, in: bufio.NewReaderSize(conn, answerMax)}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends one whole request and reads its response, whose body it drops. It
// returns the status.
func (c *Conn) Do(request []byte) (int, error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("not a status line: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("not a status line: %q", line)
	}
	length := 0
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, c.in, int64(length))
	return status, err
}

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
// more requests or the time is over. next is called with a number that no two
// calls share, from 0.
func Closed(address string, conns int, most time.Duration, next func(n int64, into []byte) ([]byte, bool)) (Result, error) {
	result := Result{Status: map[int]int64{}}
	var mu sync.Mutex
	var sent atomic.Int64
	var failures []error
	var crowd sync.WaitGroup
	begin := time.Now()
	for range conns {
		crowd.Go(func() {
			seen, err := drive(address, begin.Add(most), func(into []byte) ([]byte, bool) { return next(sent.Add(1)-1, into) })
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
	crowd.Wait()
	result.Elapsed = time.Since(begin)
	if len(failures) == conns {
		return result, errors.Join(failures...)
	}
	return result, nil
}

func drive(address string, end time.Time, next func([]byte) ([]byte, bool)) (map[int]int64, error) {
	seen := map[int]int64{}
	c, err := Dial(address)
	if err != nil {
		return seen, err
	}
	defer c.Close() //nolint:errcheck // nothing to lose
	var request []byte
	for time.Now().Before(end) {
		var more bool
		if request, more = next(request[:0]); !more {
			break
		}
		status, err := c.Do(request)
		if err != nil {
			return seen, err
		}
		seen[status]++
	}
	return seen, nil
}
