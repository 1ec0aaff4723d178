package load

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/pause"
)

const (
	slowPause = time.Second // between two bytes of a slow connection
	// slowSpread is over how long the first ones come: else all would speak, be
	// closed and come again in the same moments.
	slowSpread = 4 * time.Second
)

// Slow counts connections that dawdle.
type Slow struct {
	Open   atomic.Int64
	Closed atomic.Int64 // by the server
}

// Keep holds so many connections that say text byte by byte, until ctx ends:
// whenever the server closes one, another takes its place. It returns where one
// finds no place.
func (s *Slow) Keep(ctx context.Context, address string, conns int, text []byte) error {
	var all sync.WaitGroup
	failures := make(chan error, conns)
	for i := range conns {
		all.Go(func() {
			pause.For(ctx, slowSpread*time.Duration(i)/time.Duration(conns))
			for ctx.Err() == nil {
				if err := s.dawdle(ctx, address, text); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	return <-failures // nil where there are none
}

// dawdle is one connection, until the server closes it or ctx ends.
func (s *Slow) dawdle(ctx context.Context, address string, text []byte) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing to lose
	s.Open.Add(1)
	defer s.Open.Add(-1)
	room := make([]byte, 1)
	for at := 0; ctx.Err() == nil; at++ {
		_, wrong := c.Write(text[at%len(text) : at%len(text)+1])
		_ = c.SetReadDeadline(time.Now().Add(slowPause))
		if _, err := c.Read(room); wrong != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			s.Closed.Add(1)
			return nil
		}
	}
	return nil
}
