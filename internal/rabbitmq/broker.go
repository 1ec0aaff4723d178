// Package rabbitmq carries tickets through a RabbitMQ broker: a durable quorum
// queue, written with confirms and read with acknowledgements.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/doorbuster/doorbuster/internal/queue"
)

// Options of Open. Zero values stand for the defaults.
type Options struct {
	URL  string // amqp:// or amqps://, with user, password and virtual host
	Name string // begins the names of queues and exchanges: several shops may share a broker; "doorbuster"
	Log  *slog.Logger

	// TicketsMax bounds the tickets of one message; 256. Past it a message
	// costs the broker no less per ticket.
	TicketsMax int
	// Prefetch bounds the messages that this node holds unacknowledged; 256.
	// Times TicketsMax it is what a node's receivers may hold, some 30 MB.
	Prefetch int
	// ConfirmMax is how long a call may wait for the broker; 5 s. Past it the
	// link is taken to be dead.
	ConfirmMax time.Duration
	// Jitter returns a random number below n; nil: of math/rand/v2. It spreads
	// the nodes that come back after a broker's restart.
	Jitter func(n int64) int64
}

const (
	nameDefault       = "doorbuster"
	ticketsMaxDefault = 256
	prefetchDefault   = 256
	confirmMaxDefault = 5 * time.Second
)

// risks says what is unsafe about an address that leaves this machine.
func risks(address string) []string {
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return nil // Open says so
	}
	if ip := net.ParseIP(uri.Host); uri.Host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	var all []string
	if uri.Scheme != "amqps" {
		all = append(all, "RabbitMQ: the connection is not encrypted; use amqps://")
	}
	if uri.Username == "guest" {
		all = append(all, "RabbitMQ: the user is guest; give the shop a user and a virtual host of its own")
	}
	return all
}

func (o *Options) complete() error {
	if o.Name == "" {
		o.Name = nameDefault
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`).MatchString(o.Name) {
		return fmt.Errorf("rabbitmq: name %q; write 1 to 63 of A-Z, a-z, 0-9, _, . and -, beginning with a letter or digit", o.Name)
	}
	if _, err := amqp.ParseURI(o.URL); err != nil {
		if _, broken := errors.AsType[*url.Error](err); broken { // quotes the address, or a part of it that may be the password's
			err = errors.New("it is not amqp://user:password@host:port/vhost")
		}
		return fmt.Errorf("rabbitmq: address: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.TicketsMax <= 0 || o.TicketsMax > partsMax {
		o.TicketsMax = ticketsMaxDefault
	}
	if o.Prefetch <= 0 {
		o.Prefetch = prefetchDefault
	}
	if o.ConfirmMax <= 0 {
		o.ConfirmMax = confirmMaxDefault
	}
	if o.Jitter == nil {
		o.Jitter = rand.Int64N
	}
	return nil
}

// Broker is both ends of the tickets' queue. Each end has a connection of its
// own, for a broker that is short of memory stops reading from those that
// publish. Calls may come from any goroutine.
type Broker struct {
	options  Options
	names    names
	done     <-chan struct{} // closed by Close
	cancel   context.CancelFunc
	all      sync.WaitGroup
	publish  *line
	receive  *line
	inbox    *inbox
	poisoned atomic.Int64
	dead     atomic.Int64 // messages seen in the dead-letter queue
	size     average

	wanted   chan struct{} // closed at the first Receive or Depth
	wantOnce sync.Once
}

var errClosed = errors.New("rabbitmq: closed")

var (
	_ queue.Queue     = (*Broker)(nil)
	_ queue.Publisher = (*Broker)(nil)
)

// Open returns a broker that may be away: it is looked for until Close, again
// and again. What it holds for this node is fetched from the first Receive or
// Depth on.
func Open(ctx context.Context, options Options) (*Broker, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &Broker{options: options, names: namesOf(options.Name), done: ctx.Done(), cancel: cancel, inbox: newInbox()}
	b.publish = newLine(&b.options, "publisher", b.done)
	b.receive = newLine(&b.options, "consumer", b.done)
	b.wanted = make(chan struct{})
	b.all.Go(func() { b.publish.run(ctx, b.preparePublisher, b.servePublisher) })
	b.all.Go(func() {
		select { // who only publishes must not keep messages from others
		case <-b.wanted:
			b.receive.run(ctx, b.prepareConsumer, b.serveConsumer)
		case <-ctx.Done():
		}
	})
	return b, nil
}

// Close ends both connections. What is not acknowledged comes again, here or
// elsewhere. Calls that still wait fail; closing twice changes nothing.
func (b *Broker) Close() error {
	b.cancel()
	b.all.Wait()
	return nil
}

// Poisoned returns how many messages were no tickets, since Open. They lie in
// the dead-letter queue. More than none is an alarm.
func (b *Broker) Poisoned() int64 { return b.poisoned.Load() }

// Warnings says what is wrong with the broker at the moment, one sentence each.
func (b *Broker) Warnings() []string {
	all := risks(b.options.URL)
	for _, l := range []*line{b.publish, b.receive} {
		if err := l.trouble(); err != nil {
			all = append(all, fmt.Sprintf("RabbitMQ, %s: %s", l.end, err))
		}
	}
	if poisoned := b.poisoned.Load(); poisoned > 0 {
		all = append(all, fmt.Sprintf("RabbitMQ: %d messages were no tickets; see queue %s", poisoned, b.names.dead))
	}
	if dead := b.dead.Load(); dead > 0 {
		all = append(all, fmt.Sprintf("RabbitMQ: %d messages lie in queue %s", dead, b.names.dead))
	}
	return all
}
