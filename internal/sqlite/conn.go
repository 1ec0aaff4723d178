package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It is used below
// database/sql, whose pool and conversions cost more than the statements do.
// One goroutine at a time.
type conn struct {
	raw   driver.Conn
	stmts map[string]statement
	named []driver.NamedValue // scratch
}

// statement is what the driver's statements can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func dial(dsn string) (*conn, error) {
	raw, err := (&sqlite.Driver{}).Open(dsn)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &conn{raw: raw, stmts: map[string]statement{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, stmt := range c.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func (c *conn) prepare(query string) (statement, error) {
	if stmt, ok := c.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := c.compile(query)
	if err == nil {
		c.stmts[query] = stmt
	}
	return stmt, err
}

func (c *conn) compile(query string) (statement, error) {
	raw, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	stmt, ok := raw.(statement)
	if !ok {
		return nil, errors.New("sqlite: the driver's statements know no context")
	}
	return stmt, nil
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.named = c.named[:0]
	for i, arg := range args {
		c.named = append(c.named, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return c.named
}

// exec runs a statement whose text is a constant. Writing is never broken off
// half-way, so ctx must not end.
func (c *conn) exec(ctx context.Context, query string, args ...driver.Value) error {
	stmt, err := c.prepare(query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx, c.bind(args))
	return err
}

// row is one row of an answer.
type row []driver.Value

func (r row) int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) blob(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

// time reads milliseconds; 0 is no time.
func (r row) time(i int) time.Time {
	if ms := r.int(i); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// each calls visit with every row of the answer; visit must not keep it.
func (c *conn) each(ctx context.Context, query string, visit func(row) error, args ...driver.Value) error {
	stmt, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	current := make(row, len(rows.Columns()))
	for err == nil {
		if err = rows.Next(current); err == nil {
			err = visit(current)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// number returns the only number of the answer, 0 for none.
func (c *conn) number(ctx context.Context, query string, args ...driver.Value) (int64, error) {
	var n int64
	err := c.each(ctx, query, func(r row) error {
		n = r.int(0)
		return nil
	}, args...)
	return n, err
}

// cursor walks an answer with a statement of its own.
type cursor struct {
	stmt    statement
	rows    driver.Rows
	current row
}

func (c *conn) walk(ctx context.Context, query string) (*cursor, error) {
	stmt, err := c.compile(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, stmt.Close())
	}
	return &cursor{stmt: stmt, rows: rows, current: make(row, len(rows.Columns()))}, nil
}

// next returns the next row, and false at the end.
func (c *cursor) next() (row, bool, error) {
	err := c.rows.Next(c.current)
	if errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	return c.current, err == nil, err
}

func (c *cursor) close() error { return errors.Join(c.rows.Close(), c.stmt.Close()) }
