package fulfil_test

import (
	"context"
	"log/slog"
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

// The node that put a ticket aside need not be the one that sweeps. What became
// of the ticket it does not hear: the alarm is then of the node that sweeps.
func TestTheAlarmIsOfTheNodeThatSweeps(t *testing.T) {
	for name, c := range map[string]struct {
		leads bool
		want  int
	}{
		"another one sweeps": {false, 0},
		"it sweeps itself":   {true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &half{t: t, faulty: &faulty{}, queue: memory.NewQueue(time.Minute, time.Now), board: gate.NewBoard()}
				h.stock = memory.NewStock(time.Now, h.queue)
				h.faulty.fail(func([]shop.Ticket) error { return ledger.ErrUnsound })
				h.stocked(haunted, 1, stock.Grant{Number: 1, SKU: "a", Quantity: units})
				h.takeFrom(haunted, "haunt", "a")
				log := slog.New(slog.DiscardHandler)
				h.worker = &fulfil.Worker{Queue: h.queue, Ledger: h.faulty, Stock: h.stock, Board: h.board, Decided: func([]ledger.Decision) {}, Log: log}
				sweeper := &fulfil.Sweeper{
					Worker: h.worker, Stock: h.stock, Buckets: func() []shop.Bucket { return []shop.Bucket{haunted} },
					Now: time.Now, Leads: func() bool { return c.leads }, Log: log,
				}
				ctx, cancel := context.WithCancel(t.Context())
				var walkers sync.WaitGroup
				walkers.Go(func() { _ = h.worker.Run(ctx) })
				walkers.Go(func() { _ = sweeper.Run(ctx) })
				synctest.Wait()
				if got := h.worker.Aside(); got != 1 {
					t.Errorf("%d tickets are put aside, want the one that nobody can decide", got)
				}
				time.Sleep(11 * time.Second)
				synctest.Wait()
				if got := h.worker.Aside(); got != c.want {
					t.Errorf("after eleven seconds %d tickets are put aside, want %d", got, c.want)
				}
				cancel()
				walkers.Wait()
			})
		})
	}
}
