package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const (
	saleColumns = ` id, buckets, phase, revision, head, lines, newest, version, at `

	// The turnstile. In the order of their ids, so that no two transactions
	// over several sales wait for each other.
	lockSales   = "SELECT" + saleColumns + "FROM sales WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
	lockSalesOf = "SELECT" + saleColumns + "FROM sales WHERE id IN (SELECT sale FROM claims WHERE claim = ANY($1)) ORDER BY id FOR NO KEY UPDATE"

	// Only what is read after the lock is sure to be the newest.
	takeBlocks = `SELECT min(n), max(n), count(*), clock_timestamp(), transaction_timestamp() FROM (SELECT nextval('line_blocks') AS n FROM generate_series(1, $1::integer)) AS taken`
	getClaims  = "SELECT" + claimColumns + "FROM claims c WHERE c.claim = ANY($1)"
	getQuotas  = `SELECT q.sale, q.buyer, q.units, q.lim, q.newest FROM unnest($1::integer[], $2::text[]) AS k (sale, buyer)
		JOIN quotas q ON q.sale = k.sale AND q.buyer = k.buyer`
	getQuotasOf = `SELECT q.sale, q.buyer, q.units, q.lim, q.newest FROM (SELECT DISTINCT sale, buyer FROM claims WHERE claim = ANY($1)) AS k
		JOIN quotas q ON q.sale = k.sale AND q.buyer = k.buyer`
	getAccounts = `SELECT a.sale, a.sku, a.name, a.bucket, a.units FROM unnest($1::integer[], $2::text[]) AS k (sale, sku)
		JOIN accounts a ON a.sale = k.sale AND a.sku = k.sku`
	getAccountsOf = `SELECT a.sale, a.sku, a.name, a.bucket, a.units FROM (SELECT DISTINCT sale, sku FROM claims WHERE claim = ANY($1)) AS k
		JOIN accounts a ON a.sale = k.sale AND a.sku = k.sku`
	getSaleAccounts = `SELECT sale, sku, name, bucket, units FROM accounts WHERE sale = $1`
	getBuckets      = `SELECT sale, number, epoch, last_grant, reclaim_number, reclaim_sku, reclaim_units FROM buckets WHERE sale = ANY($1)`
	getCharges      = `SELECT c.claim, h.reference, h.event, h.amount, h.currency, h.due, h.at FROM claims c
		JOIN charges h ON h.sale = c.sale AND h.claim = c.row WHERE c.claim = ANY($1) ORDER BY h.id`
	getEvents = `SELECT h.event, c.claim FROM charges h JOIN claims c ON c.sale = h.sale AND c.row = h.claim
		WHERE h.event = ANY($1) AND h.event <> ''`
)

// load is a transaction's first round trip. What is queued is read after the
// sales are locked, each statement with a snapshot of its own, so it sees all
// that was committed to them before.
type load struct {
	batch pgx.Batch
	t     *tx
	sent  time.Duration // tick
}

func (t *tx) newLoad() *load {
	t.locked = map[string]*saleRow{}
	q := &load{t: t}
	q.batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	return q
}

// lock passes the turnstile of the sales, by their numbers or those of claims.
func (q *load) lock(query string, keys any) {
	q.batch.Queue(query, keys).Query(each(func(rows pgx.Rows) error {
		row, err := scanSale(rows)
		if err != nil {
			return err
		}
		known := q.t.l.names.of(row.id)
		if known == nil || known.revision != row.revision {
			return errStale
		}
		row.sale = known
		q.t.locked[row.name] = row
		return nil
	}))
	q.number()
}

// scanSale reads a row of saleColumns; name and index are the caller's.
func scanSale(row pgx.Row) (*saleRow, error) {
	r := &saleRow{sale: &sale{}}
	return r, row.Scan(&r.id, &r.buckets, &r.phase, &r.revision, &r.head, &r.lines, &r.newest, &r.version, &r.at)
}

// number takes line numbers, after the lock: in a sale they grow with time.
func (q *load) number() {
	q.batch.Queue(takeBlocks, q.t.blocks).QueryRow(func(row pgx.Row) error {
		var first, last, count int64
		var at, began time.Time
		if err := row.Scan(&first, &last, &count, &at, &began); err != nil {
			return err
		}
		if last-first != (count-1)*blockSize { // somebody took one in between
			return errAgain
		}
		q.t.l.wall.sample(at, q.sent)
		q.t.waited = at.Sub(began)
		q.t.last = last + blockSize - 1
		q.begin(first - 1)
		return nil
	})
}

// begin makes the book, whose time is not before any of the sales' times.
func (q *load) begin(head int64) {
	now := q.t.l.clock.Now()
	for _, row := range q.t.locked {
		if now.Before(row.at) {
			now = row.at.UTC()
		}
	}
	b := ledger.NewBook(now, head)
	for _, row := range q.t.locked {
		b.PutSale(row.index)
	}
	q.t.Book = b
}

// claims reads the claims that were decided before.
func (q *load) claims(ids [][16]byte) {
	q.batch.Queue(getClaims, ids).Query(each(func(rows pgx.Rows) error {
		claim, err := scanClaim(rows, q.t.l.names.name)
		if err == nil {
			q.t.PutClaim(claim)
		}
		return err
	}))
}

func (q *load) quotas(query string, keys ...any) {
	q.batch.Queue(query, keys...).Query(each(func(rows pgx.Rows) error {
		var id int32
		quota := &ledger.Quota{Stored: true}
		err := rows.Scan(&id, &quota.Buyer, &quota.Live, &quota.Limit, &quota.Row)
		if err == nil {
			quota.Sale, err = q.t.l.names.name(id)
		}
		if err == nil {
			q.t.PutQuota(quota)
		}
		return err
	}))
}

func (q *load) accounts(query string, keys ...any) {
	q.batch.Queue(query, keys...).Query(each(func(rows pgx.Rows) error {
		account, units, err := scanAccount(rows, q.t.l.names.name)
		if err == nil {
			q.t.PutBalance(account, units)
		}
		return err
	}))
}

func (q *load) buckets(sales []int32) {
	q.batch.Queue(getBuckets, sales).Query(each(func(rows pgx.Rows) error {
		row, err := scanBucket(rows, q.t.l.names.name)
		if err == nil {
			q.t.PutBucket(row)
		}
		return err
	}))
}

// charges reads the money that came for the claims, which are read before.
func (q *load) charges(ids [][16]byte) {
	q.batch.Queue(getCharges, ids).Query(each(func(rows pgx.Rows) error {
		charge, err := scanCharge(rows)
		if claim, ok := q.t.Claim(charge.Order); ok {
			claim.Charges = append(claim.Charges, charge)
		}
		return err
	}))
}

// scanCharge reads a row of getCharges.
func scanCharge(rows pgx.Row) (charge ledger.Charge, err error) {
	var id [16]byte
	err = rows.Scan(&id, &charge.Reference, &charge.EventID, &charge.Amount, &charge.Currency, &charge.Due, &charge.At)
	charge.Order, charge.At = id, charge.At.UTC()
	return charge, err
}

// events reads whose payments the provider's events were already.
func (q *load) events(ids []string, into map[string]shop.ClaimID) {
	q.batch.Queue(getEvents, ids).Query(each(func(rows pgx.Rows) error {
		var event string
		var id [16]byte
		err := rows.Scan(&event, &id)
		into[event] = id
		return err
	}))
}

// run makes the round trip.
func (q *load) run(ctx context.Context) error {
	q.sent = q.t.l.options.Ticks()
	if err := q.t.conn.SendBatch(ctx, &q.batch).Close(); err != nil {
		return err
	}
	q.t.Rest = func(_ *ledger.Book, sale string) error { return q.t.rest(ctx, sale) }
	return nil
}

// rest loads all of a sale into the book.
func (t *tx) rest(ctx context.Context, name string) error {
	known := t.l.names.get(name)
	if known == nil {
		return fmt.Errorf("sale %q: %w", name, ledger.ErrNotFound)
	}
	q := &load{t: t}
	q.accounts(getSaleAccounts, known.id)
	q.buckets([]int32{known.id})
	return t.conn.SendBatch(ctx, &q.batch).Close()
}

// each reads row after row.
func each(read func(rows pgx.Rows) error) func(rows pgx.Rows) error {
	return func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			if err := read(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// ask runs one query and reads its answer row after row.
func ask(ctx context.Context, conn *pgx.Conn, read func(rows pgx.Rows) error, query string, args ...any) error {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return each(read)(rows)
}

func scanAccount(rows pgx.Rows, name func(int32) (string, error)) (account ledger.Account, units int64, err error) {
	var id int32
	var kind int16
	if err := rows.Scan(&id, &account.SKU, &kind, &account.Bucket, &units); err != nil {
		return account, 0, err
	}
	account.Name = ledger.Name(kind) //nolint:gosec // written from a Name
	account.Sale, err = name(id)
	return account, units, err
}

func scanBucket(rows pgx.Rows, name func(int32) (string, error)) (row ledger.BucketRow, err error) {
	var id int32
	back := &row.LastReclaim
	if err := rows.Scan(&id, &row.Bucket.Number, &row.Epoch, &row.LastGrant, &back.Number, &back.SKU, &back.Units); err != nil {
		return row, err
	}
	row.Bucket.Sale, err = name(id)
	return row, err
}
