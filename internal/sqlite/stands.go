package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	getBalances = "SELECT sku, name, bucket, units, id FROM accounts WHERE sale = ?"
	getBuckets  = `SELECT number, epoch, last_grant, reclaim_number, reclaim_sku, reclaim_units
		FROM buckets WHERE sale = ?`
	getSpans    = "SELECT name, oldest, newest FROM sales"
	getUnmarked = "SELECT c.row, s.name FROM claims c JOIN sales s ON s.id = c.sale WHERE c.row > ? ORDER BY c.row"
	markSale    = "UPDATE sales SET oldest = ?, newest = ? WHERE name = ?"
)

// markEvery is how many claims are decided until the spans of the sales that
// they are of are written down. A start reads so many claims at most to find
// the spans again; a write for each sale of each batch would cost a crowded
// house more than its orders.
const markEvery = 16_384

// stands is how the sales stand on disk, kept in memory: whoever looks at each
// sale after each commit need not read the tables. Only commits change it.
type stands struct {
	mu      sync.RWMutex
	head    int64                 // seq of the last line
	lastRow int64                 // of claims
	marked  int64                 // the last row that the spans on disk know of
	spans   map[string]span       // of all sales; nil: not read yet
	sales   map[string]*saleBooks // those asked for
}

// span is a sale's first and last row of claims: its own lie between.
type span struct{ oldest, newest int64 }

func (s span) with(row int64) span {
	if s.oldest == 0 {
		s.oldest = row
	}
	s.newest = row
	return s
}

// saleBooks is a sale's balances and buckets.
type saleBooks struct {
	items   map[string]*itemBooks // by SKU
	buckets map[int]ledger.BucketRow
}

// itemBooks is the balances of one SKU.
type itemBooks struct {
	whole   [ledger.Withdrawn + 1]balance // by name; of Granted see below
	granted []balance                     // by bucket
}

// balance is what an account has, and the number of its row; 0: it has none.
type balance struct{ units, id int64 }

func (s *saleBooks) clone() *saleBooks {
	next := &saleBooks{
		items:   make(map[string]*itemBooks, len(s.items)),
		buckets: make(map[int]ledger.BucketRow, len(s.buckets)),
	}
	for sku, item := range s.items {
		next.items[sku] = &itemBooks{whole: item.whole, granted: slices.Clone(item.granted)}
	}
	maps.Copy(next.buckets, s.buckets)
	return next
}

// at returns where the account's balance is kept. The pointer is good until
// the next call.
func (s *saleBooks) at(account *ledger.Account) *balance {
	item, ok := s.items[account.SKU]
	if !ok {
		item = &itemBooks{}
		s.items[account.SKU] = item
	}
	if account.Name != ledger.Granted {
		return &item.whole[account.Name]
	}
	for len(item.granted) <= account.Bucket {
		item.granted = append(item.granted, balance{})
	}
	return &item.granted[account.Bucket]
}

// put loads into the book what the SKU has outside the other buckets. An
// account that has no units needs no loading.
func (s *saleBooks) put(b *ledger.Book, sale, sku string, bucket int) {
	item, ok := s.items[sku]
	if !ok {
		return
	}
	account := ledger.Account{Sale: sale, SKU: sku}
	for account.Name = ledger.Pool; account.Name <= ledger.Withdrawn; account.Name++ {
		if units := item.whole[account.Name].units; units != 0 {
			b.PutBalance(account, units)
		}
	}
	if bucket >= 0 && bucket < len(item.granted) && item.granted[bucket].units != 0 {
		account.Name, account.Bucket = ledger.Granted, bucket
		b.PutBalance(account, item.granted[bucket].units)
	}
}

// putAll loads all of the sale into the book.
func (s *saleBooks) putAll(b *ledger.Book, sale string) {
	for sku, item := range s.items {
		s.put(b, sale, sku, 0)
		for bucket := 1; bucket < len(item.granted); bucket++ {
			b.PutBalance(ledger.Account{Sale: sale, SKU: sku, Name: ledger.Granted, Bucket: bucket}, item.granted[bucket].units)
		}
	}
	for _, row := range s.buckets {
		b.PutBucket(row)
	}
}

// of returns the sale's books as they are on disk. They change under the
// caller unless he keeps commits off.
func (s *stands) of(sale string) (*saleBooks, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	books, ok := s.sales[sale]
	return books, ok
}

func (s *stands) span(sale string) span {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spans[sale]
}

// learn reads a sale's books. The caller is the writer, in or between
// transactions, and has changed nothing of the sale.
func (s *stands) learn(ctx context.Context, c *conn, sale *saleRow) (*saleBooks, error) {
	books, err := loadBooks(ctx, c, sale)
	if err != nil {
		return nil, err
	}
	spans, marked := s.spans, s.marked
	if spans == nil {
		if spans, marked, err = loadSpans(ctx, c); err != nil {
			return nil, fmt.Errorf("read which claims are whose: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans, s.marked = spans, marked
	s.sales[sale.index.Sale.ID] = books
	return books, nil
}

// publish makes a transaction's changes known, once they are on disk.
func (s *stands) publish(t *tx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head, s.lastRow, s.marked = max(s.head, t.head), max(s.lastRow, t.lastRow), max(s.marked, t.marked)
	for i := range t.saved {
		changes := &t.saved[i]
		for _, claim := range changes.Fresh {
			s.spans[claim.Order.Sale] = s.spans[claim.Order.Sale].with(claim.Row)
		}
		for _, row := range changes.Buckets {
			s.sales[row.Bucket.Sale].buckets[row.Bucket.Number] = *row
		}
		for i := range changes.Balances {
			account := &changes.Balances[i].Account
			*s.sales[account.Sale].at(account) = *t.sales[account.Sale].at(account)
		}
	}
}

func loadBooks(ctx context.Context, c *conn, sale *saleRow) (*saleBooks, error) {
	books := &saleBooks{items: map[string]*itemBooks{}, buckets: map[int]ledger.BucketRow{}}
	name := sale.index.Sale.ID
	err := c.each(ctx, getBalances, func(r row) error {
		sku, ok := sale.skuName[r.int(0)]
		if !ok {
			return fmt.Errorf("sqlite: SKU number %d of %s is not in the books", r.int(0), name)
		}
		account := ledger.Account{SKU: sku, Name: ledger.Name(r.int(1)), Bucket: int(r.int(2))} //nolint:gosec // written from a Name
		if account.Name > ledger.Withdrawn || account.Bucket < 0 || account.Bucket >= max(sale.buckets, 1) {
			return fmt.Errorf("sqlite: account %d of bucket %d of %s is none", account.Name, account.Bucket, name)
		}
		*books.at(&account) = balance{r.int(3), r.int(4)}
		return nil
	}, sale.id)
	if err != nil {
		return nil, fmt.Errorf("read balances of %s: %w", name, err)
	}
	err = c.each(ctx, getBuckets, func(r row) error {
		books.buckets[int(r.int(0))] = ledger.BucketRow{
			Bucket: shop.Bucket{Sale: name, Number: int(r.int(0))},
			Epoch:  r.int(1), LastGrant: r.int(2),
			LastReclaim: ledger.Reclaim{Number: r.int(3), SKU: r.text(4), Units: r.int(5)},
		}
		return nil
	}, sale.id)
	if err != nil {
		return nil, fmt.Errorf("read buckets of %s: %w", name, err)
	}
	return books, nil
}

// loadSpans reads the spans as they were marked, and all claims since.
func loadSpans(ctx context.Context, c *conn) (spans map[string]span, marked int64, err error) {
	spans = map[string]span{}
	err = c.each(ctx, getSpans, func(r row) error {
		spans[r.text(0)] = span{r.int(1), r.int(2)}
		marked = max(marked, r.int(2))
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	err = c.each(ctx, getUnmarked, func(r row) error {
		sale := r.text(1)
		spans[sale] = spans[sale].with(r.int(0))
		return nil
	}, marked)
	return spans, marked, err
}

// mark writes the spans down, as they are before this transaction, unless that
// was done not long ago.
func (t *tx) mark(ctx context.Context) error {
	s := t.stands
	if s.lastRow-max(s.marked, t.marked) < markEvery {
		return nil
	}
	for sale, span := range s.spans { // nobody else writes them
		if span.newest <= s.marked {
			continue
		}
		if err := t.write(ctx, markSale, span.oldest, span.newest, sale); err != nil {
			return fmt.Errorf("mark the claims of %s: %w", sale, err)
		}
	}
	t.marked = s.lastRow
	return nil
}
