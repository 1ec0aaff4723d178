package ledger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Spread keeps those calls of Supply that move units between POOL and a bucket.
// A machine brings the transaction: the function applies a rule to a book that
// holds the bucket and the accounts of the SKU, where one is named, and saves
// what the rule changed. A bucket that the sale does not have is ErrNotFound.
type Spread func(ctx context.Context, bucket shop.Bucket, sku string, rule func(*Book) error) error

// Grant implements Supply.
func (s Spread) Grant(ctx context.Context, bucket shop.Bucket, epoch int64, want Grant) (Grant, error) {
	var grant Grant
	err := s(ctx, bucket, want.SKU, func(b *Book) (err error) {
		grant, err = b.Grant(bucket, epoch, want)
		return err
	})
	if err != nil {
		return Grant{}, fmt.Errorf("grant %d of %s to %s: %w", want.Quantity, want.SKU, bucket, err)
	}
	return grant, nil
}

// Reclaim implements Supply.
func (s Spread) Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, back Reclaim) error {
	var bumped bool
	err := s(ctx, bucket, back.SKU, func(b *Book) (err error) {
		bumped, err = b.Reclaim(bucket, epoch, back)
		return err
	})
	if err == nil && bumped {
		err = ErrEpoch
	}
	if err != nil {
		return fmt.Errorf("reclaim %d from %s: %w", back.Number, bucket, err)
	}
	return nil
}

// Bump implements Supply.
func (s Spread) Bump(ctx context.Context, bucket shop.Bucket, epoch int64) (int64, error) {
	var now int64
	err := s(ctx, bucket, "", func(b *Book) (err error) {
		now, err = b.Bump(bucket, epoch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("bump %s: %w", bucket, err)
	}
	return now, nil
}

// Grant moves units from POOL to a bucket under its next number.
func (b *Book) Grant(bucket shop.Bucket, epoch int64, want Grant) (Grant, error) {
	row, ok := b.buckets[bucket]
	if !ok || row.Epoch != epoch {
		return Grant{}, ErrEpoch
	}
	pool := Account{Sale: bucket.Sale, SKU: want.SKU, Name: Pool}
	if want.Quantity < 1 || b.units(pool) < want.Quantity {
		return Grant{}, ErrShort
	}
	want.Number = row.LastGrant + 1
	if err := b.move(Line{
		Sale: bucket.Sale, SKU: want.SKU, Kind: KindGrant, From: Pool, To: Granted,
		Bucket: bucket.Number, Quantity: want.Quantity,
		Ref: numberRef(bucket, epoch, strconv.FormatInt(want.Number, 10)),
	}); err != nil {
		return Grant{}, err
	}
	row.LastGrant, row.dirty = want.Number, true
	return want, nil
}

// Reclaim records units that the stock gave back. Where the ledger cannot
// bear it, the histories have forked: it bumps, and reports that it did. A
// result of 0 is recorded too: its number is used.
func (b *Book) Reclaim(bucket shop.Bucket, epoch int64, back Reclaim) (bumped bool, err error) {
	row, ok := b.buckets[bucket]
	if !ok || row.Epoch != epoch {
		return false, ErrEpoch
	}
	if back == row.LastReclaim {
		return false, nil
	}
	if back.Units < 0 {
		return false, fmt.Errorf("ledger: reclaim of %d units", back.Units)
	}
	granted := b.units(Account{bucket.Sale, back.SKU, Granted, bucket.Number})
	if back.Number != row.LastReclaim.Number+1 || granted < back.Units {
		return true, b.bump(row)
	}
	if err := b.move(Line{
		Sale: bucket.Sale, SKU: back.SKU, Kind: KindReclaim, From: Granted, To: Pool,
		Bucket: bucket.Number, Quantity: back.Units,
		Ref: numberRef(bucket, epoch, strconv.FormatInt(back.Number, 10)),
	}); err != nil {
		return false, err
	}
	row.LastReclaim, row.dirty = back, true
	return false, nil
}

// Bump ends the bucket's epoch and returns the one that is current now.
func (b *Book) Bump(bucket shop.Bucket, epoch int64) (int64, error) {
	row, ok := b.buckets[bucket]
	if !ok {
		row = &BucketRow{Bucket: bucket}
		b.buckets[bucket] = row
	}
	if row.Epoch != epoch {
		return row.Epoch, nil
	}
	err := b.bump(row)
	return row.Epoch, err
}
