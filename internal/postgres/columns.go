package postgres

import (
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

// What follows turns the rules' changes, row by row, into the statements'
// arrays, column by column.

func (t *tx) queueCharges(batch *pgx.Batch, changes *ledger.Changes) error {
	fresh, err := t.chargeColumns(changes.Charges)
	if err != nil {
		return err
	}
	due, err := t.chargeColumns(changes.Due)
	if err != nil {
		return err
	}
	if len(fresh.sale) > 0 {
		batch.Queue(insertCharges, fresh.sale, fresh.claim, fresh.reference, fresh.event, fresh.amount, fresh.currency, fresh.due, fresh.at)
	}
	if len(due.sale) > 0 {
		batch.Queue(updateCharges, due.sale, due.claim, due.reference)
	}
	return nil
}

type chargeColumnsOf struct {
	sale                       []int32
	claim, amount              []int64
	reference, event, currency []string
	due                        []bool
	at                         []time.Time
}

func (t *tx) chargeColumns(charges []ledger.Charge) (c chargeColumnsOf, err error) {
	for i := range charges {
		charge := &charges[i]
		claim, ok := t.Claim(charge.Order)
		if !ok {
			return c, fmt.Errorf("save charge of %s: %w", charge.Order, ledger.ErrNotFound)
		}
		row, err := t.touch(claim.Order.Sale)
		if err != nil {
			return c, err
		}
		c.sale = append(c.sale, row.id)
		c.claim = append(c.claim, claim.Row)
		c.reference = append(c.reference, charge.Reference)
		c.event = append(c.event, charge.EventID)
		c.amount = append(c.amount, charge.Amount)
		c.currency = append(c.currency, charge.Currency)
		c.due = append(c.due, charge.Due)
		c.at = append(c.at, charge.At)
	}
	return c, nil
}

func (t *tx) queueQuotas(batch *pgx.Batch, quotas []*ledger.Quota) error {
	var fresh, stored quotaColumnsOf
	for _, quota := range quotas {
		row, err := t.touch(quota.Sale)
		if err != nil {
			return err
		}
		c := &fresh
		if quota.Stored {
			c = &stored
		}
		c.sale = append(c.sale, row.id)
		c.buyer = append(c.buyer, quota.Buyer)
		c.units = append(c.units, quota.Live)
		c.limit = append(c.limit, quota.Limit)
		c.newest = append(c.newest, quota.Row)
	}
	if c := &fresh; len(c.sale) > 0 {
		batch.Queue(insertQuotas, c.sale, c.buyer, c.units, c.limit, c.newest)
	}
	if c := &stored; len(c.sale) > 0 {
		batch.Queue(updateQuotas, c.sale, c.buyer, c.units, c.limit, c.newest)
	}
	return nil
}

type quotaColumnsOf struct {
	sale                 []int32
	buyer                []string
	units, limit, newest []int64
}

// queueLines writes the lines that are not part of a claim's row.
func (t *tx) queueLines(batch *pgx.Batch, lines []ledger.Line) error {
	var seqs, claims, quantities []int64
	var sales, buckets []int32
	var kinds, sources, targets []int16
	var skus, refs []string
	for i := range lines {
		line := &lines[i]
		row, err := t.touch(line.Sale)
		if err != nil {
			return err
		}
		row.lines++
		if line.Kind == ledger.KindClaim {
			continue
		}
		seqs, claims = append(seqs, line.Seq), append(claims, t.rowOf(line.Claim))
		quantities, sales = append(quantities, line.Quantity), append(sales, row.id)
		buckets, kinds = append(buckets, int32(line.Bucket)), append(kinds, int16(line.Kind)) //nolint:gosec // some thousands
		sources, targets = append(sources, int16(line.From)), append(targets, int16(line.To))
		skus, refs = append(skus, line.SKU), append(refs, line.Ref)
	}
	if len(seqs) == 0 {
		return nil
	}
	batch.Queue(insertLines, seqs, claims, quantities, t.Now, sales, buckets, kinds, sources, targets, skus, refs)
	return nil
}

// rowOf is the row of a claim that the book holds; 0 for none.
func (t *tx) rowOf(id *shop.ClaimID) int64 {
	if id == nil {
		return 0
	}
	claim, ok := t.Claim(*id)
	if !ok {
		return 0
	}
	return claim.Row
}

func (t *tx) queueBuckets(batch *pgx.Batch, rows []*ledger.BucketRow) error {
	if len(rows) == 0 {
		return nil
	}
	var sales, numbers []int32
	var epochs, grants, reclaims, units []int64
	var skus []string
	for _, bucket := range rows {
		row, err := t.touch(bucket.Bucket.Sale)
		if err != nil {
			return err
		}
		back := bucket.LastReclaim
		sales, numbers = append(sales, row.id), append(numbers, int32(bucket.Bucket.Number)) //nolint:gosec // some thousands
		epochs, grants = append(epochs, bucket.Epoch), append(grants, bucket.LastGrant)
		reclaims, skus, units = append(reclaims, back.Number), append(skus, back.SKU), append(units, back.Units)
	}
	batch.Queue(updateBuckets, sales, numbers, epochs, grants, reclaims, skus, units)
	return nil
}

func (t *tx) queueBalances(batch *pgx.Batch, changes []ledger.BalanceChange) error {
	if len(changes) == 0 {
		return nil
	}
	var sales, buckets []int32
	var names []int16
	var skus []string
	var units []int64
	for _, change := range changes {
		row, err := t.touch(change.Account.Sale)
		if err != nil {
			return err
		}
		sales, skus = append(sales, row.id), append(skus, change.Account.SKU)
		names, buckets = append(names, int16(change.Account.Name)), append(buckets, int32(change.Account.Bucket)) //nolint:gosec // some thousands
		units = append(units, change.Units)
	}
	batch.Queue(saveAccounts, sales, skus, names, buckets, units)
	return nil
}
