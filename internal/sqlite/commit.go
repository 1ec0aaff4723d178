package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// commit runs the group in one transaction. A job that fails is undone alone
// and keeps its own error; the error returned concerns all the others.
func (l *Ledger) commit(ctx context.Context, group []*job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &tx{writer: l.desk, names: l.names.Load(), now: l.clock.Now()}
	if err := t.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return l.undo(ctx, t, err)
	}
	written, err := t.runAll(ctx, group)
	if err != nil || !written {
		return l.undo(ctx, t, err)
	}
	crash.At(crash.BeforeCommit)
	if err := t.exec(ctx, "COMMIT"); err != nil {
		if code := code(err); code != sqlite3.SQLITE_FULL && code != sqlite3.SQLITE_BUSY {
			return l.die(fmt.Errorf("commit of unknown outcome: %w", err))
		}
		return l.undo(ctx, t, err)
	}
	crash.At(crash.AfterCommit)
	l.names.Store(t.names)
	return l.tidy(ctx)
}

// runAll runs each job under a savepoint of its own and reports whether there
// is anything to commit. An error ends the whole transaction.
func (t *tx) runAll(ctx context.Context, group []*job) (written bool, err error) {
	if len(group) == 1 {
		err := group[0].do(ctx, t)
		if err == nil || broken(err) {
			return true, err
		}
		group[0].err = err
		return false, nil
	}
	for _, j := range group {
		if err := t.exec(ctx, "SAVEPOINT job"); err != nil {
			return false, err
		}
		j.err = j.do(ctx, t)
		switch {
		case j.err == nil:
			written = true
			err = t.exec(ctx, "RELEASE job")
		case broken(j.err):
			err, j.err = j.err, nil
		default:
			t.forget()
			err = errors.Join(t.exec(ctx, "ROLLBACK TO job"), t.exec(ctx, "RELEASE job"))
		}
		if err != nil {
			return false, err
		}
	}
	return written, nil
}

// undo rolls the transaction back because of cause, nil where nothing was to
// be written, and returns what its callers are told.
func (l *Ledger) undo(ctx context.Context, t *tx, cause error) error {
	t.forget()
	if code(cause) == sqlite3.SQLITE_IOERR {
		return l.die(cause)
	}
	// SQLite may have rolled back by itself; then this is a plain error.
	err := t.exec(ctx, "ROLLBACK")
	if code := code(err); err != nil && code != sqlite3.SQLITE_ERROR {
		return l.die(fmt.Errorf("roll back: %w", err))
	}
	return explain(cause)
}

// die stops the ledger for ever: what is on disk is no longer known.
func (l *Ledger) die(err error) error {
	err = fmt.Errorf("sqlite: the ledger stopped: %w", err)
	if !l.queue.stop(err) {
		l.fatal <- err
	}
	return err
}

// code is the primary result code of SQLite behind an error; 0 for none.
func code(err error) int {
	if fault, ok := errors.AsType[*sqlite.Error](err); ok {
		return fault.Code() & 0xff
	}
	return 0
}

// broken reports whether the error ended the whole transaction, not only a
// statement of it.
func broken(err error) bool {
	switch code(err) {
	case 0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return false
	}
	return true
}

// explain turns SQLite's words into what callers know.
func explain(err error) error {
	if code(err) == sqlite3.SQLITE_FULL {
		return ledger.ErrFull
	}
	return err
}
