package postgres

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/ledger"
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
