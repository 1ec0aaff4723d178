package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const insertSKU = "INSERT INTO skus (sale, name) VALUES (?, ?) RETURNING id"

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
	index    *ledger.SaleIndex
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
	c.sales[sale.index.Sale.ID] = sale
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
		return "", "", fmt.Errorf("sqlite: SKU number %d of %s is not in the books", skuID, row.index.Sale.ID)
	}
	return row.index.Sale.ID, sku, nil
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

// nameless is the error of a transaction that has to write of SKUs which their
// sales never had. Every reader has to know a name before the first row bears
// its number, so names are entered by a transaction of their own.
type nameless struct{ names []skuName }

type skuName struct{ sale, sku string }

func (n *nameless) Error() string {
	return fmt.Sprintf("sqlite: %d SKUs are not in the books, the first is %q of %s", len(n.names), n.names[0].sku, n.names[0].sale)
}

// note adds the SKU where the catalogue lacks it.
func (n *nameless) note(names *catalogue, sale, sku string) {
	if name := (skuName{sale, sku}); !names.has(name) && !slices.Contains(n.names, name) {
		n.names = append(n.names, name)
	}
}

func (c *catalogue) has(name skuName) bool {
	row, ok := c.sales[name.sale]
	if !ok {
		return false
	}
	_, ok = row.skuID[name.sku]
	return ok
}

// enterNames gives SKUs their numbers. It does not put them on sale.
func (l *Ledger) enterNames(ctx context.Context, names []skuName) error {
	return l.writeAlone(ctx, func(ctx context.Context, t *tx) error {
		for _, name := range names {
			row, ok := t.names.sales[name.sale]
			if !ok {
				return ledger.ErrNotFound
			}
			next := *row
			next.skuID, next.skuName = maps.Clone(row.skuID), maps.Clone(row.skuName)
			if err := t.addSKU(ctx, &next, name.sku); err != nil {
				return err
			}
			t.names = t.names.with(&next)
		}
		return nil
	})
}

// addSKU gives the sale's SKU a number, unless it has one.
func (t *tx) addSKU(ctx context.Context, sale *saleRow, sku string) error {
	if _, ok := sale.skuID[sku]; ok {
		return nil
	}
	t.writes++
	id, err := t.number(ctx, insertSKU, sale.id, sku)
	if err != nil {
		return fmt.Errorf("add SKU %s: %w", sku, err)
	}
	sale.skuID[sku], sale.skuName[id] = id, sku
	return nil
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
			index: ledger.NewSaleIndex(&sale), skuID: map[string]int64{}, skuName: map[int64]string{},
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
