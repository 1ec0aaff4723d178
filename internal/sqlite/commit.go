package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/ledger/convoy"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// errAgain asks for the group's transaction to begin anew: a job failed that
// had written already. Going on without a savepoint before each job, which
// would keep a copy of every page touched, makes the common case cheap.
var errAgain = errors.New("sqlite: once more")

// commit runs the group in one transaction. A job that fails keeps its own
// error and leaves nothing behind; the error returned concerns all the others.
func (l *Ledger) commit(ctx context.Context, group []*job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	over := false
	defer func() {
		if !over { // a rule panicked: the transaction is open still
			_ = l.die(convoy.ErrPanicked)
		}
	}()
	err := l.transact(ctx, group)
	over = true
	return err
}

// transact does what commit promises, on a ledger that is open. The caller
// holds l.mu.
func (l *Ledger) transact(ctx context.Context, group []*job) error {
	for {
		t := &tx{writer: l.desk, names: l.names.Load(), now: l.clock.Now()}
		err := t.exec(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			err = t.runAll(ctx, group)
		}
		switch {
		case err == nil && t.writes > 0:
			return l.keep(ctx, t)
		case !errors.Is(err, errAgain):
			return l.undo(ctx, t, err)
		}
		if err := l.undo(ctx, t, nil); err != nil {
			return err
		}
	}
}

// keep commits the transaction.
func (l *Ledger) keep(ctx context.Context, t *tx) error {
	crash.At(crash.BeforeCommit)
	if err := t.exec(ctx, "COMMIT"); err != nil {
		if code := code(err); code != sqlite3.SQLITE_FULL && code != sqlite3.SQLITE_BUSY {
			return l.die(fmt.Errorf("commit of unknown outcome: %w", err))
		}
		return l.undo(ctx, t, err)
	}
	crash.At(crash.AfterCommit)
	l.names.Store(t.names)
	t.stands.publish(t)
	return l.tidy(ctx)
}

// runAll runs each job that has not failed. errAgain says that all has to be
// undone and run once more, without the job that failed or with that job told;
// any other error ends the transaction.
func (t *tx) runAll(ctx context.Context, group []*job) error {
	for _, j := range group {
		if j.err != nil {
			continue
		}
		before := t.writes
		err := j.do(ctx, t)
		if err != nil && broken(err) {
			return err
		}
		if !errors.Is(err, errAgain) {
			j.err = err
		}
		if err != nil && t.writes > before {
			return errAgain
		}
	}
	return nil
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
	if l.queue.Stop(err) == nil { // Close comes after whoever may find this out
		l.fatal <- err
	}
	return err
}

// code is the primary result code of SQLite behind an error; 0 for none.
func code(err error) int {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.code & 0xff
	}
	if f, ok := errors.AsType[*sqlite.Error](err); ok { // while migrating
		return f.Code() & 0xff
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
	switch code(err) {
	case sqlite3.SQLITE_FULL:
		return ledger.ErrFull
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the ledger's file is damaged; keep a copy of it and restore a backup: %w", err)
	}
	return err
}
