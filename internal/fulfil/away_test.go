package fulfil_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// distant is a ledger of orders that are all good, which is not there for a
// while.
type distant struct {
	ledger.Claims
	back time.Time
}

var errRefused = errors.New("connection refused")

func (d *distant) Decide(_ context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	if time.Now().Before(d.back) {
		return nil, errRefused
	}
	decisions := make([]ledger.Decision, len(tickets))
	for i := range tickets {
		decisions[i] = ledger.Decision{Ticket: tickets[i], Verdict: shop.Consumed, Order: shop.Order{ID: tickets[i].Claim, Buyer: tickets[i].Buyer}}
	}
	return decisions, nil
}

func (d *distant) Order(context.Context, shop.ClaimID) (shop.Order, error) {
	if time.Now().Before(d.back) {
		return shop.Order{}, errRefused
	}
	return shop.Order{}, ledger.ErrNotFound
}

func TestSellingIsSuspendedForAsLongAsTheLedgerDoesNotAnswer(t *testing.T) {
	const away = 2 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		log := slog.New(slog.NewTextHandler(&text, nil))
		h := &half{t: t, queue: memory.NewQueue(30*time.Second, time.Now), board: gate.NewBoard(), decided: make(chan ledger.Decision, 10)}
		// Its ticket has waited for a while when the sweeper first looks.
		h.stock = memory.NewStock(func() time.Time { return time.Now().Add(-time.Minute) }, h.queue)
		h.stocked(bucket, 1, stock.Grant{Number: 1, SKU: "a", Quantity: units})
		h.worker = &fulfil.Worker{
			Queue: h.queue, Ledger: &distant{back: time.Now().Add(away)}, Stock: h.stock, Board: h.board, Log: log,
			Decided: func(decisions []ledger.Decision) {
				for _, d := range decisions {
					h.decided <- d
				}
			},
		}
		sweeper := &fulfil.Sweeper{
			Worker: h.worker, Stock: h.stock, Buckets: func() []shop.Bucket { return []shop.Bucket{bucket} }, Now: time.Now, Log: log,
		}
		h.take("ann", "a")
		ctx, cancel := context.WithCancel(t.Context())
		var walkers sync.WaitGroup
		for _, walker := range []interface{ Run(context.Context) error }{h.worker, h.worker, sweeper} {
			walkers.Go(func() { _ = walker.Run(ctx) })
		}
		for second := range int(away / time.Second) {
			synctest.Wait()
			if h.board.Suspended() == nil || h.worker.Aside() != 0 {
				t.Fatalf("after %d s: suspended: %v, %d tickets put aside; want selling suspended for want of a ledger, and no ticket blamed",
					second, h.board.Suspended() != nil, h.worker.Aside())
			}
			if since := sweeper.Oldest(); second > 3 && since.IsZero() {
				t.Fatalf("after %d s the figures show no ticket that waits", second)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if h.board.Suspended() != nil {
			t.Error("selling does not go on")
		}
		if d := <-h.decided; d.Order.Buyer != "ann" {
			t.Errorf("got a decision of %q, want ann's", d.Order.Buyer)
		}
		cancel()
		walkers.Wait()
		for line, want := range map[string]int{"selling stops until it can": 1, "selling goes on": 1, "tickets cannot be decided": 0} {
			if got := strings.Count(text.String(), line); got != want {
				t.Errorf("%d × %q in %s, want %d:\n%s", got, line, away, want, text.String())
			}
		}
	})
}
