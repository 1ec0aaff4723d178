package rabbitmq

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// windowMax bounds the unconfirmed messages of a link: past it the broker's
	// disk is as busy as it gets.
	windowMax = 1024
	// bodyMax bounds a message's bytes by about one frame. A single ticket may
	// be larger.
	bodyMax = 100 << 10
	// ticketMax is what a ticket takes beside its texts, at most.
	ticketMax = 110
)

// sender is what a publisher's link has beside the connection.
type sender struct {
	window  chan struct{} // holds a token for each unconfirmed message
	turn    chan struct{} // holds one for whoever writes
	prefix  string        // of message ids
	sent    uint64
	returns chan amqp.Return // has room for all that is unconfirmed
	back    map[string]bool  // ids of returned messages
}

func (b *Broker) preparePublisher(k *link) error {
	if err := b.names.declare(k.channel); err != nil {
		return err
	}
	k.sender = sender{
		window: make(chan struct{}, windowMax), turn: make(chan struct{}, 1), prefix: rand.Text() + "-",
		returns: k.channel.NotifyReturn(make(chan amqp.Return, windowMax)), back: map[string]bool{},
	}
	if err := k.channel.Confirm(false); err != nil {
		return fmt.Errorf("confirm mode: %w", err)
	}
	return nil
}

// servePublisher watches the link until it is no good.
func (b *Broker) servePublisher(ctx context.Context, k *link) error {
	for {
		select {
		case <-ctx.Done():
			return errClosed
		case <-k.down:
			return k.cause()
		case err := <-k.connectionClosed:
			return closedBy("connection", err)
		case err := <-k.channelClosed:
			return closedBy("channel", err)
		case state := <-k.blocks:
			if !state.Active { // nobody knows what became of what was written before
				return errUnblocked
			}
			if !k.isBlocked() {
				close(k.blocked)
				b.options.Log.Error("RabbitMQ takes no messages", "name", b.options.Name, "reason", state.Reason)
			}
		}
	}
}

// Publish implements queue.Publisher. It returns nil when the broker has every
// ticket on disk, in a queue. It waits no longer than ConfirmMax, and not at
// all for a broker that said that it takes nothing.
func (b *Broker) Publish(ctx context.Context, tickets []shop.Ticket) error {
	if len(tickets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.options.ConfirmMax, errLate)
	defer cancel()
	k, err := b.publish.wait(ctx)
	if err == nil {
		err = b.publishOn(ctx, k, tickets)
	}
	if err != nil {
		return fmt.Errorf("publish %d tickets to RabbitMQ: %w", len(tickets), err)
	}
	return nil
}

func (b *Broker) publishOn(ctx context.Context, k *link, tickets []shop.Ticket) error {
	// The library's writes know no context: they end with the link.
	stop := context.AfterFunc(ctx, func() { k.fail(context.Cause(ctx)) })
	defer stop()
	f := flight{link: k, key: b.names.tickets}
	var body []byte
	var err error
	for len(tickets) > 0 && err == nil {
		count := fit(tickets, b.options.TicketsMax)
		body = queue.Pack(body[:0], tickets[:count])
		b.size.add(count)
		tickets = tickets[count:]
		err = f.send(ctx, body)
	}
	for len(f.messages) > 0 && err == nil {
		err = f.land(ctx)
	}
	if err != nil && !k.isBlocked() {
		k.fail(err) // what became of the others is in doubt
	}
	return err
}

// fit returns how many of the tickets make one message.
func fit(tickets []shop.Ticket, most int) int {
	bytes := 0
	for i := range tickets {
		t := &tickets[i]
		bytes += ticketMax + len(t.Buyer) + len(t.SKU) + len(t.Bucket.Sale)
		if i == most || (bytes > bodyMax && i > 0) {
			return i
		}
	}
	return len(tickets)
}

// flight is the messages of one call that are not confirmed yet.
type flight struct {
	link     *link
	key      string
	messages []message
}

type message struct {
	id      string
	confirm *amqp.DeferredConfirmation
}

// send writes a message once the window has room.
func (f *flight) send(ctx context.Context, body []byte) error {
	for !f.board() {
		// Whoever holds room must not wait for that of others.
		if len(f.messages) > 0 {
			if err := f.land(ctx); err != nil {
				return err
			}
			continue
		}
		if err := f.acquire(ctx, f.link.window); err != nil {
			return err
		}
		break
	}
	if err := f.acquire(ctx, f.link.turn); err != nil {
		return err
	}
	defer func() { <-f.link.turn }()
	f.link.sent++
	id := f.link.prefix + strconv.FormatUint(f.link.sent, 36)
	confirm, err := f.link.channel.PublishWithDeferredConfirm(f.key, f.key, true, false, amqp.Publishing{
		MessageId: id, DeliveryMode: amqp.Persistent, Body: body,
	})
	if err != nil {
		return f.link.causeOf(err)
	}
	f.messages = append(f.messages, message{id: id, confirm: confirm})
	return nil
}

// board takes room in the window if there is some.
func (f *flight) board() bool {
	select {
	case f.link.window <- struct{}{}:
		return true
	default:
		return false
	}
}

// acquire takes room, once there is some.
func (f *flight) acquire(ctx context.Context, room chan<- struct{}) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-f.link.blocked:
		return errBlocked
	case <-f.link.down:
		return f.link.cause()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// land waits for the confirm of the oldest message.
func (f *flight) land(ctx context.Context) error {
	oldest := f.messages[0]
	select {
	case <-oldest.confirm.Done():
	case <-f.link.blocked:
		return errBlocked
	case <-f.link.down:
		return f.link.cause()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f.link.returned(oldest.id) {
		return errUnroutable
	}
	if !oldest.confirm.Acked() {
		if f.link.channel.IsClosed() {
			return errLost
		}
		return errNacked
	}
	f.messages = f.messages[1:]
	<-f.link.window
	f.link.useful.Store(true)
	return nil
}

// returned reports whether the message came back. The broker returns a message
// before it confirms it, and the library keeps that order; since returns has
// room, it never has to drop one.
func (k *link) returned(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		select {
		case came, ok := <-k.returns:
			if ok {
				k.back[came.MessageId] = true
				continue
			}
		default:
		}
		return k.back[id]
	}
}
