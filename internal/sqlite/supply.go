package sqlite

import (
	"cmp"
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// getGrants reads the numbers behind the last slash of a grant's ref. Lines of
// a kind (2: grant) without a claim lie side by side in the index, by ref.
const getGrants = `SELECT CAST(substr(ref, length(?1) + 1) AS INTEGER) AS number, sku, quantity FROM lines
	WHERE kind = 2 AND claim = 0 AND ref > ?1 AND ref < ?1 || ':' AND number > ?2 ORDER BY number`

// Stand implements ledger.Supply.
func (l *Ledger) Stand(ctx context.Context, sale string) (ledger.Stand, error) {
	row, ok := l.names.Load().sales[sale]
	if !ok {
		return ledger.Stand{}, fmt.Errorf("sale %q: %w", sale, ledger.ErrNotFound)
	}
	if err := l.learn(ctx, row); err != nil {
		return ledger.Stand{}, fmt.Errorf("read stand of %s: %w", sale, err)
	}
	s := l.desk.stands
	s.mu.RLock()
	defer s.mu.RUnlock()
	stand := ledger.Stand{
		AsOf: s.head, Newest: s.spans[sale].newest,
		Items: make(map[string]ledger.Balance, len(row.index.Items)), Buckets: make([]ledger.BucketStand, row.buckets),
	}
	for sku := range row.index.Items {
		stand.Items[sku] = ledger.Balance{}
	}
	books := s.sales[sale]
	for number := range stand.Buckets {
		bucket := books.buckets[number]
		stand.Buckets[number] = ledger.BucketStand{
			Number: number, Epoch: bucket.Epoch, LastGrant: bucket.LastGrant,
			LastReclaim: bucket.LastReclaim, Granted: map[string]int64{},
		}
	}
	for sku, item := range books.items {
		stand.Items[sku] = item.sum()
		for number, granted := range item.granted {
			if granted.units > 0 {
				stand.Buckets[number].Granted[sku] = granted.units
			}
		}
	}
	return stand, nil
}

// learn makes sure that the sale's books are in memory. Commits wait while
// they are read, once in a ledger's life.
func (l *Ledger) learn(ctx context.Context, sale *saleRow) error {
	if err := cmp.Or(ctx.Err(), l.queue.Err()); err != nil {
		return err
	}
	if _, ok := l.desk.stands.of(sale.index.Sale.ID); ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	_, err := l.desk.stands.learn(context.WithoutCancel(ctx), l.desk.conn, sale)
	return err
}

func (i *itemBooks) sum() ledger.Balance {
	sum := ledger.Balance{
		Pool: i.whole[ledger.Pool].units, Held: i.whole[ledger.Held].units,
		Sold: i.whole[ledger.Sold].units, Withdrawn: i.whole[ledger.Withdrawn].units,
	}
	for _, granted := range i.granted {
		sum.Granted += granted.units
	}
	sum.Total = sum.Pool + sum.Granted + sum.Held + sum.Sold + sum.Withdrawn
	return sum
}

// Grants implements ledger.Supply.
func (l *Ledger) Grants(ctx context.Context, bucket shop.Bucket, epoch, after int64) ([]ledger.Grant, error) {
	known, ok := l.names.Load().sales[bucket.Sale]
	if !ok {
		return nil, fmt.Errorf("sale %q: %w", bucket.Sale, ledger.ErrNotFound)
	}
	var grants []ledger.Grant
	prefix := fmt.Sprintf("%s/%d/", bucket, epoch)
	err := l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, getGrants, func(r row) error {
			grants = append(grants, ledger.Grant{Number: r.int(0), SKU: known.skuName[r.int(1)], Quantity: r.int(2)})
			return nil
		}, prefix, after)
	})
	if err != nil {
		return nil, fmt.Errorf("read grants of %s: %w", bucket, err)
	}
	return grants, nil
}

// spread is the ledger.Spread of this machine.
func (l *Ledger) spread(ctx context.Context, bucket shop.Bucket, sku string, rule func(*ledger.Book) error) error {
	return l.write(ctx, func(ctx context.Context, t *tx) error {
		b, err := t.book(ctx)
		if err != nil {
			return err
		}
		if err := t.touch(ctx, b, bucket, sku); err != nil {
			return err
		}
		if sale := t.names.sales[bucket.Sale]; bucket.Number < 0 || bucket.Number >= sale.buckets {
			return fmt.Errorf("bucket %s: %w", bucket, ledger.ErrNotFound)
		}
		if err := rule(b); err != nil {
			return err
		}
		return t.save(ctx, b)
	})
}
