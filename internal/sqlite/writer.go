package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// cacheKiB is how much of its pages the writer keeps: the inner nodes of some
// million orders. More is not better: splitting a page makes the engine walk all
// that it keeps at the end of the commit, which costs more than reading what it
// would have kept from the kernel's memory.
const cacheKiB = 8 << 10

// writer is the one connection that writes, with what it knows of the books
// without asking: nobody else can change them.
type writer struct {
	*conn
	head    int64                 // seq of the last line; -1: not known
	lastRow int64                 // of claims
	sales   map[string]*saleBooks // as the transaction has them
	stands  *stands               // as they are on disk
}

func openWriter(ctx context.Context, path string) (*writer, error) {
	c, err := dialWriter(ctx, path, fmt.Sprintf("cache_size = %d", -cacheKiB))
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, stands: &stands{sales: map[string]*saleBooks{}}}
	w.forget()
	err = errors.Join(w.count(ctx), w.bufferLog())
	w.stands.head, w.stands.lastRow = w.head, w.lastRow
	return w, err
}

// dialWriter opens a connection that may write. It leaves copying the log to
// the checkpointer.
func dialWriter(ctx context.Context, path string, more ...string) (*conn, error) {
	return dial(ctx, path, true, append(append(pragmas(), "synchronous = full", "wal_autocheckpoint = 0"), more...)...)
}

// forget drops what is known from memory: a rollback may have undone it.
func (w *writer) forget() {
	w.head, w.lastRow = -1, 0
	w.sales = map[string]*saleBooks{}
}

// count finds the last line and the last claim.
func (w *writer) count(ctx context.Context) (err error) {
	if w.head >= 0 {
		return nil
	}
	if w.lastRow, err = w.number(ctx, "SELECT max(row) FROM claims"); err != nil {
		return fmt.Errorf("read last claim: %w", err)
	}
	head, err := w.number(ctx, "SELECT max(seq) FROM lines")
	if err != nil {
		return fmt.Errorf("read last line: %w", err)
	}
	w.head = head
	return nil
}

// latest is the latest time in the books.
func (w *writer) latest(ctx context.Context) (time.Time, error) {
	var latest time.Time
	for _, query := range []string{
		"SELECT at FROM lines ORDER BY seq DESC LIMIT 1",
		"SELECT created_at FROM claims ORDER BY row DESC LIMIT 1",
		"SELECT max(moved_at) FROM sales",
		"SELECT max(at) FROM revisions",
		"SELECT max(at) FROM charges",
	} {
		err := w.each(ctx, query, func(r row) error {
			if at := r.time(0); at.After(latest) {
				latest = at
			}
			return nil
		})
		if err != nil {
			return latest, fmt.Errorf("read latest time: %w", err)
		}
	}
	return latest, nil
}

// tx is one transaction, of one or several jobs.
type tx struct {
	*writer
	names  *catalogue // with what the transaction added
	now    time.Time
	writes int // statements that write
	saved  []ledger.Changes
	marked int64 // the last row of the spans that it wrote down; 0: it did not
}

// write runs a statement that changes something.
func (t *tx) write(ctx context.Context, query string, args ...any) error {
	t.writes++
	return t.exec(ctx, query, args...)
}

// book returns an empty book of this moment.
func (t *tx) book(ctx context.Context) (*ledger.Book, error) {
	if err := t.count(ctx); err != nil {
		return nil, err
	}
	b := ledger.NewBook(t.now, t.head)
	b.Rest = func(b *ledger.Book, sale string) error { return t.rest(ctx, b, sale) }
	return b, nil
}

// books returns the sale's balances and buckets, from memory where it can.
func (t *tx) books(ctx context.Context, sale string) (*saleBooks, error) {
	if books, ok := t.sales[sale]; ok {
		return books, nil
	}
	row, ok := t.names.sales[sale]
	if !ok {
		return nil, fmt.Errorf("sale %q: %w", sale, ledger.ErrNotFound)
	}
	onDisk, ok := t.stands.of(sale)
	if !ok {
		var err error
		if onDisk, err = t.stands.learn(ctx, t.conn, row); err != nil {
			return nil, err
		}
	}
	books := onDisk.clone()
	t.sales[sale] = books
	return books, nil
}

// rest loads all of a sale into the book.
func (t *tx) rest(ctx context.Context, b *ledger.Book, sale string) error {
	books, err := t.books(ctx, sale)
	if err != nil {
		return err
	}
	books.putAll(b, sale)
	return nil
}

// touch loads what a rule needs to move units of one SKU: the sale, the
// bucket, and the SKU's accounts but the other buckets'.
func (t *tx) touch(ctx context.Context, b *ledger.Book, bucket shop.Bucket, sku string) error {
	books, err := t.books(ctx, bucket.Sale)
	if err != nil {
		return err
	}
	b.PutSale(t.names.sales[bucket.Sale].index)
	if row, ok := books.buckets[bucket.Number]; ok {
		b.PutBucket(row)
	}
	books.put(b, bucket.Sale, sku, bucket.Number)
	return nil
}
