package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The order of these limits matters: a node that stands still with a sale's
// row locked loses it before those who wait for it give up, and they give up
// before their callers do.
const (
	idleInTransactionMax = 2 * time.Second
	lockMax              = 3 * time.Second
	statementMax         = 4 * time.Second
	callMax              = 5 * time.Second
	connectMax           = 3 * time.Second

	// auditIdleMax is how long an auditor may think between two questions.
	auditIdleMax = time.Minute
)

// Each pool serves one kind of work, so that a crowd in one does not keep the
// others waiting. All in all a node has 17 connections, and two for offices.
const (
	workerConns   = 4 // decide and supply: two workers, and the supplier beside them
	expiryConns   = 2
	operatorConns = 3
	readerConns   = 6
	booksConns    = 2 // an audit, and another one asked for
)

// pools are a node's connections, by what they are for.
type pools struct {
	worker    *pgxpool.Pool // Decide, Grant, Reclaim, Bump, Flip
	expiry    *pgxpool.Pool // Due, Expire
	operators *pgxpool.Pool // Pay, Cancel, Refund, List, Publish, Move
	readers   *pgxpool.Pool // Order, Standing, Stand, Grants, Decided, Sales
	books     *pgxpool.Pool // Read, Check
}

// schemaName holds everything that is ours.
const schemaName = "doorbuster"

// openPools connects as the roles; an empty one is the user of the URL.
func openPools(ctx context.Context, url, app, operator string) (p pools, err error) {
	for _, one := range []struct {
		pool **pgxpool.Pool
		size int32
		set  settings
	}{
		{&p.worker, workerConns, settings{role: app, steady: true}},
		{&p.expiry, expiryConns, settings{role: app, steady: true}},
		{&p.operators, operatorConns, settings{role: operator, steady: true}},
		{&p.readers, readerConns, settings{role: app, steady: true}},
		{&p.books, booksConns, settings{role: operator, books: true}},
	} {
		if *one.pool, err = openPool(ctx, url, one.size, one.set); err != nil {
			p.close()
			return pools{}, err
		}
	}
	return p, nil
}

func (p *pools) close() {
	for _, pool := range []*pgxpool.Pool{p.worker, p.expiry, p.operators, p.readers, p.books} {
		if pool != nil {
			pool.Close()
		}
	}
}

// settings of a connection.
type settings struct {
	role   string // empty: the user of the URL
	steady bool   // short statements whose plans must not depend on statistics
	books  bool   // long readings
	any    bool   // a standby will do
}

func openPool(ctx context.Context, url string, size int32, set settings) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	config.MaxConns = size
	config.PingTimeout = time.Second // a frozen server is found out before the call has to end
	config.MaxConnIdleTime = 5 * time.Minute
	set.apply(config.ConnConfig)
	return pgxpool.NewWithConfig(ctx, config)
}

// unreadable says what is wrong with a URL. pgx quotes the URL, and hides a
// password in it only where that is written as it should be.
func unreadable(err error) error {
	text := err.Error()
	if _, quotes := errors.AsType[*pgconn.ParseConfigError](err); quotes {
		text = text[strings.LastIndex(text, "`: ")+len("`: "):]
	}
	return errors.New("database URL: " + text)
}

// apply puts the settings into a connection's first message, so that they
// cost no round trip and cannot be lost.
func (s settings) apply(config *pgx.ConnConfig) {
	params := config.RuntimeParams
	params["application_name"] = "doorbuster"
	params["search_path"] = schemaName
	params["timezone"] = "UTC"
	params["lock_timeout"] = millis(lockMax)
	params["statement_timeout"] = millis(statementMax)
	params["idle_in_transaction_session_timeout"] = millis(idleInTransactionMax)
	if s.role != "" {
		params["role"] = s.role
	}
	if s.books {
		params["statement_timeout"] = "0"
		params["idle_in_transaction_session_timeout"] = millis(auditIdleMax)
	}
	if s.steady {
		// Every statement finds its rows by an index. A plan made while the
		// tables were small must not survive their growth.
		for _, off := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
			params[off] = "off"
		}
		params["plan_cache_mode"] = "force_generic_plan"
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectMax {
		config.ConnectTimeout = connectMax
	}
	if config.ValidateConnect == nil && !s.any {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
