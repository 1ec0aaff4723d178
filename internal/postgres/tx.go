package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// attemptsMax bounds how often a transaction begins anew because another
	// one was in its way. With the turnstile that is rare; twice is a marvel.
	attemptsMax = 5
	// blockSize is how many line numbers a transaction takes at once: the
	// increment of line_blocks.
	blockSize = ledger.SeqBlock
	// linesPerTicket: a claim and, where it is free, its payment.
	linesPerTicket = 2
)

// errCrowded says that a transaction wrote more lines than it took numbers.
var errCrowded = errors.New("postgres: more lines than numbers")

// tx is one transaction. It takes two round trips: load locks the sales and
// reads all that the rules need, save writes what they changed and commits.
type tx struct {
	*ledger.Book
	l      *Ledger
	conn   *pgx.Conn
	again  bool                // another transaction was in the way before
	blocks int                 // of line numbers to take
	locked map[string]*saleRow // sales that this transaction holds
	last   int64               // number of the last line that it may write
	waited time.Duration       // at the turnstile, by the database's clock
}

// saleRow is a sale's row, locked.
type saleRow struct {
	*sale
	phase                        shop.Phase
	head, lines, newest, version int64
	at                           time.Time
	changed                      bool
}

// transact runs do in one transaction, and again where another one was in the
// way. Once begun it is not broken off half-way by its caller, only by its
// own deadline.
func (l *Ledger) transact(ctx context.Context, pool *pgxpool.Pool, do func(ctx context.Context, t *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), callMax)
	defer cancel()
	blocks := 1
	for attempt := 1; ; attempt++ {
		conn, err := acquire(ctx, own, pool)
		if err != nil {
			return err
		}
		err = l.attempt(own, conn, &tx{l: l, blocks: blocks, again: attempt > 1}, do)
		switch {
		case errors.Is(err, errCrowded):
			blocks *= 2
		case state(err) == stateUnique:
			l.looks.Known(tableOf(err) == "quotas")
		case errors.Is(err, errStale):
			if _, err := l.names.refresh(own); err != nil {
				return err
			}
		case state(err) == stateReadOnly: // it was a primary once: find the one that is now
			pool.Reset()
		}
		if err == nil || !contested(err) || attempt == attemptsMax {
			return explain(err)
		}
	}
}

// acquire waits for a connection until the caller leaves or its call's time is
// over.
func acquire(caller, call context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	both, cancel := context.WithCancelCause(call)
	defer cancel(nil)
	defer context.AfterFunc(caller, func() { cancel(caller.Err()) })()
	conn, err := pool.Acquire(both)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", errors.Join(context.Cause(both), err))
	}
	return conn, nil
}

// attempt runs do and undoes what it left unfinished, then gives the connection
// back. One that fails here is closed, which undoes as well; so is one whose
// transaction is open still because a rule panicked.
func (l *Ledger) attempt(ctx context.Context, conn *pgxpool.Conn, t *tx, do func(ctx context.Context, t *tx) error) error {
	defer conn.Release()
	t.conn = conn.Conn()
	err := do(ctx, t)
	if status := t.conn.PgConn().TxStatus(); !t.conn.IsClosed() && status != 'I' {
		_, undone := t.conn.Exec(ctx, "ROLLBACK")
		err = errors.Join(err, undone)
	}
	return err
}
