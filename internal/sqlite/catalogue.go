package sqlite

import (
	"context"
	"fmt"
	"maps"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// catalogue is every sale with the small numbers that stand for names in the
// tables. It is never changed: a transaction that adds to it makes another,
// which becomes the ledger's when it is on disk.
type catalogue struct {
	sales map[string]*saleRow
	byID  map[int64]*saleRow
}

// saleRow is a sale as the tables have it.
type saleRow struct {
	id       int64
	shelf    *ledger.Shelf
	phase    shop.Phase
	revision int64
	buckets  int
	skuID    map[string]int64
	skuName  map[int64]string
}

func newCatalogue() *catalogue {
	return &catalogue{sales: map[string]*saleRow{}, byID: map[int64]*saleRow{}}
}

// with returns a catalogue in which sale stands as given.
func (c *catalogue) with(sale *saleRow) *catalogue {
	next := &catalogue{sales: maps.Clone(c.sales), byID: maps.Clone(c.byID)}
	next.put(sale)
	return next
}

func (c *catalogue) put(sale *saleRow) {
	c.sales[sale.shelf.Sale.ID] = sale
	c.byID[sale.id] = sale
}

// names returns the sale and SKU behind their numbers.
func (c *catalogue) names(saleID, skuID int64) (sale, sku string, err error) {
	row, ok := c.byID[saleID]
	if !ok {
		return "", "", fmt.Errorf("sqlite: sale number %d is not in the books", saleID)
	}
	sku, ok = row.skuName[skuID]
	if !ok {
		return "", "", fmt.Errorf("sqlite: SKU number %d of %s is not in the books", skuID, row.shelf.Sale.ID)
	}
	return row.shelf.Sale.ID, sku, nil
}

// numbers returns what stands for a sale and SKU in the tables.
func (c *catalogue) numbers(sale, sku string) (saleID, skuID int64, err error) {
	row, ok := c.sales[sale]
	if !ok {
		return 0, 0, fmt.Errorf("sqlite: unknown sale %q", sale)
	}
	skuID, ok = row.skuID[sku]
	if !ok {
		return 0, 0, fmt.Errorf("sqlite: sale %s has no SKU %q", sale, sku)
	}
	return row.id, skuID, nil
}

// loadCatalogue reads every sale with its last document.
func loadCatalogue(ctx context.Context, c *conn) (*catalogue, error) {
	all := newCatalogue()
	err := c.each(ctx, `SELECT s.id, s.phase, s.revision, s.buckets, r.document
		FROM sales s JOIN revisions r ON r.sale = s.id AND r.number = s.revision`, func(r row) error {
		sale, err := shop.LoadSale([]byte(r.text(4)))
		if err != nil {
			return fmt.Errorf("document of sale number %d: %w", r.int(0), err)
		}
		all.put(&saleRow{
			id: r.int(0), phase: shop.Phase(r.int(1)), revision: r.int(2), buckets: int(r.int(3)), //nolint:gosec // written from a Phase
			shelf: ledger.NewShelf(&sale), skuID: map[string]int64{}, skuName: map[int64]string{},
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load sales: %w", err)
	}
	err = c.each(ctx, "SELECT id, sale, name FROM skus", func(r row) error {
		if sale, ok := all.byID[r.int(1)]; ok {
			sale.skuID[r.text(2)], sale.skuName[r.int(0)] = r.int(0), r.text(2)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load SKUs: %w", err)
	}
	return all, nil
}
