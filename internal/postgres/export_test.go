package postgres

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// LookNever has the ledger take each batch's claims and buyers for new, whatever
// it met before.
func (l *Ledger) LookNever() { l.looks.For = 0 }

// Panic changes an order by a rule that panics.
func (l *Ledger) Panic(ctx context.Context, order shop.ClaimID) error {
	_, err := l.change(ctx, &job{order: order, rule: func(*ledger.Book) (shop.Order, error) { panic("a rule's") }})
	return err
}
