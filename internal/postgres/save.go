package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const (
	insertClaims = `INSERT INTO claims (row, epoch, seq, nonce, key_print, quantity, amount, created_at, pay_by, as_of, prev, line,
		claim, sale, bucket, taken_from, status, sku, buyer, reason, currency, reference)
		SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[]),
		unnest($6::bigint[]), unnest($7::bigint[]), $8::timestamptz, unnest($9::timestamptz[]), unnest($10::bigint[]),
		unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::uuid[]), unnest($14::integer[]), unnest($15::integer[]),
		unnest($16::smallint[]), unnest($17::smallint[]), unnest($18::text[]), unnest($19::text[]), unnest($20::text[]),
		unnest($21::text[]), unnest($22::text[])`
	updateClaims = `UPDATE claims c SET status = n.status, pay_by = n.pay_by, as_of = n.as_of, reference = n.reference
		FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::bigint[], $6::text[])
		AS n (sale, row, status, pay_by, as_of, reference) WHERE c.sale = n.sale AND c.row = n.row`
	insertCharges = `INSERT INTO charges (sale, claim, reference, event, amount, currency, due, at)
		SELECT unnest($1::integer[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::text[]), unnest($5::bigint[]),
		unnest($6::text[]), unnest($7::boolean[]), unnest($8::timestamptz[])`
	updateCharges = `UPDATE charges h SET due = true FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS n (sale, claim, reference)
		WHERE h.sale = n.sale AND h.claim = n.claim AND h.reference = n.reference`
	insertQuotas = `INSERT INTO quotas (sale, buyer, units, lim, newest)
		SELECT unnest($1::integer[]), unnest($2::text[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[])`
	updateQuotas = `UPDATE quotas q SET units = n.units, lim = n.lim, newest = n.newest
		FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (sale, buyer, units, lim, newest)
		WHERE q.sale = n.sale AND q.buyer = n.buyer`
	insertLines = `INSERT INTO lines (seq, claim, quantity, at, sale, bucket, kind, source, target, sku, ref)
		SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), $4::timestamptz, unnest($5::integer[]),
		unnest($6::integer[]), unnest($7::smallint[]), unnest($8::smallint[]), unnest($9::smallint[]), unnest($10::text[]), unnest($11::text[])`
	updateBuckets = `UPDATE buckets b SET epoch = n.epoch, last_grant = n.last_grant, reclaim_number = n.reclaim_number,
		reclaim_sku = n.reclaim_sku, reclaim_units = n.reclaim_units
		FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[])
		AS n (sale, number, epoch, last_grant, reclaim_number, reclaim_sku, reclaim_units) WHERE b.sale = n.sale AND b.number = n.number`
	saveAccounts = `INSERT INTO accounts (sale, sku, name, bucket, units)
		SELECT unnest($1::integer[]), unnest($2::text[]), unnest($3::smallint[]), unnest($4::integer[]), unnest($5::bigint[])
		ON CONFLICT (sale, sku, name, bucket) DO UPDATE SET units = excluded.units`
	updateSales = `UPDATE sales s SET head = n.head, lines = n.lines, newest = n.newest, version = n.version, at = n.at
		FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[])
		AS n (id, head, lines, newest, version, at) WHERE s.id = n.id`
)

// save is a transaction's second round trip: it writes what the rules
// changed, in the order of ledger.Changes, the sales' own rows last, and
// commits. more is queued before the commit; nil where there is no more.
func (t *tx) save(ctx context.Context, more func(batch *pgx.Batch)) error {
	if t.Head > t.last {
		return errCrowded
	}
	batch := &pgx.Batch{}
	if err := t.queueAll(batch); err != nil {
		return err
	}
	if more != nil {
		more(batch)
	}
	if batch.Len() == 0 {
		return nil // the rollback that follows costs the same
	}
	t.queueSales(batch)
	batch.Queue("COMMIT")
	crash.At(crash.BeforeCommit)
	if err := t.conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	crash.At(crash.AfterCommit)
	return nil
}

func (t *tx) queueAll(batch *pgx.Batch) error {
	changes := t.Changes()
	t.date(&changes)
	if err := t.queueFresh(batch, &changes); err != nil {
		return err
	}
	if err := t.queueAltered(batch, changes.Altered); err != nil {
		return err
	}
	if err := t.queueCharges(batch, &changes); err != nil {
		return err
	}
	if err := t.queueQuotas(batch, changes.Quotas); err != nil {
		return err
	}
	if err := t.queueLines(batch, changes.Lines); err != nil {
		return err
	}
	if err := t.queueBuckets(batch, changes.Buckets); err != nil {
		return err
	}
	return t.queueBalances(batch, changes.Balances)
}

// date says for each order as of which line of its sale it came to be. The
// rules count from the first number of the transaction's block, where no line
// is yet, and over all its sales.
func (t *tx) date(changes *ledger.Changes) {
	heads := map[string][]int64{}
	for i := range changes.Lines {
		line := &changes.Lines[i]
		heads[line.Sale] = append(heads[line.Sale], line.Seq)
	}
	for _, claims := range [][]*ledger.Claim{changes.Fresh, changes.Altered} {
		for _, claim := range claims {
			order, row := &claim.Order, t.locked[claim.Order.Sale]
			if row == nil {
				continue // it will not be saved
			}
			own := heads[order.Sale]
			if at, exact := slices.BinarySearch(own, order.AsOf); exact {
				continue
			} else if at > 0 {
				order.AsOf = own[at-1]
			} else {
				order.AsOf = row.head
			}
		}
	}
	for name, own := range heads {
		if row := t.locked[name]; row != nil {
			row.head = own[len(own)-1]
		}
	}
}

// tell gives an order that was answered before the save the form in which it
// was saved.
func (t *tx) tell(order *shop.Order) {
	if claim, ok := t.Claim(order.ID); ok {
		order.AsOf = claim.Order.AsOf
	}
}

// touch returns the sale's row, which is locked, as one that changes.
func (t *tx) touch(name string) (*saleRow, error) {
	row, ok := t.locked[name]
	if !ok {
		return nil, fmt.Errorf("postgres: sale %q is not locked", name)
	}
	row.changed = true
	return row, nil
}

// queueFresh numbers new claims in the order decided, each in front of its
// buyer's others, and writes them, with their lines, in the order of their ids.
func (t *tx) queueFresh(batch *pgx.Batch, changes *ledger.Changes) error {
	if len(changes.Fresh) == 0 {
		return nil
	}
	seqs := map[shop.ClaimID]int64{}
	for i := range changes.Lines {
		if line := &changes.Lines[i]; line.Kind == ledger.KindClaim {
			seqs[*line.Claim] = line.Seq
		}
	}
	rows := make([]claimRow, len(changes.Fresh))
	for i, claim := range changes.Fresh {
		row, err := t.touch(claim.Order.Sale)
		if err != nil {
			return err
		}
		row.newest++
		claim.Row = row.newest
		rows[i] = claimRow{Claim: claim, sale: row.id, line: seqs[claim.Order.ID]}
		if quota, ok := t.Quota(ledger.Holder{Sale: claim.Order.Sale, Buyer: claim.Order.Buyer}); ok {
			rows[i].prev, quota.Row = quota.Row, claim.Row
		}
	}
	slices.SortFunc(rows, func(a, b claimRow) int { return bytes.Compare(a.Order.ID[:], b.Order.ID[:]) })
	var c claimColumnsOf
	for i := range rows {
		c.add(&rows[i])
	}
	batch.Queue(insertClaims, c.row, c.epoch, c.seq, c.nonce, c.keyPrint, c.quantity, c.amount, t.Now, c.payBy, c.asOf, c.prev, c.line,
		c.claim, c.sale, c.bucket, c.from, c.status, c.sku, c.buyer, c.reason, c.currency, c.reference)
	return nil
}

type claimRow struct {
	*ledger.Claim
	sale int32
	prev int64
	line int64
}

// claimColumnsOf is new claims column by column.
type claimColumnsOf struct {
	row, epoch, seq, nonce, keyPrint, quantity, amount, asOf, prev, line []int64
	payBy                                                                []*time.Time
	claim                                                                [][16]byte
	sale, bucket                                                         []int32
	from, status                                                         []int16
	sku, buyer, reason, currency, reference                              []string
}

func (c *claimColumnsOf) add(row *claimRow) {
	ticket, order := &row.Ticket, &row.Order
	c.row = append(c.row, row.Row)
	c.epoch = append(c.epoch, ticket.Epoch)
	c.seq = append(c.seq, ticket.Seq)
	c.nonce = append(c.nonce, int64(ticket.Nonce))          //nolint:gosec // bits, not a number
	c.keyPrint = append(c.keyPrint, int64(ticket.KeyPrint)) //nolint:gosec // bits, not a number
	c.quantity = append(c.quantity, order.Quantity)
	c.amount = append(c.amount, order.Amount)
	c.payBy = append(c.payBy, orNull(order.PayBy))
	c.asOf = append(c.asOf, order.AsOf)
	c.prev = append(c.prev, row.prev)
	c.line = append(c.line, row.line)
	c.claim = append(c.claim, order.ID)
	c.sale = append(c.sale, row.sale)
	c.bucket = append(c.bucket, int32(ticket.Bucket.Number)) //nolint:gosec // some thousands
	c.from = append(c.from, int16(row.From))
	c.status = append(c.status, int16(order.Status))
	c.sku = append(c.sku, order.SKU)
	c.buyer = append(c.buyer, order.Buyer)
	c.reason = append(c.reason, string(order.Reason))
	c.currency = append(c.currency, order.Currency)
	c.reference = append(c.reference, order.Reference)
}

// orNull is a time, or nil for none.
func orNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func (t *tx) queueAltered(batch *pgx.Batch, altered []*ledger.Claim) error {
	if len(altered) == 0 {
		return nil
	}
	slices.SortFunc(altered, func(a, b *ledger.Claim) int { return bytes.Compare(a.Order.ID[:], b.Order.ID[:]) })
	var c claimColumnsOf
	for _, claim := range altered {
		row, err := t.touch(claim.Order.Sale)
		if err != nil {
			return err
		}
		c.add(&claimRow{Claim: claim, sale: row.id})
	}
	batch.Queue(updateClaims, c.sale, c.row, c.status, c.payBy, c.asOf, c.reference)
	return nil
}

// queueSales leaves with each sale that changed what the next transaction and
// every reader ask first.
func (t *tx) queueSales(batch *pgx.Batch) {
	rows := make([]*saleRow, 0, len(t.locked))
	for _, row := range t.locked {
		if row.changed {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *saleRow) int { return cmp.Compare(a.id, b.id) })
	var ids []int32
	var heads, lines, newest, versions []int64
	var ats []time.Time
	for _, row := range rows {
		ids, heads, lines = append(ids, row.id), append(heads, row.head), append(lines, row.lines)
		newest, versions, ats = append(newest, row.newest), append(versions, row.version+1), append(ats, t.Now)
	}
	batch.Queue(updateSales, ids, heads, lines, newest, versions, ats)
}
