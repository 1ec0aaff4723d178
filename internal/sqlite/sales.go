package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	findRevision   = "SELECT 1 FROM revisions WHERE sale = ? AND hash = ?"
	insertRevision = "INSERT INTO revisions (sale, number, seq, at, hash, document) VALUES (?, ?, ?, ?, ?, ?)"
	insertSale     = "INSERT INTO sales (id, name, phase, revision, buckets, moved_at) VALUES (?, ?, ?, 0, ?, ?)"
	insertBucket   = `INSERT INTO buckets (sale, number, epoch, last_grant, reclaim_number, reclaim_sku, reclaim_units)
		VALUES (?, ?, 0, 0, 0, '', 0)`
	moveSale = "UPDATE sales SET phase = ?, moved_at = ? WHERE id = ?"
)

// Publish implements ledger.Sales.
func (l *Ledger) Publish(ctx context.Context, sale shop.Sale) (ledger.Published, error) {
	var published ledger.Published
	err := l.writeAlone(ctx, func(ctx context.Context, t *tx) (err error) {
		published, err = t.publish(ctx, &sale, l.options.Buckets)
		return err
	})
	if err != nil {
		return ledger.Same, fmt.Errorf("publish %s: %w", sale.ID, err)
	}
	return published, nil
}

func (t *tx) publish(ctx context.Context, sale *shop.Sale, buckets int) (ledger.Published, error) {
	document := shop.EncodeSale(*sale)
	hash := sha256.Sum256(document)
	old, known := t.names.sales[sale.ID]
	if known {
		seen, err := t.number(ctx, findRevision, old.id, hash[:])
		if err != nil || seen != 0 {
			return ledger.Same, err
		}
	}
	next, err := t.enter(ctx, old, sale, buckets)
	if err != nil {
		return ledger.Same, err
	}
	published, err := t.follow(ctx, old, next)
	if err != nil {
		return ledger.Same, err
	}
	at := millis(t.now)
	if err := t.write(ctx, insertRevision, next.id, next.revision, t.head, at, hash[:], string(document)); err != nil {
		return ledger.Same, err
	}
	return published, t.write(ctx, "UPDATE sales SET revision = ? WHERE id = ?", next.revision, next.id)
}

// enter gives the sale and its SKUs their numbers and makes the transaction's
// catalogue know the new document.
func (t *tx) enter(ctx context.Context, old *saleRow, sale *shop.Sale, buckets int) (*saleRow, error) {
	next := &saleRow{
		id: int64(len(t.names.sales)) + 1, buckets: buckets, index: ledger.NewSaleIndex(sale),
		skuID: map[string]int64{}, skuName: map[int64]string{}, revision: 1,
	}
	if old != nil {
		next.id, next.buckets, next.phase, next.revision = old.id, old.buckets, old.phase, old.revision+1
		next.skuID, next.skuName = maps.Clone(old.skuID), maps.Clone(old.skuName)
	} else if err := t.addSale(ctx, next); err != nil {
		return nil, err
	}
	for _, item := range sale.Items {
		if err := t.addSKU(ctx, next, item.SKU); err != nil {
			return nil, err
		}
	}
	t.names = t.names.with(next)
	return next, nil
}

func (t *tx) addSale(ctx context.Context, sale *saleRow) error {
	err := t.write(ctx, insertSale, sale.id, sale.index.Sale.ID, int64(sale.phase), int64(sale.buckets), millis(t.now))
	if err != nil {
		return err
	}
	for number := range sale.buckets {
		if err := t.write(ctx, insertBucket, sale.id, int64(number)); err != nil {
			return err
		}
	}
	return nil
}

// follow makes the books follow the sale's new document.
func (t *tx) follow(ctx context.Context, old, next *saleRow) (ledger.Published, error) {
	b, err := t.book(ctx)
	if err != nil {
		return ledger.Same, err
	}
	if err := t.rest(ctx, b, next.index.Sale.ID); err != nil {
		return ledger.Same, err
	}
	publication := ledger.Publication{Next: next.index, Phase: next.phase, Revision: next.revision}
	if old != nil {
		publication.Old = old.index
	}
	published, err := b.Publish(publication)
	if err != nil {
		return ledger.Same, err
	}
	return published, t.save(ctx, b)
}

// Sales implements ledger.Sales.
func (l *Ledger) Sales(ctx context.Context) ([]ledger.Listing, error) {
	names := l.names.Load()
	listings := make([]ledger.Listing, 0, len(names.sales))
	for _, sale := range names.sales {
		listings = append(listings, ledger.Listing{Sale: *sale.index.Sale, Phase: sale.phase, Buckets: sale.buckets})
	}
	slices.SortFunc(listings, func(a, b ledger.Listing) int { return strings.Compare(a.Sale.ID, b.Sale.ID) })
	return listings, cmp.Or(ctx.Err(), l.queue.Err())
}

// Move implements ledger.Sales.
func (l *Ledger) Move(ctx context.Context, sale string, verb shop.Verb) (shop.Phase, error) {
	var phase shop.Phase
	err := l.writeAlone(ctx, func(ctx context.Context, t *tx) error {
		row, ok := t.names.sales[sale]
		if !ok {
			return ledger.ErrNotFound
		}
		var err error
		if phase, err = ledger.NextPhase(row.phase, verb); err != nil {
			return err
		}
		return t.move(ctx, row, phase)
	})
	if err != nil {
		return phase, fmt.Errorf("%s %s: %w", verb, sale, err)
	}
	return phase, nil
}

func (t *tx) move(ctx context.Context, sale *saleRow, phase shop.Phase) error {
	if sale.phase == phase {
		return nil
	}
	next := *sale
	next.phase = phase
	t.names = t.names.with(&next)
	return t.write(ctx, moveSale, int64(phase), millis(t.now), sale.id)
}

// Flip implements ledger.Sales. It writes only where a sale has to move.
func (l *Ledger) Flip(ctx context.Context, heldBack []string) ([]string, error) {
	if due := l.names.Load().due(l.clock.Now(), heldBack); len(due) == 0 {
		return nil, cmp.Or(ctx.Err(), l.queue.Err())
	}
	var moved []string
	err := l.writeAlone(ctx, func(ctx context.Context, t *tx) error {
		moved = t.names.due(t.now, heldBack)
		for _, id := range moved {
			row := t.names.sales[id]
			if err := t.move(ctx, row, row.index.Sale.DueAt(t.now, row.phase)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("move sales to their phases: %w", err)
	}
	return moved, nil
}

// due returns the ids of the sales whose times ask for another phase.
func (c *catalogue) due(now time.Time, heldBack []string) []string {
	var due []string
	for id, row := range c.sales {
		if row.index.Sale.DueAt(now, row.phase) != row.phase && !slices.Contains(heldBack, id) {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	return due
}
