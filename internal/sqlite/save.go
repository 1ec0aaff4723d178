package sqlite

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

const (
	insertClaim = `INSERT INTO claims (row, claim, sale, sku, bucket, epoch, seq, nonce, key_print, buyer, quantity,
		taken_from, status, reason, amount, currency, created_at, pay_by, as_of, reference, prev)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateClaim = `UPDATE claims SET status = ?, pay_by = ?, as_of = ?, reference = ? WHERE row = ?`
	insertLine  = `INSERT INTO lines (seq, sale, sku, kind, source, target, bucket, quantity, claim, ref, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertCharge  = `INSERT INTO charges (claim, reference, event, amount, currency, due, at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	updateCharge  = `UPDATE charges SET due = 1 WHERE claim = ? AND reference = ?`
	insertQuota   = `INSERT INTO quotas (units, lim, newest, sale, buyer) VALUES (?, ?, ?, ?, ?)`
	updateQuota   = `UPDATE quotas SET units = ?, lim = ?, newest = ? WHERE sale = ? AND buyer = ?`
	updateBalance = `UPDATE accounts SET units = ? WHERE id = ?`
	insertBalance = `INSERT INTO accounts (sale, sku, name, bucket, units) VALUES (?, ?, ?, ?, ?) RETURNING id`
	updateBucket  = `UPDATE buckets SET epoch = ?, last_grant = ?, reclaim_number = ?, reclaim_sku = ?, reclaim_units = ?
		WHERE sale = ? AND number = ?`
)

// save writes what the rules changed, in the order of ledger.Changes.
func (t *tx) save(ctx context.Context, b *ledger.Book) error {
	changes := b.Changes()
	if err := t.saveClaims(ctx, b, &changes); err != nil {
		return err
	}
	for _, quota := range changes.Quotas {
		query := updateQuota
		if !quota.Stored {
			query = insertQuota
		}
		sale := t.names.sales[quota.Sale]
		if err := t.write(ctx, query, quota.Live, quota.Limit, quota.Row, sale.id, quota.Buyer); err != nil {
			return fmt.Errorf("save quota: %w", err)
		}
	}
	for i := range changes.Lines {
		if err := t.saveLine(ctx, b, &changes.Lines[i]); err != nil {
			return err
		}
	}
	t.head = b.Head
	t.saved = append(t.saved, changes)
	if err := t.saveStock(ctx, &changes); err != nil {
		return err
	}
	return t.mark(ctx)
}

func (t *tx) saveClaims(ctx context.Context, b *ledger.Book, changes *ledger.Changes) error {
	for _, claim := range changes.Fresh {
		if err := t.addClaim(ctx, b, claim); err != nil {
			return err
		}
	}
	for _, claim := range changes.Altered {
		o := &claim.Order
		if err := t.write(ctx, updateClaim, int64(o.Status), millis(o.PayBy), o.AsOf, o.Reference, claim.Row); err != nil {
			return fmt.Errorf("save order %s: %w", o.ID, err)
		}
	}
	return t.saveCharges(ctx, b, changes)
}

func (t *tx) saveCharges(ctx context.Context, b *ledger.Book, changes *ledger.Changes) error {
	for i := range changes.Charges {
		if err := t.addCharge(ctx, b, &changes.Charges[i]); err != nil {
			return err
		}
	}
	for i := range changes.Due {
		charge := &changes.Due[i]
		claim, _ := b.Claim(charge.Order)
		if err := t.write(ctx, updateCharge, claim.Row, charge.Reference); err != nil {
			return fmt.Errorf("save charge of %s: %w", charge.Order, err)
		}
	}
	return nil
}

// addClaim writes a new claim in front of the buyer's others in the sale.
func (t *tx) addClaim(ctx context.Context, b *ledger.Book, claim *ledger.Claim) error {
	ticket, o := &claim.Ticket, &claim.Order
	sale, sku, err := t.names.numbers(o.Sale, o.SKU)
	if err != nil {
		return err
	}
	t.lastRow++
	claim.Row = t.lastRow
	var prev int64
	if quota, ok := b.Quota(ledger.Holder{Sale: o.Sale, Buyer: o.Buyer}); ok {
		prev, quota.Row = quota.Row, claim.Row
	}
	err = t.write(ctx, insertClaim, claim.Row, o.ID[:], sale, sku, int64(ticket.Bucket.Number), ticket.Epoch, ticket.Seq,
		int64(ticket.Nonce), int64(ticket.KeyPrint), o.Buyer, o.Quantity, int64(claim.From), int64(o.Status), //nolint:gosec // bits, not numbers
		string(o.Reason), o.Amount, o.Currency, millis(o.CreatedAt), millis(o.PayBy), o.AsOf, o.Reference, prev)
	if err != nil {
		return fmt.Errorf("save claim %s: %w", o.ID, err)
	}
	return nil
}

func (t *tx) addCharge(ctx context.Context, b *ledger.Book, charge *ledger.Charge) error {
	claim, ok := b.Claim(charge.Order)
	if !ok {
		return fmt.Errorf("save charge of %s: %w", charge.Order, ledger.ErrNotFound)
	}
	var due int64
	if charge.Due {
		due = 1
	}
	err := t.write(ctx, insertCharge, claim.Row, charge.Reference, charge.EventID, charge.Amount, charge.Currency, due, millis(charge.At))
	if err != nil {
		return fmt.Errorf("save charge %q of %s: %w", charge.Reference, charge.Order, err)
	}
	return nil
}

func (t *tx) saveLine(ctx context.Context, b *ledger.Book, line *ledger.Line) error {
	sale, sku, err := t.names.numbers(line.Sale, line.SKU)
	if err != nil {
		return err
	}
	var claim int64
	if line.Claim != nil {
		if of, ok := b.Claim(*line.Claim); ok {
			claim = of.Row
		}
	}
	err = t.write(ctx, insertLine, line.Seq, sale, sku, int64(line.Kind), int64(line.From), int64(line.To),
		int64(line.Bucket), line.Quantity, claim, line.Ref, millis(line.At))
	if err != nil {
		return fmt.Errorf("save line %d, %s of %s/%s: %w", line.Seq, line.Kind, line.Sale, line.SKU, err)
	}
	return nil
}

// saveStock writes the rows that everybody wants, last.
func (t *tx) saveStock(ctx context.Context, changes *ledger.Changes) error {
	for _, row := range changes.Buckets {
		back := row.LastReclaim
		err := t.write(ctx, updateBucket, row.Epoch, row.LastGrant, back.Number, back.SKU, back.Units,
			t.names.sales[row.Bucket.Sale].id, int64(row.Bucket.Number))
		if err != nil {
			return fmt.Errorf("save bucket %s: %w", row.Bucket, err)
		}
		t.sales[row.Bucket.Sale].buckets[row.Bucket.Number] = *row
	}
	for i := range changes.Balances {
		if err := t.saveBalance(ctx, &changes.Balances[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveBalance(ctx context.Context, change *ledger.BalanceChange) error {
	account := &change.Account
	at := t.sales[account.Sale].at(account)
	at.units = change.Units
	var err error
	if at.id != 0 {
		err = t.write(ctx, updateBalance, at.units, at.id)
	} else {
		at.id, err = t.addBalance(ctx, change)
	}
	if err != nil {
		return fmt.Errorf("save %s of %s/%s: %w", account.Name, account.Sale, account.SKU, err)
	}
	return nil
}

func (t *tx) addBalance(ctx context.Context, change *ledger.BalanceChange) (id int64, err error) {
	account := &change.Account
	sale, sku, err := t.names.numbers(account.Sale, account.SKU)
	if err != nil {
		return 0, err
	}
	t.writes++
	return t.number(ctx, insertBalance, sale, sku, int64(account.Name), int64(account.Bucket), change.Units)
}
