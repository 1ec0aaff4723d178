package postgres

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/jackc/pgx/v5"
)

const (
	// sumLines adds up the lines by what they move, those within claims too.
	sumLines = `SELECT sale, sku, source, target, bucket, sum(quantity)::bigint, count(*) FROM lines GROUP BY sale, sku, source, target, bucket
		UNION ALL
		SELECT sale, sku, taken_from, 3, bucket, sum(quantity)::bigint, count(*) FROM claims WHERE line <> 0 GROUP BY sale, sku, taken_from, bucket`
	countLines = `SELECT name, lines FROM sales`
)

// Check implements ledger.Books: each balance against the sum of its lines,
// and the lines' number, for numbers of lines have gaps. Damage that stops the
// reading is what it looks for, not a fault of its own.
func (b *Books) Check(ctx context.Context) (map[string]string, error) {
	var broken map[string]string
	err := b.snapshot(ctx, func(conn *pgx.Conn) (err error) {
		broken, err = checkSums(ctx, conn)
		return err
	})
	switch state(err) {
	case statePage, stateIndex:
		return map[string]string{"": "the database is damaged: " + err.Error()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check the books: %w", err)
	}
	return broken, nil
}

func checkSums(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	names, err := saleNames(ctx, conn)
	if err != nil {
		return nil, err
	}
	v := &view{conn, names}
	want, counts, err := v.addLines(ctx)
	if err != nil {
		return nil, err
	}
	broken := map[string]string{}
	if err := v.compareCounts(ctx, counts, broken); err != nil {
		return nil, err
	}
	if err := ledger.Unbalanced(v.Balances(ctx), want, broken); err != nil {
		return nil, err
	}
	return broken, nil
}

// compareCounts finds sales of whose lines some are missing.
func (v *view) compareCounts(ctx context.Context, counts map[string]int64, broken map[string]string) error {
	for one, err := range stream(ctx, v.conn, countLines, func(rows pgx.Rows) (one counted, err error) {
		err = rows.Scan(&one.sale, &one.lines)
		return one, err
	}) {
		if err != nil {
			return err
		}
		if has := counts[one.sale]; has != one.lines {
			broken[one.sale] = fmt.Sprintf("the sale has %d lines, but %d were written", has, one.lines)
		}
	}
	return nil
}

type counted struct {
	sale  string
	lines int64
}

// moved is the lines of one kind of move, added up.
type moved struct {
	from, to        ledger.Account
	quantity, count int64
}

// addLines returns what each account's lines add up to, and how many lines
// each sale has.
func (v *view) addLines(ctx context.Context) (map[ledger.Account]int64, map[string]int64, error) {
	sums, counts := map[ledger.Account]int64{}, map[string]int64{}
	for m, err := range stream(ctx, v.conn, sumLines, v.moved) {
		if err != nil {
			return nil, nil, err
		}
		sums[m.from] -= m.quantity
		sums[m.to] += m.quantity
		counts[m.from.Sale] += m.count
	}
	return sums, counts, nil
}

func (v *view) moved(rows pgx.Rows) (m moved, err error) {
	var id int32
	var from, to int16
	var bucket int
	if err := rows.Scan(&id, &m.from.SKU, &from, &to, &bucket, &m.quantity, &m.count); err != nil {
		return m, err
	}
	m.from.Sale, err = v.name(id)
	m.to = m.from
	m.from.Name, m.to.Name = ledger.Name(from), ledger.Name(to) //nolint:gosec // written from Names
	for _, side := range []*ledger.Account{&m.from, &m.to} {
		if side.Name == ledger.Granted {
			side.Bucket = bucket
		}
	}
	return m, err
}
