// Package postgres keeps the ledger in a PostgreSQL database that any number
// of nodes share.
package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/ledger/convoy"
)

// Options of Open.
type Options struct {
	URL        string // postgres://user:password@host[,host…]/database
	MigrateURL string // of a user who may change the schema; empty: URL
	Buckets    int    // of sales published from now on; 0: 1
	RootPrint  []byte // a hash of the root key; nodes of one ledger share the key. Empty: not compared

	// Now is the wall clock; nil: the database's, which all nodes share then.
	Now   func() time.Time
	Ticks func() time.Duration // a monotonic count; nil: from Now, whose times must bear a monotonic reading then
	Log   *slog.Logger         // nil: silent
}

// Ledger is the truth in a database. It keeps ledger.Claims, Orders, Holds,
// Supply, Sales, Books and Lists. Calls may come from any goroutine. What ends a
// connection ends a call, never the ledger: the next call finds another one. Only
// a rule that panics ends it.
type Ledger struct {
	*Books
	ledger.Spread // Grant, Reclaim and Bump

	options  Options
	pools    pools
	clock    *ledger.Clock
	wall     *serverWall // nil where Options.Now is the wall clock
	names    catalogue
	queue    convoy.Convoy[*job]
	fatal    chan error
	looks    ledger.Looks
	pace     pace
	id       string
	role     string // as which it works; empty: the user of the URL
	warnings []string
}

// Open brings the schema up to this program's and connects.
func Open(ctx context.Context, options Options) (_ *Ledger, err error) {
	if options.Buckets == 0 {
		options.Buckets = 1
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.MigrateURL == "" {
		options.MigrateURL = options.URL
	}
	if options.Ticks == nil {
		if options.Now == nil {
			return nil, errors.New("postgres: neither a clock nor ticks to count by")
		}
		begin := options.Now()
		options.Ticks = func() time.Duration { return options.Now().Sub(begin) }
	}
	l := &Ledger{options: options, fatal: make(chan error, 1), looks: ledger.Looks{For: ledger.LooksFor}}
	l.queue = convoy.Convoy[*job]{Max: groupMax, Lead: l.lead}
	l.Spread = l.spread
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(explain(err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	setUp, err := prepare(ctx, l.options)
	if err != nil {
		return err
	}
	l.warnings, l.role = setUp.warnings, setUp.app
	for _, warning := range l.warnings {
		l.options.Log.Warn(warning)
	}
	ctx, cancel := context.WithTimeout(ctx, openMax)
	defer cancel()
	if l.pools, err = openPools(ctx, l.options.URL, setUp.app, setUp.operator); err != nil {
		return err
	}
	l.Books = &Books{pool: l.pools.books}
	l.names.pool = l.pools.readers
	if err := l.identify(ctx); err != nil {
		return l.unentitled(err)
	}
	if err := l.startClock(ctx); err != nil {
		return err
	}
	_, err = l.names.refresh(ctx)
	return err
}

// openMax bounds the first questions to a database that was reached a moment
// ago.
const openMax = 30 * time.Second

const (
	getMeta = "SELECT id::text, root FROM meta"
	setRoot = "UPDATE meta SET root = $1 WHERE root IS NULL"
)

// identify learns which ledger this is, and refuses a root key that is not
// the one it was begun with: the nodes would know a buyer's order by different
// names.
func (l *Ledger) identify(ctx context.Context) error {
	if len(l.options.RootPrint) > 0 {
		if _, err := l.pools.operators.Exec(ctx, setRoot, l.options.RootPrint); err != nil {
			return fmt.Errorf("note the root key's print: %w", err)
		}
	}
	var root []byte
	if err := l.pools.readers.QueryRow(ctx, getMeta).Scan(&l.id, &root); err != nil {
		return fmt.Errorf("read what ledger this is: %w", err)
	}
	if want := l.options.RootPrint; len(want) > 0 && string(root) != string(want) {
		return fmt.Errorf("DOORBUSTER_ROOT_KEY is not the one this ledger was begun with (its print is %s, this one's %s): every node needs the same key",
			short(root), short(want))
	}
	return nil
}

// short is enough of a print to tell two keys apart.
func short(print []byte) string { return hex.EncodeToString(print[:min(4, len(print))]) }

// startClock begins at the database's time, or a later one that stands in the
// books.
func (l *Ledger) startClock(ctx context.Context) error {
	wall := l.options.Now
	if wall == nil {
		l.wall = &serverWall{ticks: l.options.Ticks}
		wall = l.wall.now
		if err := l.Ping(ctx); err != nil {
			return err
		}
	}
	var latest *time.Time // every transaction leaves its time with its sale
	if err := l.pools.readers.QueryRow(ctx, "SELECT max(at) FROM sales").Scan(&latest); err != nil {
		return fmt.Errorf("read latest time: %w", err)
	}
	floor := time.Time{}
	if latest != nil {
		floor = *latest
	}
	l.clock = ledger.NewClock(wall, l.options.Ticks, floor)
	return nil
}

// Clock returns the ledger's clock: the one by which holds end and sales open.
func (l *Ledger) Clock() *ledger.Clock { return l.clock }

// ID names the ledger: another database, even one with the same sales, bears
// another.
func (l *Ledger) ID() string { return l.id }

// SetBuckets says how many buckets the sales get that are published from now
// on. It is called before anything is published.
func (l *Ledger) SetBuckets(n int) { l.options.Buckets = n }

// Warnings are what an operator should know about how this ledger is set up,
// one sentence each.
func (l *Ledger) Warnings() []string { return l.warnings }

// Fatal yields one error when a rule panicked in the middle of a transaction: no
// order changes here from then on, and the node must end. What goes wrong in the
// database ends a call, not the node.
func (l *Ledger) Fatal() <-chan error { return l.fatal }

// Close waits for calls that still run and closes every connection. Closing
// twice changes nothing.
func (l *Ledger) Close() error {
	l.pools.close()
	return nil
}
