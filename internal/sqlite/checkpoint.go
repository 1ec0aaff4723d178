package sqlite

import (
	"context"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"
)

// walMax is how many pages may be written to the log before they are copied
// into the file. SQLite's own checkpoints ignore it when their fsync fails;
// these do not.
const walMax = 4000

// tidy copies the log into the file when it has grown long.
func (l *Ledger) tidy(ctx context.Context) error {
	pages, err := l.desk.pagesWritten()
	if err != nil || pages-l.copied < walMax {
		return err
	}
	l.copied = pages
	_, err = l.desk.number(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	switch code(err) {
	case 0, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return nil // the log grows on until there is room; commits say so when there is none
	}
	return l.die(fmt.Errorf("copy the log into the file: %w", err))
}
