package web

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// Times that a connection may take.
const (
	readMax  = 5 * time.Second  // for a whole request, from its first byte
	idleMax  = 30 * time.Second // between two requests
	writeMax = 10 * time.Second // for an answer, from its first byte: waiting for a decision does not count
	// coarse is how far an armed deadline may be off before it is armed anew:
	// doing so for each request would cost more than the limits do.
	coarse = time.Second
	// After a refusal in mid-request the client may still be sending. What it
	// sends is thrown away for so long, else a reset would take the answer
	// from it before it reads it.
	lingerMax      = 500 * time.Millisecond
	lingerMaxBytes = 256 << 10
)

// errFaulty ends a connection whose framing is broken.
var errFaulty = errors.New("web: the request's framing is broken")

// conn is a buyer's connection. It watches how requests are framed, before the
// server parses them, and how long they take.
type conn struct {
	net.Conn
	peer  netip.Addr
	clock func() time.Time
	hall  *hall
	leave func() // gives the place in the hall back

	frame     framer
	fault     fault
	admitted  bool       // the request under way has paid its address's limit, and
	client    netip.Addr // comes from there
	who       gate.Identity
	denied    error     // why that buyer may not order now; nil: not asked yet
	known     bool      // whether the server was given a first request
	readBy    time.Time // the deadlines that are armed
	writeBy   time.Time
	lingering atomic.Bool
	left      atomic.Bool
}

// Read brings the server what it can read in one way only, and what is not
// answered by a script. A request that could be read in two ways is cut off
// after one byte, which makes the server answer it.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.fault != sound {
			return 0, errFaulty
		}
		wasIdle := c.frame.idle()
		n, err := c.read(p, wasIdle)
		if n == 0 {
			return 0, err
		}
		if wasIdle && c.known {
			took, err := c.answer(p[:n])
			if err != nil {
				return 0, err
			}
			if n = copy(p, p[took:n]); n == 0 {
				continue
			}
		}
		c.known = true // from the second request on, the server has seen the connection
		return c.follow(p[:n], wasIdle)
	}
}

// read waits for bytes, as long as a client may take.
func (c *conn) read(p []byte, wasIdle bool) (int, error) {
	if wasIdle {
		if err := c.armIdle(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if n == 0 && wasIdle && errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF // an answer to nobody would be taken for that of a request on its way
	}
	if n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// forget drops what was found out about one request: a proxy sends the requests
// of many over one connection.
func (c *conn) forget() { c.admitted, c.denied = false, nil }

// answer says what is scripted to the requests at the front of p, and returns
// how many bytes they took.
func (c *conn) answer(p []byte) (int, error) {
	room := c.hall.room.Get().(*[]byte)
	defer c.hall.room.Put(room)
	took, answers := c.hall.quick(c, p, (*room)[:0])
	*room = answers
	if took == 0 {
		return 0, nil
	}
	_, err := c.Write(answers)
	return took, err
}

// follow lets the server have p, as far as it is sound.
func (c *conn) follow(p []byte, wasIdle bool) (int, error) {
	sane, no := c.frame.follow(p)
	if no != sound {
		c.fault = no
		p[sane] = '!' // begins no request
		return sane + 1, nil
	}
	if wasIdle && !c.frame.idle() {
		c.readBy = c.clock().Add(readMax)
		return len(p), c.SetReadDeadline(c.readBy)
	}
	return len(p), nil
}

// armIdle limits the wait for the next request; the first one has to come
// sooner.
func (c *conn) armIdle() error {
	limit := idleMax
	if !c.known {
		limit = readMax
	}
	by := c.clock().Add(limit)
	if off := by.Sub(c.readBy); off < coarse && off > -coarse {
		return nil
	}
	c.readBy = by
	return c.SetReadDeadline(by)
}

// Write sends a part of an answer.
func (c *conn) Write(p []byte) (int, error) {
	if by := c.clock().Add(writeMax); by.Sub(c.writeBy) >= coarse {
		c.writeBy = by
		if err := c.SetWriteDeadline(by); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// linger makes Close wait until the client has read its answer.
func (c *conn) linger() { c.lingering.Store(true) }

// Close gives the place up. Others than the connection's own goroutine call it
// when the server drains.
func (c *conn) Close() error {
	if c.left.Swap(true) {
		return nil
	}
	defer c.leave()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.lingering.Load() && half.CloseWrite() == nil {
		_ = c.SetReadDeadline(c.clock().Add(lingerMax))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, lingerMaxBytes))
	}
	return c.Conn.Close()
}
