package sqlite

import (
	"context"
	"errors"
)

var errClosed = errors.New("sqlite: the ledger is closed")

// job is one caller's transaction. It may share its commit with others'.
type job struct {
	do    func(ctx context.Context, t *tx) error
	alone bool  // it changes the catalogue, which the next one has to see
	err   error // its outcome
}

// groupMax bounds the jobs of one commit, so that the first of them does not
// wait for a crowd behind it.
const groupMax = 64

// write runs do in a transaction and returns when it is on disk, or not
// there at all. do may run again from the beginning; it gets a context that
// does not end, for a transaction is never broken off half-way.
func (l *Ledger) write(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return l.queued(ctx, &job{do: do})
}

// writeAlone is write for what changes the catalogue.
func (l *Ledger) writeAlone(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return l.queued(ctx, &job{do: do, alone: true})
}

func (l *Ledger) queued(ctx context.Context, j *job) error {
	if err := l.queue.Run(ctx, j); err != nil {
		return err
	}
	return j.err
}

// lead commits what waits.
func (l *Ledger) lead(ctx context.Context, group []*job) {
	err := l.commit(ctx, group)
	for _, j := range group {
		if err != nil && j.err == nil {
			j.err = err
		}
	}
}
