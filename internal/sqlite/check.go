package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	sqlite3 "modernc.org/sqlite/lib"
)

// checkersMax is how many connections a check uses: one for the pages, one
// for the sums.
const checkersMax = 2

// sumLines adds up the lines by what they move.
const sumLines = `SELECT sale, sku, source, target, bucket, sum(quantity) FROM lines GROUP BY sale, sku, source, target, bucket`

// Check implements ledger.Books.
func (b *Books) Check(ctx context.Context) (map[string]string, error) {
	var pages, sums map[string]string
	var pagesErr, sumsErr error
	var both sync.WaitGroup
	both.Go(func() { pages, pagesErr = b.checked(ctx, checkPages) })
	both.Go(func() { sums, sumsErr = b.checked(ctx, checkSums) })
	both.Wait()
	if len(pages) > 0 {
		sums = pages // sums over damaged pages mean nothing
	}
	return sums, errors.Join(pagesErr, sumsErr)
}

// checked runs one check. Damage that stops the reading is what it looks for,
// not a fault of its own.
func (b *Books) checked(ctx context.Context, check func(context.Context, *conn) (map[string]string, error)) (map[string]string, error) {
	var broken map[string]string
	err := b.snapshot(ctx, func(quiet context.Context, c *conn) (err error) {
		broken, err = check(ctx, c)
		return errors.Join(err, c.exec(quiet, "PRAGMA shrink_memory")) // a check reads every page, once
	})
	switch code(err) {
	case 0:
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR:
		return map[string]string{"": "the ledger's file is damaged: " + err.Error()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check the books: %w", err)
	}
	return broken, nil
}

func checkPages(ctx context.Context, c *conn) (map[string]string, error) {
	var found []string
	err := c.each(ctx, "PRAGMA quick_check(3)", func(r row) error {
		if text := r.text(0); text != "ok" {
			found = append(found, strings.Join(strings.Fields(text), " "))
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return map[string]string{"": "the ledger's file is damaged: " + strings.Join(found, "; ")}, nil
}

// checkSums compares each balance with the sum of its lines.
func checkSums(ctx context.Context, c *conn) (map[string]string, error) {
	names, err := loadCatalogue(ctx, c)
	if err != nil {
		return nil, err
	}
	want, err := addLines(ctx, c, names)
	if err != nil {
		return nil, err
	}
	broken := map[string]string{}
	v := &view{c, names}
	if err := ledger.Unbalanced(v.Balances(ctx), want, broken); err != nil {
		return nil, err
	}
	return broken, nil
}

// addLines returns what each account's lines add up to.
func addLines(ctx context.Context, c *conn, names *catalogue) (map[ledger.Account]int64, error) {
	sums := map[ledger.Account]int64{}
	err := c.each(ctx, sumLines, func(r row) error {
		sale, sku, err := names.names(r.int(0), r.int(1))
		from := ledger.Account{Sale: sale, SKU: sku, Name: ledger.Name(r.int(2))} //nolint:gosec // written from a Name
		to := ledger.Account{Sale: sale, SKU: sku, Name: ledger.Name(r.int(3))}   //nolint:gosec // written from a Name
		for _, side := range []*ledger.Account{&from, &to} {
			if side.Name == ledger.Granted {
				side.Bucket = int(r.int(4))
			}
		}
		sums[from] -= r.int(5)
		sums[to] += r.int(5)
		return err
	})
	return sums, err
}
