package fulfil

import (
	"context"
	"log/slog"

	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// relayTries is how often a batch is put to a publisher that does not take it,
// so that a broker's restart costs no redelivery. Past it the tickets are left
// to the queue they came from: others may have them by then.
const relayTries = 3

// Relay carries tickets from the stock's own queue to a broker. What could not
// be published is not acknowledged and comes again; twice is once, since the
// ledger judges. Several may run over one queue.
type Relay struct {
	Queue     queue.Queue
	Publisher queue.Publisher
	Log       *slog.Logger

	acks outage.Watch
}

// Run carries whatever the queue brings until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	deliveries := make([]queue.Delivery, 0, batchMax)
	tickets := make([]shop.Ticket, 0, batchMax)
	wait := retryMin
	var carries outage.Watch
	for ctx.Err() == nil {
		var err error
		if deliveries, err = r.Queue.Receive(ctx, batchMax, deliveries[:0]); err == nil {
			tickets = tickets[:0]
			for i := range deliveries {
				tickets = append(tickets, deliveries[i].Ticket)
			}
			err = r.publish(ctx, tickets)
		}
		if err != nil && ctx.Err() != nil {
			continue // told to stop, not turned away
		}
		switch began, ended := carries.Note(err); {
		case began:
			r.Log.Error("tickets do not reach the broker; they wait in the stock", "tickets", len(tickets), "error", err)
		case ended:
			r.Log.Info("tickets reach the broker again")
		}
		if err != nil {
			pause.For(ctx, wait)
			wait = min(2*wait, retryMax)
			continue
		}
		wait = retryMin
		r.ack(ctx, deliveries)
	}
	return nil
}

// publish puts a batch to the publisher, a few times.
func (r *Relay) publish(ctx context.Context, tickets []shop.Ticket) error {
	wait := retryMin
	for tries := 1; ; tries++ {
		err := r.Publisher.Publish(ctx, tickets)
		if err == nil || tries == relayTries || ctx.Err() != nil {
			return err
		}
		pause.For(ctx, wait)
		wait = min(2*wait, retryMax)
	}
}

// ack forgets what the broker has, also when the relay was just told to stop.
func (r *Relay) ack(ctx context.Context, deliveries []queue.Delivery) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), amendsMax)
	defer cancel()
	err := r.Queue.Ack(amends, deliveries)
	switch began, ended := r.acks.Note(err); {
	case began:
		r.Log.Warn("relayed tickets cannot be acknowledged; they come again", "tickets", len(deliveries), "error", err)
	case ended:
		r.Log.Info("relayed tickets can be acknowledged again")
	}
}
