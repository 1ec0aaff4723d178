// Package expiry gives back what was held too long.
package expiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Bounds of a pass.
const (
	passEvery  = time.Second     // units come back at most this long after their deadline
	batchMax   = 200             // orders of one transaction, each asked about before
	askTimeout = 2 * time.Second // for all questions of a batch: buyers wait for these units
	endTimeout = 5 * time.Second // for closing a batch's payment pages
	askers     = 16              // questions to the provider at once
)

// Expirer releases orders that were not paid in time, by the ledger's clock.
// It never touches the stock: units go to POOL, and the supplier brings them.
// Several at once are safe. Its fields are set once, before Run.
type Expirer struct {
	Holds    ledger.Holds
	Orders   ledger.Orders
	Provider payments.Provider // nil: none to ask
	Clock    *ledger.Clock

	// Leads reports whether this node is the one that releases; nil: it is.
	// Several at once are safe, one is cheaper.
	Leads func() bool

	// Released hears of the sales to which units came back, right after the
	// commit.
	Released func(sales []string)
	Log      *slog.Logger

	step   atomic.Int64 // nanoseconds by which the clock was set
	passes outage.Watch
}

// Step returns by how much somebody set the machine's clock, zero while it is
// believed: for readiness and metrics.
func (e *Expirer) Step() time.Duration { return time.Duration(e.step.Load()) }

// Paused reports whether nothing expires because the clock was set forward:
// which of the two times is right is not known, and buyers get the benefit of
// the doubt until the ledger's clock believes it. A clock set back pauses
// nothing: the ledger's own goes on, and deadlines come.
func (e *Expirer) Paused() bool { return e.Step() > 0 }

// Run releases what is overdue, every second until ctx ends.
func (e *Expirer) Run(ctx context.Context) error {
	ticker := time.NewTicker(passEvery)
	defer ticker.Stop()
	for {
		e.watchClock()
		if !e.Paused() && (e.Leads == nil || e.Leads()) {
			e.note(e.pass(ctx))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// watchClock alarms once when the clock is set, and once when it is believed
// again.
func (e *Expirer) watchClock() {
	before, now := e.Step(), e.Clock.Step()
	e.step.Store(int64(now))
	switch {
	case before == 0 && now != 0:
		e.Log.Error("expiry: the clock was set; a step forward holds expiry back until it is believed",
			slog.Duration("step", now), slog.Bool("paused", e.Paused()))
	case before != 0 && now == 0:
		e.Log.Info("expiry: the clock is believed again")
	}
}

// note logs a failure once, not at each pass.
func (e *Expirer) note(err error) {
	switch began, ended := e.passes.Note(err); {
	case began:
		e.Log.Error("expiry: nothing is released until the ledger answers", slog.Any("error", err))
	case ended:
		e.Log.Info("expiry: releasing again")
	}
}

// pass releases everything that is overdue, batch by batch.
func (e *Expirer) pass(ctx context.Context) error {
	for ctx.Err() == nil {
		due, err := e.Holds.Due(ctx, batchMax)
		if err != nil {
			return fmt.Errorf("list overdue orders: %w", err)
		}
		if len(due) == 0 {
			return nil
		}
		if err := e.release(ctx, due); err != nil {
			return err
		}
		if len(due) < batchMax {
			return nil
		}
	}
	return nil
}

// release ends a batch of overdue orders, but those whose money is there.
// Money that could not be recorded keeps its order, and only that one.
func (e *Expirer) release(ctx context.Context, due []shop.Order) error {
	ids, unrecorded := e.unpaid(ctx, due)
	if len(ids) == 0 {
		return unrecorded
	}
	expired, err := e.Holds.Expire(ctx, ids)
	if err != nil {
		return errors.Join(unrecorded, fmt.Errorf("expire %d orders: %w", len(ids), err))
	}
	crash.At(crash.ReleaseCommitted)
	e.tell(expired)
	e.endPages(ctx, expired)
	return unrecorded
}

// tell names each sale once.
func (e *Expirer) tell(expired []shop.Order) {
	var sales []string
	for i := range expired {
		sales = append(sales, expired[i].Sale)
	}
	slices.Sort(sales)
	if e.Released != nil && len(sales) > 0 {
		e.Released(slices.Compact(sales))
	}
}

// unpaid asks the provider about every order, once, and pays those whose money
// is there. No answer in time is taken for a no: the unit goes back to those
// who wait, and money that turns up later is a late payment.
func (e *Expirer) unpaid(ctx context.Context, due []shop.Order) ([]shop.ClaimID, error) {
	charges := e.ask(ctx, due)
	var ids []shop.ClaimID
	var faults []error
	for i := range due {
		paid, err := e.pay(ctx, charges[i])
		if err != nil {
			faults = append(faults, err)
		} else if !paid {
			ids = append(ids, due[i].ID)
		}
	}
	return ids, errors.Join(faults...)
}

// ask returns each order's charge; nil where none is known.
func (e *Expirer) ask(ctx context.Context, due []shop.Order) []*payments.Charge {
	charges := make([]*payments.Charge, len(due))
	if e.Provider == nil {
		return charges
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var silent atomic.Int64
	each(len(due), func(i int) {
		charge, there, err := e.Provider.Paid(ctx, due[i].ID)
		if err != nil {
			silent.Add(1)
		}
		if err == nil && there {
			charges[i] = &charge
		}
	})
	if silent.Load() > 0 {
		e.Log.Warn("expiry: the payment provider did not answer; releasing all the same",
			slog.Int64("orders", silent.Load()))
	}
	return charges
}

// pay records money that was there before the release, and reports whether it
// pays for the order.
func (e *Expirer) pay(ctx context.Context, charge *payments.Charge) (bool, error) {
	if charge == nil {
		return false, nil
	}
	order, err := e.Orders.Pay(ctx, ledger.Payment{
		Order: charge.Order, Reference: charge.Reference, Amount: charge.Amount, Currency: charge.Currency,
	})
	if no, refused := errors.AsType[shop.Refusal](err); refused {
		e.Log.Error("expiry: money came that pays nothing: refund it",
			slog.String("order", charge.Order.String()), slog.String("reference", charge.Reference), slog.String("why", no.Detail))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("pay %s before its release: %w", charge.Order, err)
	}
	return order.Status == shop.Paid, nil
}

// endPages closes the payment pages, as far as it can in a while: a page ends
// by itself at PayBy, and money that comes all the same is a late payment.
func (e *Expirer) endPages(ctx context.Context, expired []shop.Order) {
	if e.Provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	var failed atomic.Int64
	each(len(expired), func(i int) {
		if e.Provider.End(ctx, expired[i].ID) != nil {
			failed.Add(1)
		}
	})
	if failed.Load() > 0 {
		e.Log.Warn("expiry: payment pages stay open until their time is over", slog.Int64("pages", failed.Load()))
	}
}
