package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/queue"
)

// source is what a consumer's link has beside the connection.
type source struct {
	deliveries <-chan amqp.Delivery
	rpc        chan struct{} // holds a token for the one call that waits for its answer
}

func (b *Broker) prepareConsumer(k *link) (err error) {
	if err := b.names.declare(k.channel); err != nil {
		return err
	}
	if err := b.lookAtDead(k); err != nil {
		return err
	}
	if err := k.channel.Qos(b.options.Prefetch, 0, false); err != nil {
		return fmt.Errorf("prefetch: %w", err)
	}
	k.rpc = make(chan struct{}, 1)
	if k.deliveries, err = k.channel.Consume(b.names.tickets, "", false, false, false, false, nil); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

// serveConsumer fills the inbox until the link is no good.
func (b *Broker) serveConsumer(ctx context.Context, k *link) error {
	defer b.inbox.clear()
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
		case delivery, ok := <-k.deliveries:
			if !ok {
				return errQueueGone
			}
			k.useful.Store(true)
			if err := b.accept(k, &delivery); err != nil {
				return err
			}
		}
	}
}

// accept puts a message into the inbox. One that is no tickets goes to the
// dead-letter queue by way of the broker, which keeps it until it lies there.
func (b *Broker) accept(k *link, delivery *amqp.Delivery) error {
	tickets, err := queue.Unpack(delivery.Body, nil)
	if err == nil && (len(tickets) == 0 || len(tickets) > partsMax) {
		err = fmt.Errorf("%w: %d in one message", queue.ErrPoison, len(tickets))
	}
	if err != nil {
		b.poisoned.Add(1)
		b.options.Log.Error("a message is no tickets and goes to the dead-letter queue",
			"queue", b.names.dead, "message", delivery.MessageId, "bytes", len(delivery.Body), "error", err)
		return k.channel.Reject(delivery.DeliveryTag, false)
	}
	b.size.add(len(tickets))
	b.inbox.put(&parcel{
		link: k, tag: delivery.DeliveryTag, id: delivery.MessageId, again: delivery.Redelivered,
		tickets: tickets, left: len(tickets),
	})
	return nil
}

// Receive implements queue.Queue. While the broker is away it waits.
func (b *Broker) Receive(ctx context.Context, limit int, into []queue.Delivery) ([]queue.Delivery, error) {
	if limit < 1 {
		return into, fmt.Errorf("rabbitmq: cannot receive %d tickets; ask for 1 or more", limit)
	}
	b.want()
	patient := true
	for {
		if err := ctx.Err(); err != nil {
			b.inbox.rouse() // the call that ended the wait may be another's to answer
			return into, err
		}
		got, seen := b.inbox.take(limit, patient, into)
		if len(got) > len(into) {
			return got, nil
		}
		var err error
		if patient, err = b.idle(ctx, seen); err != nil {
			return into, err
		}
	}
}

// quietFor is how long tickets that were handed out before wait for others to
// come: after a lost connection they would always be the first.
const quietFor = 20 * time.Millisecond

// idle waits to be woken; not for long where there are tickets, all of them
// seen before. It reports whether to go on waiting for others.
func (b *Broker) idle(ctx context.Context, seen bool) (bool, error) {
	var quiet <-chan time.Time
	if seen {
		timer := time.NewTimer(quietFor)
		defer timer.Stop()
		quiet = timer.C
	}
	select {
	case <-b.inbox.wake:
		return true, nil
	case <-quiet:
		return false, nil
	case <-b.done:
		return false, errClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (b *Broker) want() { b.wantOnce.Do(func() { close(b.wanted) }) }

// Ack implements queue.Queue. The broker forgets a message when all its
// tickets are acknowledged.
func (b *Broker) Ack(_ context.Context, deliveries []queue.Delivery) error {
	b.inbox.acking.Lock()
	defer b.inbox.acking.Unlock()
	k, all, rest := b.inbox.ack(deliveries)
	if k == nil {
		return nil
	}
	var err error
	if all > 0 {
		err = k.channel.Ack(all, true)
	}
	for _, tag := range rest {
		err = errors.Join(err, k.channel.Ack(tag, false))
	}
	if err != nil {
		k.fail(err)
		return fmt.Errorf("acknowledge %d tickets: %w", len(deliveries), err)
	}
	return nil
}

// settleRounds bounds how often Depth looks until nothing is on its way, and
// settleRest is between two looks, for what the library has read and not
// handed over yet.
const (
	settleRounds = 10
	settleRest   = 4 * time.Millisecond
)

// Depth implements queue.Queue. It is exact for what this node holds. What
// waits in the broker it can only count in messages, and takes as many tickets
// for each as were in one on average; what other nodes hold it does not see.
func (b *Broker) Depth(ctx context.Context) (int, error) {
	b.want()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// Not by the caller's ctx: a call that is given up takes the link with it,
	// and with the link what every receiver holds.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), b.options.ConfirmMax, errLate)
	defer cancel()
	k, err := b.receive.wait(ctx)
	if err != nil {
		return 0, fmt.Errorf("depth: %w", err)
	}
	select {
	case k.rpc <- struct{}{}:
		defer func() { <-k.rpc }()
	case <-k.down:
		return 0, fmt.Errorf("depth: %w", k.cause())
	case <-ctx.Done():
		return 0, fmt.Errorf("depth: %w", context.Cause(ctx))
	}
	stop := context.AfterFunc(ctx, func() { k.fail(context.Cause(ctx)) })
	defer stop()
	return b.count(ctx, k)
}

// count looks until the same messages wait and none came in between: one that
// is on its way here is in neither place.
func (b *Broker) count(ctx context.Context, k *link) (int, error) {
	ready, came, same := -1, -1, 0
	held := 0
	for range settleRounds {
		now, err := waiting(k, b.names.tickets)
		if err != nil {
			return 0, fmt.Errorf("depth: %w", err)
		}
		tickets, messages := b.inbox.holds()
		if now == ready && messages == came {
			same++
		} else {
			same = 0
		}
		ready, came, held = now, messages, tickets
		if same == 2 {
			break
		}
		pause.For(ctx, settleRest)
	}
	if err := b.lookAtDead(k); err != nil {
		return 0, fmt.Errorf("depth: %w", err)
	}
	return held + b.size.of(ready), nil
}

// waiting returns how many messages of a queue nobody has.
func waiting(k *link, name string) (int, error) {
	q, err := k.channel.QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		return 0, fmt.Errorf("inspect queue %s: %w", name, err)
	}
	return q.Messages, nil
}

// lookAtDead notes how many messages lie in the dead-letter queue, and raises
// the alarm when they became more.
func (b *Broker) lookAtDead(k *link) error {
	messages, err := waiting(k, b.names.dead)
	if err != nil {
		return err
	}
	if before := b.dead.Swap(int64(messages)); int64(messages) > before {
		b.options.Log.Error("messages lie in the dead-letter queue", "queue", b.names.dead, "messages", messages)
	}
	return nil
}
