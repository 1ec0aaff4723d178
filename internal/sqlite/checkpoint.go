package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// walMax is how many pages are written to the log before they are copied
	// into the file: 64 MB, which a restart reads in some tenths of a second.
	// A page that many commits wrote is copied once: four times the log saves
	// a twelfth of an order's CPU.
	walMax = 64 << 20 / pageSize

	// walRest is how few pages a commit copies itself without anybody noticing.
	walRest = 400 << 10 / pageSize

	// passesMax bounds the copying that chases a log which grows meanwhile.
	passesMax = 4

	// pacedPasses is how many of the passes take their time: the first ones have much to
	// copy and nobody waits for them. A core that copies 64 MB in one go lets a
	// tenth of a second's buyers wait.
	pacedPasses = 2
	restAfter   = 256 << 10 / pageSize // pages
	restFor     = time.Millisecond
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
	paced  bool        // by the task alone
	pages  int         // copied by paced passes
	write  mover       // into the file, with rests
}

// open opens the checkpointer's connection.
func (w *checkpointer) open(ctx context.Context, path string) (err error) {
	if w.conn, err = dialWriter(ctx, path); err != nil {
		return err
	}
	if w.file, err = w.shim(sqlite3.SQLITE_FCNTL_FILE_POINTER, 0); err != nil {
		return err
	}
	write := function[mover](w.file.engine().FxWrite)
	w.write = func(tls *libc.TLS, file, memory uintptr, size int32, at int64) int32 {
		if w.pages++; w.paced && w.pages%restAfter == 0 {
			<-time.NewTimer(restFor).C
		}
		return write(tls, file, memory, size, at)
	}
	w.file.table().FxWrite = method(&w.write)
	w.file.mount()
	return nil
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
			w.paced = pass < pacedPasses
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
