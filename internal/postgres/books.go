package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Books reads a ledger beside whoever writes. It keeps ledger.Books.
type Books struct {
	pool *pgxpool.Pool
}

// OpenReadOnly opens the books of the ledger at url for reading alone: nodes
// may be running on it, and it may be a standby.
func OpenReadOnly(ctx context.Context, url string) (*Books, error) {
	pool, err := openPool(ctx, url, booksConns, settings{books: true, any: true})
	if err != nil {
		return nil, err
	}
	b := &Books{pool: pool}
	err = b.snapshot(ctx, func(conn *pgx.Conn) error {
		_, err := saleNames(ctx, conn)
		return err
	})
	if unseen(err) {
		err = b.unreadableBooks(ctx, err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the ledger: %w", err), b.Close())
	}
	return b, nil
}

// Close waits for those who read and closes the connections.
func (b *Books) Close() error {
	b.pool.Close()
	return nil
}

// snapshot runs do with all that it reads as of one moment.
func (b *Books) snapshot(ctx context.Context, do func(conn *pgx.Conn) error) error {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	defer conn.Release()
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(pgx.Tx) error {
		return do(conn.Conn())
	})
}

// Read implements ledger.Books. Of the view's sequences one runs at a time:
// rows come from the database while they are read, so that a long ledger
// needs no memory.
func (b *Books) Read(ctx context.Context, see func(ledger.View) error) error {
	err := b.snapshot(ctx, func(conn *pgx.Conn) error {
		names, err := saleNames(ctx, conn)
		if err != nil {
			return err
		}
		return see(&view{conn, names})
	})
	if err != nil {
		return fmt.Errorf("read the books: %w", explain(err))
	}
	return nil
}

// saleNames reads which number stands for which sale.
func saleNames(ctx context.Context, conn *pgx.Conn) (map[int32]string, error) {
	names := map[int32]string{}
	for one, err := range stream(ctx, conn, "SELECT id, name FROM sales", func(rows pgx.Rows) (one listing, err error) {
		err = rows.Scan(&one.id, &one.name)
		return one, err
	}) {
		if err != nil {
			return nil, err
		}
		names[one.id] = one.name
	}
	return names, nil
}

// view is the books as of one moment, on one connection.
type view struct {
	conn  *pgx.Conn
	names map[int32]string
}

func (v *view) name(id int32) (string, error) {
	if name, ok := v.names[id]; ok {
		return name, nil
	}
	return "", fmt.Errorf("postgres: sale number %d is not in the books", id)
}

// stream walks an answer, each row read into a T.
func stream[T any](ctx context.Context, conn *pgx.Conn, query string, read func(pgx.Rows) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		rows, err := conn.Query(ctx, query)
		if err != nil {
			yield(none, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			value, err := read(rows)
			if !yield(value, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(none, err)
		}
	}
}

// Revisions implements ledger.View.
func (v *view) Revisions(ctx context.Context) iter.Seq2[ledger.Revision, error] {
	return stream(ctx, v.conn, "SELECT seq, number, document, at FROM revisions ORDER BY seq, at, sale, number", func(rows pgx.Rows) (ledger.Revision, error) {
		var revision ledger.Revision
		var document string
		err := rows.Scan(&revision.Seq, &revision.Number, &document, &revision.At)
		if err == nil {
			revision.Sale, err = shop.LoadSale([]byte(document))
		}
		revision.At = revision.At.UTC()
		return revision, err
	})
}

// Lines are of two tables: those of kind claim (3), to HELD (3), are part of
// the claims. Only GRANT (2) has buckets.
const viewLines = `SELECT l.seq, l.sale, l.sku, l.kind, l.source, l.target, l.bucket, l.quantity, c.claim, l.ref, l.at, coalesce(c.buyer, '')
	FROM lines l LEFT JOIN claims c ON c.sale = l.sale AND c.row = l.claim
	UNION ALL
	SELECT c.line, c.sale, c.sku, 3, c.taken_from, 3, CASE c.taken_from WHEN 2 THEN c.bucket ELSE 0 END, c.quantity, c.claim, '', c.created_at, c.buyer
	FROM claims c WHERE c.line <> 0
	ORDER BY 1`

// Lines implements ledger.View.
func (v *view) Lines(ctx context.Context) iter.Seq2[ledger.Line, error] {
	return stream(ctx, v.conn, viewLines, func(rows pgx.Rows) (ledger.Line, error) {
		var line ledger.Line
		var id int32
		var kind, from, to int16
		var claim *[16]byte
		err := rows.Scan(&line.Seq, &id, &line.SKU, &kind, &from, &to, &line.Bucket, &line.Quantity, &claim, &line.Ref, &line.At, &line.Buyer)
		line.Kind, line.From, line.To = ledger.Kind(kind), ledger.Name(from), ledger.Name(to) //nolint:gosec // written from a Kind and Names
		line.At, line.Claim = line.At.UTC(), (*shop.ClaimID)(claim)
		if err == nil {
			line.Sale, err = v.name(id)
		}
		return line, err
	})
}

const viewClaims = "SELECT" + claimColumns + `, h.reference, h.event, h.amount, h.currency, h.due, h.at
	FROM claims c LEFT JOIN charges h ON h.sale = c.sale AND h.claim = c.row ORDER BY c.sale, c.row, h.id`

// Claims implements ledger.View. A claim with several charges is as many rows.
func (v *view) Claims(ctx context.Context) iter.Seq2[ledger.Claim, error] {
	return func(yield func(ledger.Claim, error) bool) {
		var last *ledger.Claim
		for claim, err := range stream(ctx, v.conn, viewClaims, v.claim) {
			if err != nil {
				yield(ledger.Claim{}, err)
				return
			}
			if last != nil && last.Order.ID == claim.Order.ID {
				last.Charges = append(last.Charges, claim.Charges...)
				continue
			}
			if last != nil && !yield(*last, nil) {
				return
			}
			last = claim
		}
		if last != nil {
			yield(*last, nil)
		}
	}
}

// claim reads a claim with one of its charges.
func (v *view) claim(rows pgx.Rows) (*ledger.Claim, error) {
	var reference, event, currency *string
	var amount *int64
	var due *bool
	var at *time.Time
	claim, err := scanClaim(rows, v.name, &reference, &event, &amount, &currency, &due, &at)
	if err == nil && reference != nil {
		claim.Charges = []ledger.Charge{{
			Order: claim.Order.ID, Reference: *reference, EventID: *event, Amount: *amount, Currency: *currency, Due: *due, At: at.UTC(),
		}}
	}
	return claim, err
}

// Quotas implements ledger.View.
func (v *view) Quotas(ctx context.Context) iter.Seq2[ledger.Quota, error] {
	return stream(ctx, v.conn, "SELECT sale, buyer, units, lim, newest FROM quotas ORDER BY sale, buyer", func(rows pgx.Rows) (ledger.Quota, error) {
		var quota ledger.Quota
		var id int32
		err := rows.Scan(&id, &quota.Buyer, &quota.Live, &quota.Limit, &quota.Row)
		if err == nil {
			quota.Sale, err = v.name(id)
		}
		return quota, err
	})
}

// Balances implements ledger.View.
func (v *view) Balances(ctx context.Context) iter.Seq2[ledger.AccountBalance, error] {
	return stream(ctx, v.conn, "SELECT sale, sku, name, bucket, units FROM accounts ORDER BY sale, sku, name, bucket", func(rows pgx.Rows) (ledger.AccountBalance, error) {
		account, units, err := scanAccount(rows, v.name)
		return ledger.AccountBalance{Account: account, Units: units}, err
	})
}
