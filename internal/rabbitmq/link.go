package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// heartbeatEvery: after three without a sign of life the link is dead.
	heartbeatEvery = 2 * time.Second
	// connectMax bounds everything from the dial to the last declaration.
	connectMax = 10 * time.Second
	// writeMax bounds one write: a peer that reads nothing for so long is gone,
	// or has too little memory to be written to.
	writeMax = 3 * time.Second
	// closeMax bounds the good-bye.
	closeMax = 2 * time.Second
)

var (
	errLost        = errors.New("the connection was lost")
	errBlocked     = errors.New("the broker takes nothing: it is short of memory or disk")
	errUnblocked   = errors.New("the broker takes messages again")
	errLate        = errors.New("RabbitMQ did not answer in time")
	errUnroutable  = errors.New("no queue is bound for it")
	errNacked      = errors.New("the broker refused it")
	errQueueGone   = errors.New("the broker ended the consumer: its queue is gone")
	errUnreachable = errors.New("not connected yet")
)

// link is one connection with its only channel, from the dial to its end.
// Whatever is doubtful ends it: the next one begins with a clean slate.
type link struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	down    chan struct{} // closed when it is no good any more
	blocked chan struct{} // closed when the broker takes no messages
	useful  atomic.Bool   // something went through

	connectionClosed, channelClosed chan *amqp.Error
	blocks                          chan amqp.Blocking

	mu  sync.Mutex
	raw net.Conn
	why error // of the end

	sender // of a publisher's
	source // of a consumer's
}

func newLink() *link {
	return &link{down: make(chan struct{}), blocked: make(chan struct{})}
}

// connect dials and shakes hands. It ends with ctx.
func (k *link) connect(ctx context.Context, address, name string) error {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	conn, err := amqp.DialConfig(address, amqp.Config{
		Heartbeat: heartbeatEvery, Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return k.guard(raw)
		},
	})
	if err != nil {
		return err
	}
	k.conn = conn
	k.connectionClosed = conn.NotifyClose(make(chan *amqp.Error, 1))
	k.blocks = conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	if k.channel, err = conn.Channel(); err != nil {
		return err
	}
	k.channelClosed = k.channel.NotifyClose(make(chan *amqp.Error, 1))
	return nil
}

// guard keeps the connection at hand, so that it can be ended whatever the
// library waits for.
func (k *link) guard(raw net.Conn) (net.Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.why != nil { // it was ended while it was dialed
		return nil, errors.Join(k.why, raw.Close())
	}
	k.raw = raw
	g := &guarded{Conn: raw, late: time.AfterFunc(writeMax, func() { k.fail(errLate) })}
	g.late.Stop()
	return g, nil
}

// guarded ends a connection whose peer does not read. The library writes one
// frame at a time and never sets a deadline.
type guarded struct {
	net.Conn
	late *time.Timer
}

func (g *guarded) Write(piece []byte) (int, error) {
	g.late.Reset(writeMax)
	defer g.late.Stop()
	return g.Conn.Write(piece)
}

// fail ends the link at once. The first reason is kept.
func (k *link) fail(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.why != nil {
		return
	}
	k.why = why
	close(k.down)
	if k.raw != nil {
		_ = k.raw.Close() // the reader notices
	}
}

// end ends the link and waits until the library has noticed.
func (k *link) end(why error) {
	k.fail(why)
	if k.conn == nil {
		return
	}
	for range k.connectionClosed { // until it is closed
		continue
	}
}

// leave says good-bye, so that the broker has read everything before.
func (k *link) leave(ctx context.Context) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeMax)
	defer cancel()
	stop := context.AfterFunc(amends, func() { k.fail(errLate) })
	defer stop()
	_ = k.conn.Close() // lost or closed, it is over
	k.end(errClosed)
}

// cause says why the link ended.
func (k *link) cause() error { return k.causeOf(errLost) }

// causeOf prefers the reason of the link's end to what came of it.
func (k *link) causeOf(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.why != nil {
		return k.why
	}
	return err
}

func (k *link) isBlocked() bool {
	select {
	case <-k.blocked:
		return true
	default:
		return false
	}
}

// closedBy makes an error of what the library says when a connection or
// channel ends.
func closedBy(what string, err *amqp.Error) error {
	if err == nil {
		return errLost
	}
	return fmt.Errorf("%s: %w", what, err)
}
