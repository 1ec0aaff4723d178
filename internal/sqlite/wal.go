package sqlite

import (
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// walRoom is how much of the log is written at once: sixty pages. The engine
// writes each page with two calls of the kernel, its header first, and cannot
// write 128 KiB or more in one.
const walRoom = 124 << 10

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
	*shim
	from int64 // where in the file pending begins
	size int32 // of pending, which is the shim's room

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
func (c *conn) bufferLog() (err error) {
	if c.log, err = c.shim(sqlite3.SQLITE_FCNTL_JOURNAL_POINTER, walRoom); err == nil {
		(&walBuffer{shim: c.log}).install()
	}
	return err
}

// install gives the file a table of methods that writes what is pending before
// it does anything else.
func (b *walBuffer) install() {
	under, table := b.engine(), b.table()
	b.close = func(tls *libc.TLS, file uintptr) int32 {
		flushed := b.flush(tls)
		b.unmount()
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
	b.keep = b
	b.mount()
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
	libc.Xmemcpy(tls, b.room()+uintptr(b.size), memory, libc.Tsize_t(size)) //nolint:gosec // a page at most
	b.size += size
	return sqlite3.SQLITE_OK
}

// flush writes what is pending, and forgets it even where that fails: the
// transaction that it belongs to fails.
func (b *walBuffer) flush(tls *libc.TLS) int32 {
	size := b.size
	b.size = 0
	if size == 0 {
		return sqlite3.SQLITE_OK
	}
	return b.engineWrite(tls, b.room(), size, b.from)
}

func (b *walBuffer) engineWrite(tls *libc.TLS, memory uintptr, size int32, from int64) int32 {
	return function[mover](b.engine().FxWrite)(tls, b.file, memory, size, from)
}
