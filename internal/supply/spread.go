package supply

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// spread hands the pool out: first what turned-away buyers asked for, then
// chunks that shrink as the pool falls, so that the last units do not lie in a
// bucket whose buyers have gone.
func (s *Supplier) spread(ctx context.Context, sale string, stand *ledger.Stand, shelves []stock.Shelf) error {
	wants := s.takeWants(sale)
	for sku, balance := range stand.Items {
		pool := balance.Pool
		for i := range stand.Buckets {
			bucket := shop.Bucket{Sale: sale, Number: stand.Buckets[i].Number}
			units := chunk(pool, shelves[i].Free[sku], wants[want{bucket, sku}], int64(len(stand.Buckets)))
			if units > 0 {
				given, err := s.grant(ctx, bucket, shelves[i].Epoch, stock.Grant{SKU: sku, Quantity: units})
				if err != nil {
					return err
				}
				pool -= given
			}
			missing := wants[want{bucket, sku}] - shelves[i].Free[sku] - units
			if missing > 0 && pool == 0 {
				if err := s.steal(ctx, bucket, shelves, stock.Grant{SKU: sku, Quantity: missing}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// chunk returns how many units of the pool a bucket gets that has free ones
// and whose buyers want some: its wish, or half an equal share; with one
// bucket there is nobody to share with.
func chunk(pool, free, wanted, buckets int64) int64 {
	if buckets == 1 {
		return pool
	}
	share := max(pool/(2*buckets), 1)
	units := max(wanted-free, 0)
	if free < share/2+1 {
		units = max(units, share)
	}
	return min(units, pool)
}

// takeWants returns the demands of a sale and forgets them: who still wants
// units will say so again.
func (s *Supplier) takeWants(sale string) map[want]int64 {
	wants := map[want]int64{}
	for key, quantity := range s.wants {
		if key.bucket.Sale == sale {
			wants[key] = quantity
			delete(s.wants, key)
		}
	}
	return wants
}

// grant moves units from the pool to a bucket, ledger first. It returns how
// many moved: none where somebody else was faster.
func (s *Supplier) grant(ctx context.Context, bucket shop.Bucket, epoch int64, wish stock.Grant) (int64, error) {
	grant, err := s.Ledger.Grant(ctx, bucket, epoch, ledger.Grant(wish))
	if errors.Is(err, ledger.ErrShort) || errors.Is(err, ledger.ErrEpoch) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("grant %d of %s to %s: %w", wish.Quantity, wish.SKU, bucket, err)
	}
	crash.At(crash.GrantCommitted)
	err = s.Stock.ApplyGrant(ctx, bucket, epoch, stock.Grant(grant))
	if err != nil { // granted, not applied: the next pass finishes it, or bumps
		return grant.Quantity, fmt.Errorf("apply grant %d to %s: %w", grant.Number, bucket, err)
	}
	crash.At(crash.GrantApplied)
	return grant.Quantity, nil
}

// steal takes units from the fullest other bucket back to the pool, for a
// bucket whose buyers want some. The next pass grants them.
func (s *Supplier) steal(ctx context.Context, to shop.Bucket, shelves []stock.Shelf, wish stock.Grant) error {
	fullest, free := -1, int64(0)
	for number := range shelves {
		if number != to.Number && shelves[number].Free[wish.SKU] > free {
			fullest, free = number, shelves[number].Free[wish.SKU]
		}
	}
	if fullest < 0 {
		return nil
	}
	from := shop.Bucket{Sale: to.Sale, Number: fullest}
	wish.Quantity = min(wish.Quantity, free)
	if _, err := s.reclaim(ctx, from, &shelves[fullest], wish); err != nil {
		return err
	}
	s.wants[want{to, wish.SKU}] = wish.Quantity
	return nil
}

// reclaim takes free units from a bucket, stock first, and returns how many
// came.
func (s *Supplier) reclaim(ctx context.Context, from shop.Bucket, shelf *stock.Shelf, wish stock.Grant) (int64, error) {
	back, err := s.Stock.Reclaim(ctx, from, shelf.Epoch, stock.Reclaim{
		Number: shelf.LastReclaim.Number + 1, SKU: wish.SKU, Quantity: wish.Quantity, Previous: shelf.LastReclaim,
	})
	if errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
		_, err := s.bump(ctx, from, shelf.Epoch, "a reclaim does not follow the stock's last")
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("reclaim %d of %s from %s: %w", wish.Quantity, wish.SKU, from, err)
	}
	crash.At(crash.ReclaimedInStock)
	shelf.LastReclaim = back
	shelf.Free[wish.SKU] -= back.Units
	return back.Units, s.record(ctx, from, shelf.Epoch, back)
}
