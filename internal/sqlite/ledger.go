// Package sqlite keeps the ledger in one file, for a node that stands alone.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/ledger/convoy"
)

// Options of Open.
type Options struct {
	Dir     string               // created with mode 0700 where it is not there
	Now     func() time.Time     // the wall clock
	Ticks   func() time.Duration // a monotonic count; nil: from Now, whose times must bear a monotonic reading then
	Buckets int                  // of sales published from now on; 0: 1
	Log     *slog.Logger         // nil: silent
}

// Ledger is the truth in one file. It keeps ledger.Claims, Orders, Holds,
// Supply, Sales, Books and Lists. Calls may come from any goroutine; those that write
// share commits.
type Ledger struct {
	*Books
	ledger.Spread // Grant, Reclaim and Bump

	options Options
	clock   *ledger.Clock
	lock    *os.File
	fatal   chan error

	names atomic.Pointer[catalogue] // as on disk
	looks ledger.Looks
	queue convoy.Convoy[*job]

	mu     sync.Mutex // of writing; held by one leader at a time
	desk   *writer
	copier checkpointer
	closed bool
}

const (
	busyTimeout = 5 * time.Second // only a foreign program can hold a lock; it gets that long
	readersMax  = 4               // connections that read; more than cores gain nothing
)

// Open takes the folder for this process and opens its ledger, which it makes
// where there is none.
func Open(ctx context.Context, options Options) (_ *Ledger, err error) {
	if options.Buckets == 0 {
		options.Buckets = 1
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Ticks == nil {
		begin := options.Now()
		options.Ticks = func() time.Duration { return options.Now().Sub(begin) }
	}
	lock, err := lockFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{options: options, lock: lock, fatal: make(chan error, 1), looks: ledger.Looks{For: ledger.LooksFor}}
	l.queue = convoy.Convoy[*job]{Max: groupMax, Lead: l.lead, Alone: func(j *job) bool { return j.alone }}
	l.Spread = l.spread
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(explain(err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	path := filepath.Join(l.options.Dir, fileName)
	// SQLite gives its other files the mode of this one.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own folder
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if err := migrate(ctx, path); err != nil {
		return err
	}
	if l.desk, err = openWriter(ctx, path); err != nil {
		return err
	}
	if err = l.copier.open(ctx, path); err != nil {
		return err
	}
	if l.Books, err = openBooks(ctx, path, readersMax, l.queue.Err); err != nil {
		return err
	}
	names, err := loadCatalogue(ctx, l.desk.conn)
	if err != nil {
		return err
	}
	l.names.Store(names)
	floor, err := l.desk.latest(ctx)
	if err != nil {
		return err
	}
	l.clock = ledger.NewClock(l.options.Now, l.options.Ticks, floor)
	return nil
}

// pragmas are those of every connection. The checkpoints that SQLite makes by
// itself are off where it writes: it ignores it when they fail.
func pragmas() []string {
	return []string{fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds()), "temp_store = memory"}
}

// Clock returns the ledger's clock: the one by which holds end and sales open.
func (l *Ledger) Clock() *ledger.Clock { return l.clock }

// Fatal yields one error when the ledger can no longer tell what is on its
// disk: a failed fsync, a commit of unknown outcome, or a rule that panicked in the
// middle of a transaction. Every call fails from then on, and the process must end
// at once without another write.
func (l *Ledger) Fatal() <-chan error { return l.fatal }

// Close ends the ledger and gives the folder back. Calls that still run are
// waited for; later ones fail. It returns what stopped the ledger before, or while
// the last of its log was copied: the log is kept then, for the next start to read.
// Closing twice changes nothing.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.copier.task.Wait() // its fsync may be the one that fails
	died := l.queue.Stop(errClosed)
	errs := []error{died}
	if l.Books != nil {
		errs = append(errs, l.Books.Close())
	}
	// After a failed fsync nothing may be written any more, and the last
	// connection to close writes a checkpoint, then removes the log: the kernel
	// ends it instead.
	if died == nil && l.desk != nil {
		errs = append(errs, l.copier.close(), l.desk.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}
