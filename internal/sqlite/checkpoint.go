package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// walMax is how many pages are written to the log before they are copied
	// into the file: 64 MB, which a restart reads in some tenths of a second.
	// A page that many commits wrote is copied once: four times the log saves
	// a twelfth of an order's CPU.
	walMax = 64 << 20 / pageSize

	// walRest is how few pages a pass may copy to be the last: fewer come meanwhile,
	// and the commit that copies those lets nobody wait long.
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
// nobody writes, so the commit after it copies the last few pages, with an fsync of
// the file: what was copied before is synced before, or that commit's buyers would
// wait for all of it. SQLite's own checkpoints ignore it when their fsync fails;
// these do not.
type checkpointer struct {
	*conn
	task   sync.WaitGroup
	busy   atomic.Bool
	nearly atomic.Bool // all but a few pages are copied
	copied int         // pages written to the log when it was last copied
	paced  bool        // set by whoever copies: the task, or a commit once it is over
	pages  int         // copied so far
	write  mover       // into the file, with rests

	truncate truncator // the file, where that changes anything
}

// open opens the checkpointer's connection.
func (w *checkpointer) open(ctx context.Context, path string) (err error) {
	if w.conn, err = dialWriter(ctx, path); err != nil {
		return err
	}
	if w.file, err = w.shim(sqlite3.SQLITE_FCNTL_FILE_POINTER, int(unsafe.Sizeof(int64(0)))); err != nil {
		return err
	}
	write := function[mover](w.file.engine().FxWrite)
	w.write = func(tls *libc.TLS, file, memory uintptr, size int32, from int64) int32 {
		if w.pages++; w.paced && w.pages%restAfter == 0 {
			<-time.NewTimer(restFor).C
		}
		return write(tls, file, memory, size, from)
	}
	truncate := function[truncator](w.file.engine().FxTruncate)
	w.truncate = func(tls *libc.TLS, file uintptr, size int64) int32 {
		if w.hasSize(tls, file, size) {
			return sqlite3.SQLITE_OK
		}
		return truncate(tls, file, size)
	}
	w.file.table().FxWrite, w.file.table().FxTruncate = method(&w.write), method(&w.truncate)
	w.file.mount()
	return nil
}

// hasSize reports whether the file is that long already, as it is at the end of
// nearly every copy: to the kernel, cutting nothing off is a change too, for which
// the next fsync writes its journal, and buyers wait ten milliseconds.
func (w *checkpointer) hasSize(tls *libc.TLS, file uintptr, size int64) bool {
	rc := function[sizer](w.file.engine().FxFileSize)(tls, file, w.file.room())
	return rc == sqlite3.SQLITE_OK && *at[int64](w.file.room()) == size
}

// sync brings what was copied to the disk.
func (w *checkpointer) sync() error {
	rc := function[syncer](w.file.engine().FxSync)(w.tls, w.file.file, sqlite3.SQLITE_SYNC_NORMAL)
	if rc != sqlite3.SQLITE_OK {
		return &fault{code: int(rc), text: "sync the ledger's file"}
	}
	return nil
}

// tidy has the log copied when it has grown long. The caller holds l.mu.
func (l *Ledger) tidy(ctx context.Context) error {
	w := &l.copier
	if w.nearly.CompareAndSwap(true, false) { // the task is over
		w.paced = false
		_, err := w.copyLog(ctx)
		return l.copyFailed(err)
	}
	pages, err := l.desk.pagesWritten()
	if err != nil || pages-w.copied < walMax || !w.busy.CompareAndSwap(false, true) {
		return err
	}
	w.copied = pages
	l.copyAside(ctx)
	return nil
}

// copyAside copies the log beside the commits. The caller holds l.mu and has made
// the checkpointer busy.
func (l *Ledger) copyAside(ctx context.Context) {
	w := &l.copier
	w.task.Go(func() {
		defer w.busy.Store(false)
		w.nearly.Store(l.copyFailed(w.chase(ctx)) == nil)
	})
}

// chase copies the log while it grows, until a pass finds so little that a
// commit may copy what has come since.
func (w *checkpointer) chase(ctx context.Context) error {
	for pass, before := 0, 0; pass < passesMax; pass++ {
		w.paced = pass < pacedPasses
		pages, err := w.copyLog(ctx)
		if err == nil {
			err = w.sync()
		}
		if err != nil || pages-before <= walRest {
			return err
		}
		before = pages
	}
	return nil
}

// copyLog copies what can be copied without waiting for anybody, and returns
// how many pages of the log are copied by now.
func (c *conn) copyLog(ctx context.Context) (pages int, err error) {
	err = c.each(ctx, "PRAGMA wal_checkpoint(PASSIVE)", func(r row) error {
		pages = int(r.int(2))
		return nil
	})
	return pages, err
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
