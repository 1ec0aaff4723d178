// Package fulfil is the shop's half of a sale: tickets become decisions in the
// ledger, buyers hear them, the stock settles.
package fulfil

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/pause"
	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// batchMax bounds one transaction: past it a commit's cost is spread thin
	// enough, and the first of the batch should not wait for the last.
	batchMax = 1024
	// retryMin and retryMax bound the pause after a ledger that could not
	// decide.
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
	// amendsMax bounds settling and acknowledging after the worker was told to
	// stop: what the ledger decided should reach the stock all the same.
	amendsMax = 2 * time.Second
)

// Worker decides tickets in batches. Several may run over one queue.
type Worker struct {
	Queue  queue.Queue
	Ledger ledger.Claims
	Stock  stock.Counter
	Board  *gate.Board
	// Decided tells the buyers who wait, and whoever else wants to know, once
	// the decisions are on disk.
	Decided func([]ledger.Decision)
	// Pause returns how long to gather tickets before the next batch, where others
	// keep the ledger busy. nil: nobody does.
	Pause func() time.Duration
	// Settled hears of the decisions once the stock has them: units of those
	// refused are free again. nil: nobody wants to know.
	Settled func([]ledger.Decision)
	Log     *slog.Logger

	poisoned atomic.Int64 // tickets refused because nobody could have asked for them

	receives, settles, acks outage.Watch

	once sync.Once
	turn chan struct{} // holds a token where nobody has the turn

	mu        sync.Mutex
	stuck     int                   // batches that wait for the ledger
	suspended bool                  // the board is, by this worker
	aside     map[shop.ClaimID]bool // tickets that cannot be decided
}

// Run decides whatever the queue brings until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	deliveries := make([]queue.Delivery, 0, batchMax)
	tickets := make([]shop.Ticket, 0, batchMax)
	for {
		handOn, ok := w.takeTurn(ctx)
		if !ok {
			return nil
		}
		if w.Pause != nil {
			pause.For(ctx, w.Pause())
		}
		var err error
		deliveries, err = w.Queue.Receive(ctx, batchMax, deliveries[:0])
		if !w.received(ctx, err) {
			handOn()
			pause.For(ctx, retryMin)
			continue
		}
		crash.At(crash.TicketRead)
		tickets = tickets[:0]
		for i := range deliveries {
			tickets = append(tickets, deliveries[i].Ticket)
		}
		if !w.fulfil(ctx, tickets, patience, handOn) {
			continue // not decided: the stock keeps the tickets, the sweeper comes back to them
		}
		w.ack(ctx, deliveries)
	}
}

// takeTurn waits until no other worker's batch is before the ledger, which
// takes one at a time: what comes meanwhile makes the next batch larger, and
// each order cheaper, than a second one in line would. handOn gives the turn
// up, once. It reports false when ctx has ended.
func (w *Worker) takeTurn(ctx context.Context) (handOn func(), ok bool) {
	w.once.Do(func() {
		w.turn = make(chan struct{}, 1)
		w.turn <- struct{}{}
	})
	select {
	case <-w.turn:
	case <-ctx.Done():
		return nil, false
	}
	handOn = sync.OnceFunc(func() { w.turn <- struct{}{} })
	if ctx.Err() != nil { // both were possible
		handOn()
		return nil, false
	}
	return handOn, true
}

// received reports whether the queue brought tickets, and logs where that has
// changed, unless the worker was just told to stop.
func (w *Worker) received(ctx context.Context, err error) bool {
	if err != nil && ctx.Err() != nil {
		return false
	}
	switch began, ended := w.receives.Note(err); {
	case began:
		w.Log.Error("tickets cannot be received; the stock keeps them", "error", err)
	case ended:
		w.Log.Info("tickets can be received again")
	}
	return err == nil
}

// fulfil decides tickets, tells their buyers and settles with the stock. It
// reports false where ctx ended before they were decided. What it had to put
// aside it reports as done: only the sweeper comes back to that. It calls
// handOn when the ledger has answered for the first time: who has to ask again
// keeps nobody waiting.
func (w *Worker) fulfil(ctx context.Context, tickets []shop.Ticket, triesMax int, handOn func()) bool {
	decisions, ok := w.decide(ctx, tickets, triesMax, handOn)
	if !ok {
		return false
	}
	w.alarm(decisions)
	w.Decided(decisions)
	crash.At(crash.BeforeSettle)
	w.settle(ctx, decisions)
	crash.At(crash.AfterSettle)
	if w.Settled != nil {
		w.Settled(decisions)
	}
	return true
}

// Poisoned returns how many tickets were refused because no desk writes such
// ones: more than none is an alarm.
func (w *Worker) Poisoned() int64 { return w.poisoned.Load() }

// alarm raises one alarm for all poison of a batch.
func (w *Worker) alarm(decisions []ledger.Decision) {
	var first *ledger.Decision
	count := 0
	for i := range decisions {
		if !decisions[i].Poison {
			continue
		}
		if count++; first == nil {
			first = &decisions[i]
		}
	}
	if first == nil {
		return
	}
	w.poisoned.Add(int64(count))
	w.Log.Error("tickets that nobody could have asked for were refused; who else writes to the stock or the broker?",
		"tickets", count, "bucket", first.Ticket.Bucket.String(), "first", first.Order.ID.String(),
		"sku", first.Order.SKU, "quantity", first.Order.Quantity)
}

// settle tells the stock what became of the tickets, bucket by bucket. What
// fails stays in the stock's outbox, for the sweeper.
func (w *Worker) settle(ctx context.Context, decisions []ledger.Decision) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), amendsMax)
	defer cancel()
	byBucket := map[shop.Bucket][]stock.Settlement{}
	for i := range decisions {
		d := &decisions[i]
		byBucket[d.Ticket.Bucket] = append(byBucket[d.Ticket.Bucket],
			stock.Settlement{Ticket: d.Ticket, Verdict: d.Verdict, Live: d.Live, Mark: d.Order.AsOf})
	}
	var unsettled blanks
	for bucket, settlements := range byBucket {
		if err := w.Stock.Settle(amends, bucket, settlements); err != nil {
			unsettled.add(bucket, err)
		}
	}
	if len(byBucket) == 0 {
		return // nothing was tried
	}
	switch began, ended := w.settles.Note(unsettled.err); {
	case began:
		w.Log.Warn("the stock cannot be told of decisions; the sweeper comes back to them",
			"buckets", unsettled.buckets, "first", unsettled.first.String(), "error", unsettled.err)
	case ended:
		w.Log.Info("the stock can be told of decisions again")
	}
}

func (w *Worker) ack(ctx context.Context, deliveries []queue.Delivery) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), amendsMax)
	defer cancel()
	err := w.Queue.Ack(amends, deliveries)
	switch began, ended := w.acks.Note(err); {
	case began:
		w.Log.Warn("tickets cannot be acknowledged; they come again", "tickets", len(deliveries), "error", err)
	case ended:
		w.Log.Info("tickets can be acknowledged again")
	}
	crash.At(crash.AfterAck)
}
