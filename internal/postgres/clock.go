package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/outage"
)

const (
	// pingEvery keeps the picture of the database's clock fresh, and finds a
	// jump of it soon.
	pingEvery = time.Second
	// sureWithin: a sample that took no longer tells the time well enough; a
	// worse one is taken only where none came for sampleMax.
	sureWithin = 50 * time.Millisecond
	sampleMax  = 10 * time.Second
)

// serverWall is the database's wall clock as this node believes it: the last
// sample, and what has passed here since. The node's own wall clock plays no
// part.
type serverWall struct {
	ticks func() time.Duration

	mu      sync.Mutex
	at      time.Time
	tick    time.Duration // when the sample came
	sampled bool
}

func (w *serverWall) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at.Add(w.ticks() - w.tick)
}

// sample notes what the database's clock said between the tick sent and now.
func (w *serverWall) sample(at time.Time, sent time.Duration) {
	if w == nil {
		return
	}
	tick := w.ticks()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sampled && tick-sent > sureWithin && tick-w.tick < sampleMax {
		return
	}
	w.at, w.tick, w.sampled = at, tick, true
}

// Ping asks the database for its time, and so whether it is there.
func (l *Ledger) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	sent := l.options.Ticks()
	var at time.Time
	if err := l.pools.readers.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	l.wall.sample(at, sent)
	return nil
}

// Run pings until ctx ends. A ledger works without it; then only transactions
// look at the database's clock.
func (l *Ledger) Run(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	var answers outage.Watch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := l.Ping(ctx)
		if ctx.Err() != nil {
			continue
		}
		switch began, ended := answers.Note(err); {
		case began:
			l.options.Log.Error("the database does not answer", "error", err)
		case ended:
			l.options.Log.Info("the database answers again")
		}
	}
}
