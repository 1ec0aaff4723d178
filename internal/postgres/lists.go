package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
)

const (
	getChange   = "SELECT coalesce(max(change), 0) FROM gate_lists"
	countChange = `INSERT INTO gate_lists (one, change) VALUES (true, 1)
		ON CONFLICT (one) DO UPDATE SET change = gate_lists.change + 1`
	getEntries   = "SELECT list, subject, until, reason, author, at FROM gate_entries WHERE NOT struck ORDER BY list, subject"
	getEntry     = "SELECT until, reason FROM gate_entries WHERE list = $1 AND subject = $2 AND NOT struck"
	countEntries = "SELECT count(*) FROM gate_entries WHERE NOT struck"
	putEntry     = `INSERT INTO gate_entries (list, subject, struck, until, reason, author, at) VALUES ($1, $2, false, $3, $4, $5, $6)
		ON CONFLICT (list, subject) DO UPDATE SET struck = false, until = excluded.until, reason = excluded.reason,
			author = excluded.author, at = excluded.at`
	strikeEntry = "UPDATE gate_entries SET struck = true, at = $3 WHERE list = $1 AND subject = $2"
)

// errNothing undoes a transaction that has nothing to write.
var errNothing = errors.New("postgres: nothing to write")

// Enlist implements ledger.Lists.
func (l *Ledger) Enlist(ctx context.Context, entry shop.Entry) (ledger.Published, error) {
	var done ledger.Published
	err := l.relist(ctx, entry.List, entry.Subject, func(ctx context.Context, conn *pgx.Conn, old *shop.Entry) error {
		var count int64
		err := conn.QueryRow(ctx, countEntries).Scan(&count)
		if err != nil {
			return err
		}
		if done, err = ledger.Enter(old, &entry, count); err != nil {
			return err
		}
		if done == ledger.Same {
			return errNothing
		}
		_, err = conn.Exec(ctx, putEntry, int16(entry.List), entry.Subject.String(), orNull(entry.Until), entry.Reason, entry.By, l.clock.Now())
		return err
	})
	if err != nil {
		return ledger.Same, fmt.Errorf("write an entry of the %s list: %w", entry.List, err)
	}
	return done, nil
}

// Strike implements ledger.Lists.
func (l *Ledger) Strike(ctx context.Context, list shop.List, subject shop.Subject) (bool, error) {
	var struck bool
	err := l.relist(ctx, list, subject, func(ctx context.Context, conn *pgx.Conn, old *shop.Entry) error {
		if struck = old != nil; !struck {
			return errNothing
		}
		_, err := conn.Exec(ctx, strikeEntry, int16(list), subject.String(), l.clock.Now())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("strike an entry from the %s list: %w", list, err)
	}
	return struck, nil
}

// relist counts a change of the lists and makes it, in one transaction: whoever
// counted waits for whoever counted before, so that the lists' numbers come in
// the order in which their changes can be seen.
func (l *Ledger) relist(
	ctx context.Context, list shop.List, subject shop.Subject, do func(ctx context.Context, conn *pgx.Conn, old *shop.Entry) error,
) error {
	err := l.transact(ctx, l.pools.operators, func(ctx context.Context, t *tx) error {
		return pgx.BeginFunc(ctx, t.conn, func(pgx.Tx) error {
			if _, err := t.conn.Exec(ctx, countChange); err != nil {
				return err
			}
			var old *shop.Entry
			err := ask(ctx, t.conn, func(rows pgx.Rows) error {
				var until *time.Time
				old = &shop.Entry{}
				err := rows.Scan(&until, &old.Reason)
				old.Until = orZero(until)
				return err
			}, getEntry, int16(list), subject.String())
			if err != nil {
				return err
			}
			return do(ctx, t.conn, old)
		})
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// Entries implements ledger.Lists.
func (l *Ledger) Entries(ctx context.Context, seen int64) (change int64, entries []shop.Entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	if err := l.pools.readers.QueryRow(ctx, getChange).Scan(&change); err != nil {
		return 0, nil, fmt.Errorf("read the lists' last change: %w", explain(err))
	}
	if change == seen {
		return change, nil, nil
	}
	rows, err := l.pools.readers.Query(ctx, getEntries) // may be newer than the change: then they are read once more
	if err == nil {
		err = each(func(rows pgx.Rows) error {
			entry, err := scanEntry(rows)
			entries = append(entries, entry)
			return err
		})(rows)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read the lists: %w", explain(err))
	}
	return change, entries, nil
}

func scanEntry(row pgx.Row) (entry shop.Entry, err error) {
	var list int16
	var subject string
	var until *time.Time
	if err := row.Scan(&list, &subject, &until, &entry.Reason, &entry.By, &entry.At); err != nil {
		return entry, err
	}
	entry.List, entry.Until, entry.At = shop.List(list), orZero(until), entry.At.UTC() //nolint:gosec // written from a List
	entry.Subject, err = shop.ParseSubject(subject)
	return entry, err
}

// orZero is the time of a column that may have none.
func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}
