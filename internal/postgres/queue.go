package postgres

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/ledger/convoy"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// job is one caller's change of an order. It shares its transaction with
// those that wait at the same time: each transaction has the sale's turnstile
// for itself, with an fsync.
type job struct {
	order   shop.ClaimID
	event   string // a provider's; pays for one order only
	rule    func(b *ledger.Book) (shop.Order, error)
	answer  shop.Order
	refused error // told when what came with it is on disk
	err     error // its fault
}

// groupMax bounds the jobs of one transaction, so that the first of them does
// not wait for a crowd behind it.
const groupMax = 128

// lead runs what waits.
func (l *Ledger) lead(ctx context.Context, group []*job) {
	over := false
	defer func() {
		if !over { // a rule panicked
			l.die(convoy.ErrPanicked)
		}
	}()
	l.runGroup(ctx, group)
	over = true
}

// die stops changes of orders for ever, so that the node ends in plain sight and
// does not sell what nobody can pay for. Other nodes go on.
func (l *Ledger) die(err error) {
	err = fmt.Errorf("postgres: the ledger stopped: %w", err)
	if l.queue.Stop(err) == nil {
		l.fatal <- err
	}
}

// runGroup gives each job its outcome.
func (l *Ledger) runGroup(ctx context.Context, group []*job) {
	err := l.runJobs(ctx, group)
	for _, j := range group {
		fault := err
		if j.err == nil && len(group) > 1 && (state(err) != "" || contested(err)) {
			// The database refused the whole of it: whose fault it was shows when
			// each runs alone.
			fault = l.runJobs(ctx, []*job{j})
		}
		if j.err == nil {
			j.err = fault
		}
	}
}
