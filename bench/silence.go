package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	// losers come after a sale is sold out, in D5.
	losers = 200_000
	// statsLate is how late PostgreSQL may count a transaction: a session tells
	// what it did at most ten seconds after it fell idle.
	statsLate = 11 * time.Second
)

// silence is D5: what a refusal asks of Redis and PostgreSQL once a sale is
// sold out. What a node asks by itself goes on; it is counted before, and taken
// off for as long a time.
func (b *bench) silence(ctx context.Context) ([]line, error) {
	const units = 1000
	f, err := b.startFleet(ctx, 1, false, openSale("drop", 1, units))
	defer f.end()
	if err != nil {
		return nil, err
	}
	door := f.Nodes[0]
	if err := b.buyUp(door.Buyers, "drop", units); err != nil {
		return nil, err
	}
	count := min(losers, 2*b.pool)
	crowd, err := b.crowd.orders(count, of("drop", "sku-0"))
	if err != nil {
		return nil, err
	}
	books, err := pgx.Connect(ctx, f.Postgres.URL("postgres")) // not the nodes' own, where it would count
	if err != nil {
		return nil, err
	}
	defer func() { _ = books.Close(ctx) }() // nothing to lose
	idle, err := f.during(ctx, books, func() error { return nil })
	if err != nil {
		return nil, err
	}
	rush, err := f.during(ctx, books, func() error {
		_, err := ask(target{&server{door.Process()}, door.Buyers, 64, http.StatusConflict}, time.Minute, crowd.once())
		return err
	})
	if err != nil {
		return nil, err
	}
	longer := rush.took.Seconds() / idle.took.Seconds()
	tell := func(store string, rush, idle float64) line {
		return line{
			what: store + " calls for a refusal, once sold out", goal: atMost(0.001, "calls"), value: spread{max(0, rush-idle) / float64(count)},
			figure: fmt.Sprintf("%.0f while %s were refused, %.0f in as long a time without", rush, strconv.Itoa(count), idle),
		}
	}
	lines := []line{tell(redis, rush.redis, idle.redis*longer), tell(postgres, rush.postgres, idle.postgres*longer)}
	front, err := b.fronted(ctx, door.Buyers, crowd)
	return append(lines, front), err
}

// fronted is what the nginx in front of nodes costs, which every answer passes.
func (b *bench) fronted(ctx context.Context, door string, crowd *requests) (line, error) {
	l := line{what: "nginx in front of nodes: CPU of a refusal that it passes on", goal: noGoal("µs")}
	dir, err := os.MkdirTemp(b.dir, "front-")
	if err != nil {
		return l, err
	}
	site := servers.Site(door)
	site.LimitAddress, site.LimitBuyer = gate.Rate{}, gate.Rate{} // a flood is what it is to pass on
	front, err := servers.StartNginx(ctx, dir, site)
	if err != nil {
		return l, err
	}
	defer func() { _ = front.Stop() }() // its figures are known
	for range b.reps {
		one, err := ask(target{&server{front.Process}, front.Address, 64, http.StatusConflict}, b.period, crowd.again())
		if err != nil {
			return l, err
		}
		l.value = append(l.value, one.cpu)
	}
	l.figure = "without TLS"
	return l, nil
}

// calls are what the stores were asked within some time.
type calls struct {
	redis, postgres float64
	took            time.Duration
}

// during counts what the stores are asked while run runs, and until they have
// counted it.
func (f *fleet) during(ctx context.Context, books *pgx.Conn, run func() error) (calls, error) {
	begun := time.Now()
	before, err := f.asked(ctx, books)
	if err != nil {
		return before, err
	}
	if err := run(); err != nil {
		return before, err
	}
	time.Sleep(statsLate)
	after, err := f.asked(ctx, books)
	return calls{after.redis - before.redis, after.postgres - before.postgres, time.Since(begun)}, err
}

// asked is what the stores were asked since they started.
func (f *fleet) asked(ctx context.Context, books *pgx.Conn) (c calls, err error) {
	text, err := f.Single.Do(ctx, "INFO", "stats")
	if err != nil {
		return c, err
	}
	found := regexp.MustCompile(`total_commands_processed:(\d+)`).FindStringSubmatch(text)
	if found == nil {
		return c, fmt.Errorf("no count of commands in %s", text)
	}
	if c.redis, err = strconv.ParseFloat(found[1], 64); err != nil {
		return c, err
	}
	return c, books.QueryRow(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'doorbuster'").Scan(&c.postgres)
}
