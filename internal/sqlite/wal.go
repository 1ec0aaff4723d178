package sqlite

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// walRoom is how much of the log is written at once: thirty pages. The engine
	// writes each page with two calls of the kernel, its header first, and cannot
	// write 128 KiB or more in one.
	walRoom = 124 << 10

	// walMethods is the room before it for the table of methods.
	walMethods = 4 << 10
)

// walBuffer stands between the engine and the file of its log, and writes what
// follows one another in one piece: a twentieth of an order's CPU. Nothing of
// it outlives a sync, and the engine tells nobody of a page before it has
// synced: it is as safe as the kernel's own memory, which a power cut empties
// too. What a kill takes with it was promised to nobody.
//
// A write that fails later than the engine thinks is told by the next call,
// at the latest by the sync before the commit: the transaction fails all the
// same, and what was not written is forgotten.
type walBuffer struct {
	memory []byte // the methods, then pending
	base   uintptr
	file   uintptr // *sqlite3_file
	under  uintptr // *sqlite3_io_methods of the engine's own

	from int64 // where in the file pending begins
	size int32 // of pending

	// The table at base does not keep alive what it leads to.
	close    closer
	read     mover
	write    mover
	truncate truncator
	sync     syncer
	fileSize sizer
	control  controller
}

// bufferLog puts a walBuffer in front of the log that the connection has open;
// it must have read before.
func (c *conn) bufferLog() error {
	name, err := libc.CString("main")
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, name)
	rc := sqlite3.Xsqlite3_file_control(c.tls, c.db, name, sqlite3.SQLITE_FCNTL_JOURNAL_POINTER, c.base)
	if err := c.fault(rc); err != nil {
		return err
	}
	b := &walBuffer{file: c.out()}
	b.under = at[sqlite3.Tsqlite3_file](b.file).FpMethods
	if b.under == 0 {
		return errors.New("sqlite: the log is not open")
	}
	b.memory, err = syscall.Mmap(-1, 0, walMethods+walRoom, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("memory for the log: %w", err)
	}
	b.base = uintptr(unsafe.Pointer(unsafe.SliceData(b.memory))) //nolint:gosec // memory that never moves
	b.install()
	c.log = b
	return nil
}

// unbuffer gives the memory back, once the engine has closed the file.
func (c *conn) unbuffer() error {
	if c.log == nil {
		return nil
	}
	return syscall.Munmap(c.log.memory)
}

// at is what lies at an address that the engine gave.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) } //nolint:gosec // off Go's heap

// method is the address by which the engine calls a function.
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

// install gives the file a table of methods that writes what is pending before
// it does anything else.
func (b *walBuffer) install() {
	under := at[sqlite3.Tsqlite3_io_methods](b.under)
	table := at[sqlite3.Tsqlite3_io_methods](b.base)
	*table = *under
	b.close = func(tls *libc.TLS, file uintptr) int32 {
		flushed := b.flush(tls)
		at[sqlite3.Tsqlite3_file](b.file).FpMethods = b.under
		return max(flushed, function[closer](under.FxClose)(tls, file))
	}
	b.read = func(tls *libc.TLS, file, memory uintptr, size int32, from int64) int32 {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		return function[mover](under.FxRead)(tls, file, memory, size, from)
	}
	b.write = b.gather
	b.truncate = func(tls *libc.TLS, file uintptr, size int64) int32 {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		return function[truncator](under.FxTruncate)(tls, file, size)
	}
	b.sync = func(tls *libc.TLS, file uintptr, flags int32) int32 {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		return function[syncer](under.FxSync)(tls, file, flags)
	}
	b.fileSize = func(tls *libc.TLS, file, answer uintptr) int32 {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		return function[sizer](under.FxFileSize)(tls, file, answer)
	}
	b.control = func(tls *libc.TLS, file uintptr, operation int32, argument uintptr) int32 {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		return function[controller](under.FxFileControl)(tls, file, operation, argument)
	}
	table.FxClose, table.FxRead, table.FxWrite = method(&b.close), method(&b.read), method(&b.write)
	table.FxTruncate, table.FxSync = method(&b.truncate), method(&b.sync)
	table.FxFileSize, table.FxFileControl = method(&b.fileSize), method(&b.control)
	at[sqlite3.Tsqlite3_file](b.file).FpMethods = b.base
}

// gather keeps what goes on where the pending ends, as far as there is room.
func (b *walBuffer) gather(tls *libc.TLS, _, memory uintptr, size int32, from int64) int32 {
	if from != b.from+int64(b.size) || b.size+size > walRoom {
		if rc := b.flush(tls); rc != sqlite3.SQLITE_OK {
			return rc
		}
		b.from = from
	}
	if size > walRoom {
		return b.engineWrite(tls, memory, size, from)
	}
	libc.Xmemcpy(tls, b.pending()+uintptr(b.size), memory, libc.Tsize_t(size)) //nolint:gosec // a page at most
	b.size += size
	return sqlite3.SQLITE_OK
}

func (b *walBuffer) pending() uintptr { return b.base + walMethods }

// flush writes what is pending, and forgets it even where that fails: the
// transaction that it belongs to fails.
func (b *walBuffer) flush(tls *libc.TLS) int32 {
	size := b.size
	b.size = 0
	if size == 0 {
		return sqlite3.SQLITE_OK
	}
	return b.engineWrite(tls, b.pending(), size, b.from)
}

func (b *walBuffer) engineWrite(tls *libc.TLS, memory uintptr, size int32, from int64) int32 {
	return function[mover](at[sqlite3.Tsqlite3_io_methods](b.under).FxWrite)(tls, b.file, memory, size, from)
}
