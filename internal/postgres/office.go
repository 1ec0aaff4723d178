package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/pause"
)

const (
	// officeEvery is how often a holder shows that it lives, and how often the
	// others try.
	officeEvery = time.Second
	// officeSure is how long the last sign of the server counts: past it the
	// lock may be another's already.
	officeSure = 2 * time.Second
	// officeIdle is after how long without a sign the server ends a holder's
	// session, and so its lock: a process that stands still holds nothing.
	officeIdle = 3 * time.Second
)

// Office is what one node at a time does, for economy: an advisory lock of
// the database, held by a connection of its own. Two holders for a moment, one
// of whom has not noticed yet, are safe.
type Office struct {
	// Taken hears that this node has come to hold the office; nil: nobody does.
	Taken func()

	ledger *Ledger
	name   string
	key    int64
	sign   atomic.Int64 // tick of the last sign while held, in nanoseconds; 0: not held
}

// Office returns the office of that name. Run tries for it.
func (l *Ledger) Office(name string) *Office {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("doorbuster/" + l.id + "/" + name))
	return &Office{ledger: l, name: name, key: int64(hash.Sum64())} //nolint:gosec // bits, not a number
}

// Held reports whether this node holds the office, as far as it can know.
func (o *Office) Held() bool {
	sign := o.sign.Load()
	return sign != 0 && o.ledger.options.Ticks()-time.Duration(sign) < officeSure
}

// Run tries for the office and holds it, until ctx ends.
func (o *Office) Run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		err := o.serve(ctx)
		o.sign.Store(0)
		failed := ctx.Err() == nil
		if failed && !failing {
			o.ledger.options.Log.Warn("the office is lost, or cannot be tried for", "office", o.name, "error", err)
		}
		failing = failed
		pause.For(ctx, officeEvery)
	}
	return nil
}

// ErrOccupied says that another node holds the office.
var ErrOccupied = errors.New("postgres: another node holds the office")

// Take holds the office for a moment, to see whether it is free, and tries
// until ctx ends. Run holds it from then on.
func (o *Office) Take(ctx context.Context) error {
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer o.leave(ctx, conn)
	for {
		taken, err := o.try(ctx, conn)
		if taken || err != nil {
			return err
		}
		if !pause.For(ctx, officeEvery/4) {
			return ErrOccupied
		}
	}
}

// serve tries for the office and holds it on one connection, until something
// ends that.
func (o *Office) serve(ctx context.Context) error {
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer o.leave(ctx, conn)
	held := false
	for {
		if held {
			err = o.ping(ctx, conn)
		} else if held, err = o.try(ctx, conn); held {
			o.ledger.options.Log.Info("this node holds the office", "office", o.name)
		}
		if err != nil {
			return fmt.Errorf("hold the office %s: %w", o.name, err)
		}
		if held {
			first := o.sign.Swap(max(1, int64(o.ledger.options.Ticks()))) == 0
			if first && o.Taken != nil {
				o.Taken()
			}
		}
		if !pause.For(ctx, officeEvery) {
			return ctx.Err()
		}
	}
}

// connect opens a connection that the server ends when its owner stands still.
func (o *Office) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	config, err := pgx.ParseConfig(o.ledger.options.URL)
	if err != nil {
		return nil, unreadable(err)
	}
	settings{}.apply(config)
	config.RuntimeParams["idle_session_timeout"] = millis(officeIdle)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect for the office %s: %w", o.name, err)
	}
	return conn, nil
}

// leave ends the session, and so frees the lock, whatever becomes of the
// goodbye.
func (o *Office) leave(ctx context.Context, conn *pgx.Conn) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), officeEvery)
	defer cancel()
	_ = conn.Close(amends)
}

// try takes the lock, if nobody has it.
func (o *Office) try(ctx context.Context, conn *pgx.Conn) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, officeSure)
	defer cancel()
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", o.key).Scan(&taken)
	return taken, err
}

// ping shows that the holder lives, and hears whether its session does.
func (o *Office) ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, officeSure)
	defer cancel()
	return conn.Ping(ctx)
}
