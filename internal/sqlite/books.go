package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Books reads a ledger's file through a few connections of its own, beside
// whoever writes. It keeps ledger.Books.
type Books struct {
	free    chan *conn
	size    int
	stopped func() error
}

// OpenReadOnly opens the books of the ledger in dir for reading alone. It
// takes no lock: a node may be running on them.
func OpenReadOnly(ctx context.Context, dir string) (*Books, error) {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no ledger in %s: give the folder that doorbuster serve uses with --data", dir)
	} else if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	books, err := openBooks(ctx, path, checkersMax, func() error { return nil })
	if err != nil {
		return nil, err
	}
	err = books.read(ctx, func(ctx context.Context, c *conn) error {
		_, err := c.number(ctx, "SELECT count(*) FROM sales")
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read ledger %s: %w", path, err), books.Close())
	}
	return books, nil
}

func openBooks(ctx context.Context, path string, size int, stopped func() error) (*Books, error) {
	b := &Books{free: make(chan *conn, size), size: size, stopped: stopped}
	for i := range size {
		c, err := dial(ctx, path, false, append(pragmas(), "query_only = 1")...)
		if err != nil {
			b.size = i
			return nil, errors.Join(err, b.Close())
		}
		b.free <- c
	}
	return b, nil
}

// Close waits for those who read and closes the connections.
func (b *Books) Close() error {
	var errs []error
	for range b.size {
		c := <-b.free
		errs = append(errs, c.close())
	}
	b.size = 0
	close(b.free)
	return errors.Join(errs...)
}

// read lends do a connection. Each statement of it reads what is on disk by
// then; ctx does not end inside do: a single look-up is over sooner.
func (b *Books) read(ctx context.Context, do func(context.Context, *conn) error) error {
	if err := b.stopped(); err != nil {
		return err
	}
	select {
	case c, open := <-b.free:
		if !open {
			return errClosed
		}
		defer func() { b.free <- c }()
		return do(context.WithoutCancel(ctx), c)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// snapshot is like read, but all that do reads is as of one moment.
func (b *Books) snapshot(ctx context.Context, do func(context.Context, *conn) error) error {
	return b.read(ctx, func(quiet context.Context, c *conn) error {
		if err := c.exec(quiet, "BEGIN"); err != nil {
			return err
		}
		err := do(quiet, c)
		return errors.Join(err, c.exec(quiet, "COMMIT"))
	})
}

// Read implements ledger.Books.
func (b *Books) Read(ctx context.Context, see func(ledger.View) error) error {
	err := b.snapshot(ctx, func(ctx context.Context, c *conn) error {
		names, err := loadCatalogue(ctx, c)
		if err != nil {
			return err
		}
		return see(&view{c, names})
	})
	if err != nil {
		return fmt.Errorf("read the books: %w", err)
	}
	return nil
}

// view is the books as of one moment, on one connection.
type view struct {
	conn  *conn
	names *catalogue
}

// rows walks an answer, each row read into a T.
func rows[T any](ctx context.Context, c *conn, query string, read func(row) (T, error), args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		cursor, err := c.walk(query, args...)
		if err != nil {
			yield(none, err)
			return
		}
		defer cursor.close()
		for {
			r, more, err := cursor.next(ctx)
			value := none
			if err == nil && more {
				value, err = read(r)
			}
			if (err == nil && !more) || !yield(value, err) || err != nil {
				return
			}
		}
	}
}

// Revisions implements ledger.View.
func (v *view) Revisions(ctx context.Context) iter.Seq2[ledger.Revision, error] {
	return rows(ctx, v.conn, "SELECT seq, number, document, at FROM revisions ORDER BY seq, at, sale, number", func(r row) (ledger.Revision, error) {
		sale, err := shop.LoadSale([]byte(r.text(2)))
		return ledger.Revision{Seq: r.int(0), Number: r.int(1), Sale: sale, At: r.time(3)}, err
	})
}

// Lines implements ledger.View.
func (v *view) Lines(ctx context.Context) iter.Seq2[ledger.Line, error] {
	return rows(ctx, v.conn, `SELECT l.seq, l.sale, l.sku, l.kind, l.source, l.target, l.bucket, l.quantity, c.claim, l.ref, l.at, c.buyer
		FROM lines l LEFT JOIN claims c ON c.row = l.claim ORDER BY l.seq`, func(r row) (ledger.Line, error) {
		sale, sku, err := v.names.names(r.int(1), r.int(2))
		line := ledger.Line{
			Seq: r.int(0), Sale: sale, SKU: sku, Kind: ledger.Kind(r.int(3)), //nolint:gosec // written from a Kind
			From: ledger.Name(r.int(4)), To: ledger.Name(r.int(5)), //nolint:gosec // written from Names
			Bucket: int(r.int(6)), Quantity: r.int(7), Ref: r.text(9), At: r.time(10), Buyer: r.text(11),
		}
		if id := r.blob(8); len(id) == len(shop.ClaimID{}) {
			claim := shop.ClaimID(id)
			line.Claim = &claim
		}
		return line, err
	})
}

// Claims implements ledger.View.
func (v *view) Claims(ctx context.Context) iter.Seq2[ledger.Claim, error] {
	return func(yield func(ledger.Claim, error) bool) {
		next, stop := iter.Pull2(v.charges(ctx))
		defer stop()
		all := chargeFeed{next: next}
		all.move()
		for claim, err := range rows(ctx, v.conn, "SELECT"+claimColumns+"FROM claims c ORDER BY c.row", v.names.claim) {
			if err == nil {
				claim.Charges, err = all.of(claim)
			}
			if err != nil {
				yield(ledger.Claim{}, err)
				return
			}
			if !yield(*claim, nil) {
				return
			}
		}
	}
}

// chargeFeed hands out charges to claims, both in the order of claims' rows.
type chargeFeed struct {
	next func() (chargeRow, error, bool)
	head chargeRow
	err  error
	more bool
}

type chargeRow struct {
	ledger.Charge
	claim int64
}

func (f *chargeFeed) move() { f.head, f.err, f.more = f.next() }

func (f *chargeFeed) of(claim *ledger.Claim) ([]ledger.Charge, error) {
	var charges []ledger.Charge
	for ; f.err == nil && f.more && f.head.claim <= claim.Row; f.move() {
		if f.head.claim == claim.Row {
			f.head.Order = claim.Order.ID
			charges = append(charges, f.head.Charge)
		}
	}
	return charges, f.err
}

// charges walks every charge in the order of their claims' rows.
func (v *view) charges(ctx context.Context) iter.Seq2[chargeRow, error] {
	const query = "SELECT reference, event, amount, currency, due, at, claim FROM charges ORDER BY claim, id"
	return rows(ctx, v.conn, query, func(r row) (chargeRow, error) {
		return chargeRow{charge(shop.ClaimID{}, r), r.int(6)}, nil
	})
}

// Quotas implements ledger.View.
func (v *view) Quotas(ctx context.Context) iter.Seq2[ledger.Quota, error] {
	const query = "SELECT s.name, q.buyer, q.units, q.lim, q.newest FROM quotas q JOIN sales s ON s.id = q.sale ORDER BY q.sale, q.buyer"
	return rows(ctx, v.conn, query, func(r row) (ledger.Quota, error) {
		return ledger.Quota{Holder: ledger.Holder{Sale: r.text(0), Buyer: r.text(1)}, Live: r.int(2), Limit: r.int(3), Row: r.int(4)}, nil
	})
}

// Balances implements ledger.View.
func (v *view) Balances(ctx context.Context) iter.Seq2[ledger.AccountBalance, error] {
	const query = "SELECT sale, sku, name, bucket, units FROM accounts ORDER BY sale, sku, name, bucket"
	return rows(ctx, v.conn, query, func(r row) (ledger.AccountBalance, error) {
		sale, sku, err := v.names.names(r.int(0), r.int(1))
		account := ledger.Account{Sale: sale, SKU: sku, Name: ledger.Name(r.int(2)), Bucket: int(r.int(3))} //nolint:gosec // written from a Name
		return ledger.AccountBalance{Account: account, Units: r.int(4)}, err
	})
}
