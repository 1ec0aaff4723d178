package sqlite

import (
	"context"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// LookNever has the ledger take each batch's claims and buyers for new, whatever
// it met before.
func (l *Ledger) LookNever() { l.looks.For = 0 }

// CopyUntilClose begins to copy the log. The copy's fsync begins when somebody
// closes the ledger, and fails, once: what the disk has of the copy is not known.
func (l *Ledger) CopyUntilClose(ctx context.Context) {
	w, begun := &l.copier, make(chan struct{})
	defer close(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	fail := func(*libc.TLS, uintptr, int32) int32 {
		<-begun
		for l.mu.TryLock() {
			l.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	w.file.keep, w.file.table().FxSync = &fail, method(&fail)
	w.busy.Store(true)
	l.copyAside(context.WithoutCancel(ctx))
}

// Panic runs a transaction whose rule panics when it has written.
func (l *Ledger) Panic(ctx context.Context) error {
	return l.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.write(ctx, "UPDATE accounts SET units = units + 1"); err != nil {
			return err
		}
		panic("a rule's")
	})
}
