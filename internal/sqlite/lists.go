package sqlite

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	getChange    = "SELECT change FROM gate_lists"
	countChange  = "INSERT INTO gate_lists (one, change) VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET change = change + 1"
	getEntries   = "SELECT list, subject, until, reason, author, at FROM gate_entries WHERE struck = 0 ORDER BY list, subject"
	getEntry     = "SELECT until, reason FROM gate_entries WHERE list = ? AND subject = ? AND struck = 0"
	countEntries = "SELECT count(*) FROM gate_entries WHERE struck = 0"
	putEntry     = `INSERT INTO gate_entries (list, subject, struck, until, reason, author, at) VALUES (?, ?, 0, ?, ?, ?, ?)
		ON CONFLICT (list, subject) DO UPDATE SET struck = 0, until = excluded.until, reason = excluded.reason, author = excluded.author, at = excluded.at`
	strikeEntry = "UPDATE gate_entries SET struck = 1, at = ? WHERE list = ? AND subject = ?"
)

// Enlist implements ledger.Lists.
func (l *Ledger) Enlist(ctx context.Context, entry shop.Entry) (ledger.Published, error) {
	var done ledger.Published
	err := l.write(ctx, func(ctx context.Context, t *tx) error {
		old, err := t.entry(ctx, entry.List, entry.Subject)
		if err != nil {
			return err
		}
		count, err := t.number(ctx, countEntries)
		if err != nil {
			return err
		}
		if done, err = ledger.Enter(old, &entry, count); err != nil || done == ledger.Same {
			return err
		}
		if err := t.write(ctx, countChange); err != nil {
			return err
		}
		return t.write(ctx, putEntry, int64(entry.List), entry.Subject.String(), millis(entry.Until), entry.Reason, entry.By, millis(t.now))
	})
	if err != nil {
		return ledger.Same, fmt.Errorf("write an entry of the %s list: %w", entry.List, err)
	}
	return done, nil
}

// entry returns what the list has of the subject, nil for nothing.
func (t *tx) entry(ctx context.Context, list shop.List, subject shop.Subject) (*shop.Entry, error) {
	var found *shop.Entry
	err := t.each(ctx, getEntry, func(r row) error {
		found = &shop.Entry{Until: r.time(0), Reason: r.text(1)}
		return nil
	}, int64(list), subject.String())
	return found, err
}

// Strike implements ledger.Lists.
func (l *Ledger) Strike(ctx context.Context, list shop.List, subject shop.Subject) (bool, error) {
	var struck bool
	err := l.write(ctx, func(ctx context.Context, t *tx) error {
		old, err := t.entry(ctx, list, subject)
		struck = old != nil
		if err != nil || !struck {
			return err
		}
		if err := t.write(ctx, countChange); err != nil {
			return err
		}
		return t.write(ctx, strikeEntry, millis(t.now), int64(list), subject.String())
	})
	if err != nil {
		return false, fmt.Errorf("strike an entry from the %s list: %w", list, err)
	}
	return struck, nil
}

// Entries implements ledger.Lists.
func (l *Ledger) Entries(ctx context.Context, seen int64) (change int64, entries []shop.Entry, err error) {
	err = l.snapshot(ctx, func(ctx context.Context, c *conn) (err error) {
		if change, err = c.number(ctx, getChange); err != nil || change == seen {
			return err
		}
		return c.each(ctx, getEntries, func(r row) error {
			subject, err := shop.ParseSubject(r.text(1))
			entries = append(entries, shop.Entry{
				List: shop.List(r.int(0)), Subject: subject, Until: r.time(2), Reason: r.text(3), By: r.text(4), At: r.time(5), //nolint:gosec // written from a List
			})
			return err
		})
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read the lists: %w", err)
	}
	return change, entries, nil
}
