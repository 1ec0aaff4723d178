package sqlite

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// shim is a table of methods of ours in front of one of the engine's files. The
// engine calls what stands in the table, which need not do the same as before.
type shim struct {
	memory []byte // the table, then room for whoever mounts it
	base   uintptr
	file   uintptr // *sqlite3_file
	under  uintptr // *sqlite3_io_methods of the engine's own
	keep   any     // what the table leads to: the engine's pointers keep nothing alive
}

// tableSize is how much of a shim's memory its table has.
const tableSize = 4 << 10

// shim prepares a shim for a file that the connection has open: its database
// (SQLITE_FCNTL_FILE_POINTER), or its log (SQLITE_FCNTL_JOURNAL_POINTER) once
// it has read.
func (c *conn) shim(which int32, room int) (*shim, error) {
	name, err := libc.CString("main")
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	rc := sqlite3.Xsqlite3_file_control(c.tls, c.db, name, which, c.base)
	if err := c.fault(rc); err != nil {
		return nil, err
	}
	s := &shim{file: c.out()}
	s.under = at[sqlite3.Tsqlite3_file](s.file).FpMethods
	if s.under == 0 {
		return nil, errors.New("sqlite: the file is not open")
	}
	s.memory, err = syscall.Mmap(-1, 0, tableSize+room, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for a file's methods: %w", err)
	}
	s.base = uintptr(unsafe.Pointer(unsafe.SliceData(s.memory))) //nolint:gosec // memory that never moves
	*s.table() = *s.engine()
	return s, nil
}

// table is what the engine calls, once it is mounted.
func (s *shim) table() *sqlite3.Tsqlite3_io_methods { return at[sqlite3.Tsqlite3_io_methods](s.base) }

// engine is what it called before.
func (s *shim) engine() *sqlite3.Tsqlite3_io_methods {
	return at[sqlite3.Tsqlite3_io_methods](s.under)
}

// room is the memory behind the table.
func (s *shim) room() uintptr { return s.base + tableSize }

func (s *shim) mount() { at[sqlite3.Tsqlite3_file](s.file).FpMethods = s.base }

func (s *shim) unmount() { at[sqlite3.Tsqlite3_file](s.file).FpMethods = s.under }

// free gives the memory back, once the engine has closed the file. There need
// not be a shim.
func (s *shim) free() error {
	if s == nil {
		return nil
	}
	return syscall.Munmap(s.memory)
}

// at is what lies at an address that the engine gave.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) } //nolint:gosec // off Go's heap

// method is the address by which the engine calls a function. It does not keep
// the function alive.
func method[F any](function *F) uintptr { return **(**uintptr)(unsafe.Pointer(&function)) } //nolint:gosec // a function value is an address

// function is the function that the engine calls by an address.
func function[F any](method uintptr) F { return *(*F)(unsafe.Pointer(&method)) } //nolint:gosec // the same, back

// The shapes of the methods. All of them answer with a result code.
type (
	closer     = func(tls *libc.TLS, file uintptr) int32
	mover      = func(tls *libc.TLS, file, memory uintptr, size int32, at int64) int32
	truncator  = func(tls *libc.TLS, file uintptr, size int64) int32
	syncer     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizer      = func(tls *libc.TLS, file, answer uintptr) int32
	controller = func(tls *libc.TLS, file uintptr, operation int32, argument uintptr) int32
)
