package sqlite

import (
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
	var books *saleBooks
	stand := ledger.Stand{Items: make(map[string]ledger.Balance, len(row.shelf.Items))}
	err := l.snapshot(ctx, func(ctx context.Context, c *conn) (err error) {
		if stand.AsOf, err = c.number(ctx, "SELECT max(seq) FROM lines"); err != nil {
			return err
		}
		if stand.Newest, err = c.number(ctx, "SELECT newest FROM sales WHERE id = ?", row.id); err != nil {
			return err
		}
		books, err = loadBooks(ctx, c, row)
		return err
	})
	if err != nil {
		return ledger.Stand{}, fmt.Errorf("read stand of %s: %w", sale, err)
	}
	for sku := range row.shelf.Items {
		stand.Items[sku] = ledger.Balance{}
	}
	stand.Buckets = make([]ledger.BucketStand, row.buckets)
	for number := range stand.Buckets {
		bucket := books.buckets[number]
		stand.Buckets[number] = ledger.BucketStand{
			Number: number, Epoch: bucket.Epoch, LastGrant: bucket.LastGrant,
			LastReclaim: bucket.LastReclaim, Granted: map[string]int64{},
		}
	}
	for account, units := range books.balances {
		item := stand.Items[account.SKU]
		item.Total += units
		addTo(&item, account.Name, units)
		stand.Items[account.SKU] = item
		if account.Name == ledger.Granted && units > 0 {
			stand.Buckets[account.Bucket].Granted[account.SKU] = units
		}
	}
	return stand, nil
}

func addTo(item *ledger.Balance, name ledger.Name, units int64) {
	switch name {
	case ledger.Pool:
		item.Pool += units
	case ledger.Granted:
		item.Granted += units
	case ledger.Held:
		item.Held += units
	case ledger.Sold:
		item.Sold += units
	case ledger.Withdrawn:
		item.Withdrawn += units
	case ledger.Outside: // has no balance
	}
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

// Grant implements ledger.Supply.
func (l *Ledger) Grant(ctx context.Context, bucket shop.Bucket, epoch int64, want ledger.Grant) (ledger.Grant, error) {
	var grant ledger.Grant
	err := l.spread(ctx, bucket, want.SKU, func(b *ledger.Book) (err error) {
		grant, err = b.Grant(bucket, epoch, want)
		return err
	})
	if err != nil {
		return ledger.Grant{}, fmt.Errorf("grant %d of %s to %s: %w", want.Quantity, want.SKU, bucket, err)
	}
	return grant, nil
}

// Reclaim implements ledger.Supply.
func (l *Ledger) Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, back ledger.Reclaim) error {
	var bumped bool
	err := l.spread(ctx, bucket, back.SKU, func(b *ledger.Book) (err error) {
		bumped, err = b.Reclaim(bucket, epoch, back)
		return err
	})
	if err == nil && bumped {
		err = ledger.ErrEpoch
	}
	if err != nil {
		return fmt.Errorf("reclaim %d from %s: %w", back.Number, bucket, err)
	}
	return nil
}

// Bump implements ledger.Supply.
func (l *Ledger) Bump(ctx context.Context, bucket shop.Bucket, epoch int64) (int64, error) {
	var now int64
	err := l.spread(ctx, bucket, "", func(b *ledger.Book) (err error) {
		now, err = b.Bump(bucket, epoch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("bump %s: %w", bucket, err)
	}
	return now, nil
}

// spread applies a rule to a bucket that the sale has.
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
