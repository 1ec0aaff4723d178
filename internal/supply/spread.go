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

// hand is one pass over a sale's pool.
type hand struct {
	*Supplier
	sale    string
	stand   *ledger.Stand
	shelves []stock.Shelf
	wants   map[want]int64
}

// spread hands the pool out: first what turned-away buyers asked for, then
// chunks that shrink as the pool falls, so that the last units do not lie in a
// bucket whose buyers have gone.
func (s *Supplier) spread(ctx context.Context, sale string, stand *ledger.Stand, shelves []stock.Shelf) error {
	h := &hand{s, sale, stand, shelves, s.takeWants(sale)}
	for sku, balance := range stand.Items {
		if err := h.give(ctx, sku, balance.Pool); err != nil {
			return err
		}
	}
	return nil
}

// give hands one SKU's pool to the buckets, and takes units from the fullest
// for one whose buyers want more than the pool has.
func (h *hand) give(ctx context.Context, sku string, pool int64) error {
	for i := range h.stand.Buckets {
		bucket := shop.Bucket{Sale: h.sale, Number: h.stand.Buckets[i].Number}
		wanted, free := h.wants[want{bucket, sku}], h.shelves[i].Free[sku]
		units := chunk(pool, free, wanted, int64(len(h.shelves)))
		if units > 0 {
			given, err := h.grant(ctx, bucket, h.shelves[i].Epoch, stock.Grant{SKU: sku, Quantity: units})
			if err != nil {
				return err
			}
			pool -= given
		}
		if missing := wanted - free - units; missing > 0 && pool == 0 {
			if err := h.steal(ctx, bucket, stock.Grant{SKU: sku, Quantity: missing}); err != nil {
				return err
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
func (h *hand) steal(ctx context.Context, to shop.Bucket, wish stock.Grant) error {
	fullest, free := -1, int64(0)
	for number := range h.shelves {
		if units := h.shelves[number].Free[wish.SKU]; number != to.Number && units > free {
			fullest, free = number, units
		}
	}
	if fullest < 0 {
		return nil
	}
	wish.Quantity = min(wish.Quantity, free)
	if err := h.reclaim(ctx, shop.Bucket{Sale: to.Sale, Number: fullest}, &h.shelves[fullest], wish); err != nil {
		return err
	}
	h.Supplier.wants[want{to, wish.SKU}] = wish.Quantity
	return nil
}

// reclaim takes free units from a bucket back to the pool, stock first.
func (s *Supplier) reclaim(ctx context.Context, from shop.Bucket, shelf *stock.Shelf, wish stock.Grant) error {
	back, err := s.Stock.Reclaim(ctx, from, shelf.Epoch, stock.Reclaim{
		Number: shelf.LastReclaim.Number + 1, SKU: wish.SKU, Quantity: wish.Quantity, Previous: shelf.LastReclaim,
	})
	if errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
		_, err := s.bump(ctx, from, shelf.Epoch, "a reclaim does not follow the stock's last")
		return err
	}
	if err != nil {
		return fmt.Errorf("reclaim %d of %s from %s: %w", wish.Quantity, wish.SKU, from, err)
	}
	crash.At(crash.ReclaimedInStock)
	shelf.LastReclaim = back
	shelf.Free[wish.SKU] -= back.Units
	return s.record(ctx, from, shelf.Epoch, back)
}
