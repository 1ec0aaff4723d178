// Package queue carries tickets from the stock to the ledger, at least once.
// It is only a hint: the stock's undecided tickets are the outbox.
package queue

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Delivery is a ticket on its way, with what the queue needs to forget it.
type Delivery struct {
	Ticket shop.Ticket
	Tag    uint64 // the machine's own mark; meaningless elsewhere
}

// Queue is the worker's end.
type Queue interface {
	// Receive waits until at least one ticket is there and returns up to limit
	// of them: whatever waits now, no timer. Deliveries are appended to into.
	// A ticket that is not acknowledged within the machine's redelivery time
	// comes again, perhaps to another worker. When ctx ends it returns ctx's
	// error. A limit below 1 is an error.
	Receive(ctx context.Context, limit int, into []Delivery) ([]Delivery, error)

	// Ack forgets deliveries. Forgetting twice, or too late, changes nothing.
	Ack(ctx context.Context, deliveries []Delivery) error

	// Depth returns how many tickets wait or are unacknowledged.
	Depth(ctx context.Context) (int, error)
}

// Publisher is the end that stock machines and the relay write to.
type Publisher interface {
	// Publish appends tickets. An error means that none, some or all of them
	// are in the queue: publish again, the ledger judges.
	Publish(ctx context.Context, tickets []shop.Ticket) error
}
