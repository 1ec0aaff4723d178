package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// walMax is how many pages are written to the log before they are copied
	// into the file: 64 MB, which a restart reads in some tenths of a second.
	// A page that many commits wrote is copied once: four times the log saves
	// a twelfth of an order's CPU.
	walMax = 16_000

	// walRest is how few pages a commit copies itself without anybody noticing.
	walRest = 100

	// passesMax bounds the copying that chases a log which grows meanwhile.
	passesMax = 4
)

// checkpointer copies the log into the file beside the commits, on a
// connection of its own. The log begins anew only when all of it is copied and
// nobody writes, so the commit after it copies the last few pages. SQLite's own
// checkpoints ignore it when their fsync fails; these do not.
type checkpointer struct {
	*conn
	task   sync.WaitGroup
	busy   atomic.Bool
	nearly atomic.Bool // all but a few pages are copied
	copied int         // pages written to the log when it was last copied
}

// tidy has the log copied when it has grown long. The caller holds l.mu.
func (l *Ledger) tidy(ctx context.Context) error {
	w := &l.copier
	if w.nearly.CompareAndSwap(true, false) {
		_, err := l.desk.copyLog(ctx)
		return l.copyFailed(err)
	}
	pages, err := l.desk.pagesWritten()
	if err != nil || pages-w.copied < walMax || !w.busy.CompareAndSwap(false, true) {
		return err
	}
	w.copied = pages
	w.task.Go(func() {
		defer w.busy.Store(false)
		left, err := walMax, error(nil)
		for pass := 0; pass < passesMax && left > walRest && err == nil; pass++ {
			left, err = w.copyLog(ctx)
		}
		w.nearly.Store(l.copyFailed(err) == nil)
	})
	return nil
}

// copyLog copies what can be copied without waiting for anybody, and returns
// how many pages are left.
func (c *conn) copyLog(ctx context.Context) (left int, err error) {
	err = c.each(ctx, "PRAGMA wal_checkpoint(PASSIVE)", func(r row) error {
		left = int(r.int(1) - r.int(2))
		return nil
	})
	return left, err
}

// copyFailed ends the ledger where a copy may have been lost. Without room the
// log grows on, and commits say so when there is none for it either.
func (l *Ledger) copyFailed(err error) error {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		l.options.Log.Warn("the ledger's log grows: it could not be copied into its file", "error", err)
		return nil
	}
	if err != nil {
		return l.die(fmt.Errorf("copy the log into the file: %w", err))
	}
	return nil
}
