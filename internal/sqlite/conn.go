package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection with its prepared statements, on the engine itself:
// database/sql and its driver take the connection's mutex for each parameter,
// look each one up and copy it. One goroutine at a time.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	stmts map[string]statement

	// What the engine reads and writes while it runs, off Go's heap: two
	// pointers that it returns, then the parameters of the running statement.
	scratch []byte
	base    uintptr

	log, file *shim // in front of the connection's files; nil: the engine's own methods
}

type statement struct {
	handle uintptr
	params int
}

const (
	scratchSize = 64 << 10
	outSize     = 16 // of the returned pointers
)

// fault is an error of the engine.
type fault struct {
	code int // extended result code
	text string
}

func (f *fault) Error() string { return fmt.Sprintf("%s (%d)", f.text, f.code) }

// dial opens the file and runs the pragmas.
func dial(ctx context.Context, path string, write bool, pragmas ...string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), stmts: map[string]statement{}}
	if err := c.grow(scratchSize); err != nil {
		return nil, err
	}
	name, err := libc.CString(path)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	defer libc.Xfree(c.tls, name)
	flags := int32(sqlite3.SQLITE_OPEN_NOMUTEX | sqlite3.SQLITE_OPEN_READONLY)
	if write {
		flags = sqlite3.SQLITE_OPEN_NOMUTEX | sqlite3.SQLITE_OPEN_READWRITE
	}
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, c.base, flags, 0)
	c.db = c.out()
	if err := c.fault(rc); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), c.close())
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	for _, pragma := range pragmas {
		if err := c.exec(ctx, "PRAGMA "+pragma); err != nil {
			return nil, errors.Join(fmt.Errorf("open ledger: %w", err), c.close())
		}
	}
	return c, nil
}

// grow makes room for so many bytes of parameters.
func (c *conn) grow(size int) error {
	if size <= len(c.scratch) {
		return nil
	}
	next, err := syscall.Mmap(-1, 0, max(size, 2*len(c.scratch)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("memory for parameters: %w", err)
	}
	old := c.scratch
	c.scratch, c.base = next, uintptr(unsafe.Pointer(unsafe.SliceData(next))) //nolint:gosec // memory that never moves
	if old == nil {
		return nil
	}
	return syscall.Munmap(old)
}

// close ends the connection; there need not be one.
func (c *conn) close() error {
	if c == nil {
		return nil
	}
	for _, s := range c.stmts {
		sqlite3.Xsqlite3_finalize(c.tls, s.handle)
	}
	err := c.fault(sqlite3.Xsqlite3_close_v2(c.tls, c.db))
	c.tls.Close()
	return errors.Join(err, c.log.free(), c.file.free(), syscall.Munmap(c.scratch))
}

// out is the first pointer or number that the engine returned.
func (c *conn) out() uintptr {
	return uintptr(binary.NativeEndian.Uint64(c.scratch))
}

func (c *conn) fault(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	text := libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 {
		text = libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))
	}
	return &fault{code: int(rc), text: text}
}

func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.compile(query)
	if err == nil {
		c.stmts[query] = s
	}
	return s, err
}

func (c *conn) compile(query string) (statement, error) {
	text, err := libc.CString(query)
	if err != nil {
		return statement{}, err
	}
	defer libc.Xfree(c.tls, text)
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, c.base, c.base+8)
	if err := c.fault(rc); err != nil {
		return statement{}, err
	}
	s := statement{handle: c.out()}
	s.params = int(sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.handle))
	return s, nil
}

// bind sets the statement's parameters: int64, string or []byte. The engine
// reads texts where they lie, until the statement is reset.
func (c *conn) bind(s statement, args []any) error {
	if len(args) != s.params {
		return fmt.Errorf("sqlite: %d parameters for a statement of %d", len(args), s.params)
	}
	size := outSize
	for _, arg := range args {
		switch value := arg.(type) {
		case string:
			size += len(value)
		case []byte:
			size += len(value)
		}
	}
	if err := c.grow(size); err != nil {
		return err
	}
	at := outSize
	for i, arg := range args {
		n, rc := int32(i)+1, int32(sqlite3.SQLITE_MISUSE)
		switch value := arg.(type) {
		case int64:
			rc = sqlite3.Xsqlite3_bind_int64(c.tls, s.handle, n, value)
		case string:
			length := copy(c.scratch[at:], value)
			rc = sqlite3.Xsqlite3_bind_text(c.tls, s.handle, n, c.base+uintptr(at), int32(length), 0) //nolint:gosec // a document at most
			at += length
		case []byte:
			length := copy(c.scratch[at:], value)
			rc = sqlite3.Xsqlite3_bind_blob(c.tls, s.handle, n, c.base+uintptr(at), int32(length), 0) //nolint:gosec // a hash at most
			at += length
		}
		if err := c.fault(rc); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement whose text is a constant and wants no answer.
func (c *conn) exec(ctx context.Context, query string, args ...any) error {
	return c.each(ctx, query, func(row) error { return nil }, args...)
}

// each calls visit with every row of the answer. visit must neither keep the
// row nor use the connection. When ctx ends, so does a statement that reads;
// one that writes must be given a ctx that does not.
func (c *conn) each(ctx context.Context, query string, visit func(row) error, args ...any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	if err := c.bind(s, args); err != nil {
		return err
	}
	defer c.interruptible(ctx)()
	for {
		more, err := c.step(s.handle)
		if err == nil && more {
			err = visit(row{c, s.handle})
		}
		if err != nil || !more {
			sqlite3.Xsqlite3_reset(c.tls, s.handle)
			return err
		}
	}
}

// interruptible lets the end of ctx break a running statement off, until the
// function it returns is called.
func (c *conn) interruptible(ctx context.Context) (done func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		tls := libc.NewTLS() // of this goroutine
		sqlite3.Xsqlite3_interrupt(tls, c.db)
		tls.Close()
		close(ended)
	})
	return func() {
		if !stop() {
			<-ended // else it would hit the next statement
		}
	}
}

// step moves to the next row and reports whether there is one.
func (c *conn) step(handle uintptr) (bool, error) {
	switch rc := sqlite3.Xsqlite3_step(c.tls, handle); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, c.fault(rc)
	}
}

// number returns the only number of the answer, 0 for none.
func (c *conn) number(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := c.each(ctx, query, func(r row) error {
		n = r.int(0)
		return nil
	}, args...)
	return n, err
}

// pagesWritten counts the pages that the connection has written to the log.
func (c *conn) pagesWritten() (int, error) {
	rc := sqlite3.Xsqlite3_db_status(c.tls, c.db, sqlite3.SQLITE_DBSTATUS_CACHE_WRITE, c.base, c.base+8, 0)
	return int(int32(c.out())), c.fault(rc) //nolint:gosec // a C int in the lower half
}

// row is the row on which a statement stands.
type row struct {
	conn   *conn
	handle uintptr
}

func (r row) int(i int32) int64 {
	return sqlite3.Xsqlite3_column_int64(r.conn.tls, r.handle, i)
}

func (r row) text(i int32) string { return string(r.blob(i)) }

// blob is good until the statement moves on.
func (r row) blob(i int32) []byte {
	at := sqlite3.Xsqlite3_column_blob(r.conn.tls, r.handle, i)
	size := sqlite3.Xsqlite3_column_bytes(r.conn.tls, r.handle, i)
	if at == 0 || size == 0 {
		return nil
	}
	return libc.GoBytes(at, int(size))
}

// time reads milliseconds; 0 is no time.
func (r row) time(i int32) time.Time {
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

// cursor walks an answer with a statement of its own.
type cursor struct {
	conn *conn
	stmt statement
}

func (c *conn) walk(query string, args ...any) (*cursor, error) {
	s, err := c.compile(query)
	if err != nil {
		return nil, err
	}
	// The engine reads the parameters where they lie: numbers only, for others
	// run while the cursor stands.
	if err := c.bind(s, args); err != nil {
		sqlite3.Xsqlite3_finalize(c.tls, s.handle)
		return nil, err
	}
	return &cursor{c, s}, nil
}

// next returns the next row, and false at the end.
func (c *cursor) next(ctx context.Context) (row, bool, error) {
	if err := ctx.Err(); err != nil {
		return row{}, false, err
	}
	more, err := c.conn.step(c.stmt.handle)
	return row{c.conn, c.stmt.handle}, more, err
}

func (c *cursor) close() { sqlite3.Xsqlite3_finalize(c.conn.tls, c.stmt.handle) }
