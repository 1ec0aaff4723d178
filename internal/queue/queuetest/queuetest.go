// Package queuetest is what every queue must do, be it a list in memory, a
// Redis stream or a broker. A backend runs the whole suite, unchanged:
//
//	func TestQueue(t *testing.T) { queuetest.Run(t, openStream) }
//
// It asks for no more than each of them can promise: at least once, and the
// order of one publisher's tickets for one receiver at their first delivery.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Machine is a backend under test: an empty queue and who writes to it.
type Machine struct {
	Queue     queue.Queue
	Publisher queue.Publisher

	// Redeliver makes what is not acknowledged come again: it lets the
	// redelivery time pass, or breaks the consumer's connection.
	Redeliver func()
}

// Run runs the suite. Each case opens a machine of its own.
func Run(t *testing.T, open func(t *testing.T) Machine) {
	for _, c := range []struct {
		name string
		run  func(b *bench)
	}{
		{"a ticket comes with its whole body", wholeBody},
		{"one receiver gets tickets in the order of publication", inOrder},
		{"receive returns what waits up to the limit", upToLimit},
		{"deliveries are appended", appended},
		{"receive waits for a ticket", waits},
		{"receive ends with its context", endsWithContext},
		{"a limit below 1 is an error", badLimit},
		{"what is not acknowledged comes again", comesAgain},
		{"what comes again does not stand before others for ever", othersComeToo},
		{"what is acknowledged does not come again", acknowledged},
		{"acknowledging twice changes nothing", ackTwice},
		{"acknowledging too late changes nothing", ackLate},
		{"a ticket published twice comes twice", publishedTwice},
		{"a large publication comes whole, acknowledged in any order", large},
		{"depth counts what waits and what is unacknowledged", depth},
		{"several receivers share the tickets", shared},
		{"publishing and acknowledging nothing does nothing", nothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&bench{T: t, Machine: open(t)}) })
	}
}

type bench struct {
	*testing.T
	Machine
}

// ticket returns the n-th ticket of the suite.
func ticket(n int) shop.Ticket {
	t := shop.Ticket{
		Bucket: shop.Bucket{Sale: "suite", Number: 3}, Epoch: 2, Seq: int64(n), Nonce: uint64(n) << 40,
		Buyer: fmt.Sprint("buyer-", n), SKU: "eu-42", Quantity: 1,
	}
	copy(t.Claim[:], t.Buyer)
	return t
}

func tickets(from, to int) []shop.Ticket {
	var all []shop.Ticket
	for n := from; n < to; n++ {
		all = append(all, ticket(n))
	}
	return all
}

func (b *bench) publish(tickets ...shop.Ticket) {
	b.Helper()
	if err := b.Publisher.Publish(b.Context(), tickets); err != nil {
		b.Fatalf("publish: %v", err)
	}
}

// patience is how long a case waits for a ticket that must come. Only a
// queue that fails makes use of it.
const patience = 10 * time.Second

// tryReceive is Receive with patience.
func (b *bench) tryReceive(limit int, into []queue.Delivery) ([]queue.Delivery, error) {
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	return b.Queue.Receive(ctx, limit, into)
}

func (b *bench) receive(limit int) []queue.Delivery {
	b.Helper()
	got, err := b.tryReceive(limit, nil)
	if err != nil {
		b.Fatalf("receive: %v", err)
	}
	if len(got) < 1 || len(got) > limit {
		b.Fatalf("%d deliveries at a limit of %d", len(got), limit)
	}
	return got
}

// receiveAll receives until it has so many.
func (b *bench) receiveAll(count int) []queue.Delivery {
	b.Helper()
	var all []queue.Delivery
	for len(all) < count {
		all = append(all, b.receive(count-len(all))...)
	}
	return all
}

func (b *bench) ack(deliveries ...queue.Delivery) {
	b.Helper()
	if err := b.Queue.Ack(b.Context(), deliveries); err != nil {
		b.Fatalf("ack: %v", err)
	}
}

func seqs(deliveries []queue.Delivery) []int64 {
	var all []int64
	for _, delivery := range deliveries {
		all = append(all, delivery.Ticket.Seq)
	}
	return all
}

func (b *bench) wantSeqs(got []queue.Delivery, want ...int64) {
	b.Helper()
	if diff := cmp.Diff(want, seqs(got)); diff != "" {
		b.Fatalf("tickets by seq (-want +got):\n%s", diff)
	}
}

// wantSet does not look at the order.
func (b *bench) wantSet(got []queue.Delivery, want ...int64) {
	b.Helper()
	sorted := seqs(got)
	slices.Sort(sorted)
	if diff := cmp.Diff(want, sorted); diff != "" {
		b.Fatalf("tickets by seq (-want +got):\n%s", diff)
	}
}

func (b *bench) wantDepth(want int) {
	b.Helper()
	got, err := b.Queue.Depth(b.Context())
	if err != nil {
		b.Fatalf("depth: %v", err)
	}
	if got != want {
		b.Fatalf("depth is %d, want %d", got, want)
	}
}

func wholeBody(b *bench) {
	want := shop.Ticket{
		Claim: shop.ClaimID{0, 1, 254, 255, 15: 7}, Bucket: shop.Bucket{Sale: "retro-85", Number: 63},
		Epoch: 1 << 40, Seq: 1 << 50, Nonce: 1<<64 - 1, KeyPrint: 1<<63 + 1, Buyer: "Zoë – 顾客 \"=,;:\n",
		SKU: "eu-42.5_x", Quantity: 1000, At: time.Date(2026, 12, 1, 10, 0, 0, 123_000_000, time.UTC),
	}
	b.publish(want)
	if diff := cmp.Diff(want, b.receive(1)[0].Ticket); diff != "" {
		b.Errorf("ticket (-published +received):\n%s", diff)
	}
}

func inOrder(b *bench) {
	b.publish(tickets(1, 4)...)
	b.publish(tickets(4, 6)...)
	b.wantSeqs(b.receiveAll(5), 1, 2, 3, 4, 5)
}

func upToLimit(b *bench) {
	b.publish(tickets(1, 8)...)
	first := b.receive(3)
	rest := b.receiveAll(7 - len(first))
	b.wantSeqs(append(first, rest...), 1, 2, 3, 4, 5, 6, 7)
	b.publish(ticket(8)) // fewer than the limit: no waiting for more
	b.wantSeqs(b.receive(100), 8)
}

func appended(b *bench) {
	b.publish(ticket(1))
	into := append(make([]queue.Delivery, 0, 4), queue.Delivery{Ticket: ticket(99)})
	got, err := b.tryReceive(1, into)
	if err != nil {
		b.Fatalf("receive: %v", err)
	}
	b.wantSeqs(got, 99, 1)
}

func waits(b *bench) {
	got := make(chan []queue.Delivery)
	go func() {
		deliveries, err := b.tryReceive(10, nil)
		if err != nil {
			b.Errorf("receive: %v", err)
		}
		got <- deliveries
	}()
	b.publish(ticket(1))
	b.wantSeqs(<-got, 1)
}

func endsWithContext(b *bench) {
	ctx, end := context.WithCancel(b.Context())
	ended := make(chan error)
	into := []queue.Delivery{{Ticket: ticket(99)}}
	go func() {
		got, err := b.Queue.Receive(ctx, 10, into)
		if len(got) != len(into) {
			b.Errorf("%d deliveries with an error, want the %d that were there", len(got), len(into))
		}
		ended <- err
	}()
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		b.Errorf("error is %v, want %v", err, context.Canceled)
	}
	if _, err := b.Queue.Receive(ctx, 10, nil); !errors.Is(err, context.Canceled) {
		b.Errorf("error is %v, want %v", err, context.Canceled)
	}
	b.publish(ticket(1)) // goes to who is still there
	b.wantSeqs(b.receive(10), 1)
}

func badLimit(b *bench) {
	b.publish(ticket(1))
	for _, limit := range []int{0, -1} {
		got, err := b.tryReceive(limit, nil)
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("%d deliveries at a limit of %d, error %v; want one at once", len(got), limit, err)
		}
	}
	b.wantSeqs(b.receive(1), 1)
}

func comesAgain(b *bench) {
	b.publish(tickets(1, 4)...)
	first := b.receiveAll(3)
	b.ack(first[1])
	for range 3 {
		b.Redeliver()
		b.wantSet(b.receiveAll(2), 1, 3)
	}
}

func othersComeToo(b *bench) {
	b.publish(ticket(1))
	b.receive(1)
	b.publish(ticket(2))
	for range 10 {
		b.Redeliver()
		if b.receive(1)[0].Ticket.Seq == 2 {
			return
		}
	}
	b.Errorf("a ticket that is never acknowledged came ten times before the next one")
}

func acknowledged(b *bench) {
	b.publish(tickets(1, 4)...)
	b.ack(b.receiveAll(3)...)
	b.wantDepth(0)
	b.Redeliver()
	b.publish(ticket(4))
	b.wantSeqs(b.receive(10), 4)
}

func ackTwice(b *bench) {
	b.publish(tickets(1, 3)...)
	got := b.receiveAll(2)
	b.ack(got[0], got[0])
	b.ack(got[0])
	b.wantDepth(1)
	b.Redeliver()
	b.wantSeqs(b.receive(10), 2)
}

// ackLate leaves open whether a late acknowledgement counts, only not what it
// does to others.
func ackLate(b *bench) {
	b.publish(tickets(1, 3)...)
	stale := b.receiveAll(2)
	b.ack(stale[1])
	b.Redeliver()
	again := b.receive(10)
	b.wantSeqs(again, 1)
	b.ack(again...)
	b.publish(tickets(3, 5)...)
	fresh := b.receiveAll(2)
	b.ack(stale...)
	b.wantDepth(2)
	b.Redeliver()
	b.wantSet(b.receiveAll(2), seqs(fresh)...)
}

func publishedTwice(b *bench) {
	b.publish(ticket(1), ticket(1))
	b.publish(ticket(1))
	got := b.receiveAll(3)
	b.wantSeqs(got, 1, 1, 1)
	b.ack(got[0]) // one delivery, not the ticket
	b.wantDepth(2)
	b.Redeliver()
	b.wantSeqs(b.receiveAll(2), 1, 1)
}
