package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

func TestACommitSurvivesWithoutAClose(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(500)
	killed := filepath.Join(t.TempDir(), "killed")
	copyFolder(t, b.dir, killed)
	again := &book{Ledger: open(t, sqlite.Options{Dir: killed, Now: time.Now}), t: t, sales: b.sales, n: b.n}
	if got := again.held(); got != 500 {
		t.Errorf("%d units held, want 500", got)
	}
	again.sound()
	again.mustSell(1)
}

// damage overwrites the beginning of an index page that holds the text.
func damage(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const indexLeaf = 0x0A
	page := int(binary.BigEndian.Uint16(data[16:])) // where the file says how long a page is
	at := page
	for data[at] != indexLeaf || !bytes.Contains(data[at:at+page], []byte(text)) {
		if at += page; at+page > len(data) {
			t.Fatalf("no page holds %q", text)
		}
	}
	copy(data[at:], bytes.Repeat([]byte{0xFF}, 64))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestATornPageIsFound(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(300)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(b.dir, "ledger.db"), "buyer-")
	again := open(t, sqlite.Options{Dir: b.dir, Now: time.Now})
	broken, err := again.Check(t.Context())
	if err != nil || !strings.Contains(broken[""], "damaged") {
		t.Errorf("check: %v, %v; want the file damaged", broken, err)
	}
}

func TestABalanceThatIsNotItsLinesIsFound(t *testing.T) {
	for name, statement := range map[string]string{
		"a balance":     "UPDATE accounts SET units = units + 1 WHERE name = 1",
		"a line":        "UPDATE lines SET quantity = quantity + 1 WHERE seq = (SELECT max(seq) FROM lines)",
		"a lost line":   "DELETE FROM lines WHERE seq = (SELECT max(seq) FROM lines)",
		"a lost amount": "DELETE FROM accounts WHERE name = 3",
	} {
		b := newBook(t, t.TempDir())
		b.mustSell(3)
		edit(t, b.dir, statement)
		broken, err := b.Check(t.Context())
		if err != nil || len(broken) != 1 || broken["s"] == "" {
			t.Errorf("%s changed: %v, %v; want the sale broken", name, broken, err)
		}
	}
}

// rewire makes every descriptor on the file lead to another one, and returns
// how to undo it.
func rewire(t *testing.T, file string, flag int, to string) (undo func()) {
	t.Helper()
	target, err := os.OpenFile(to, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, target)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	var wired []int
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if path, _ := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && path == file {
			wired = append(wired, fd)
		}
	}
	if len(wired) == 0 {
		t.Fatalf("nobody has %s open", file)
	}
	var undos []func()
	for _, fd := range wired {
		saved, err := syscall.Dup(fd)
		if err == nil {
			err = syscall.Dup3(int(target.Fd()), fd, syscall.O_CLOEXEC)
		}
		if err != nil {
			t.Fatal(err)
		}
		undos = append(undos, func() {
			if err := syscall.Dup3(saved, fd, syscall.O_CLOEXEC); err != nil {
				t.Error(err)
			}
			_ = syscall.Close(saved)
		})
	}
	return func() {
		for _, undo := range undos {
			undo()
		}
	}
}

// emptyLog copies the log into the file, so that nothing is read from it.
func emptyLog(t *testing.T, dir string) {
	t.Helper()
	db := rawDB(t, filepath.Join(dir, "ledger.db"))
	defer closed(t, db)
	if _, err := db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskRefusesTheBatchAndGoesOnWhenThereIsRoom(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(10)
	emptyLog(t, b.dir)
	undo := rewire(t, filepath.Join(b.dir, "ledger.db-wal"), os.O_WRONLY, "/dev/full")
	late := b.tickets(5)
	for range 3 {
		if _, err := b.Decide(t.Context(), late); !errors.Is(err, ledger.ErrFull) {
			t.Fatalf("error %v, want %v", err, ledger.ErrFull)
		}
	}
	undo()
	if got := b.held(); got != 10 {
		t.Errorf("%d units held, want 10", got)
	}
	if _, err := b.Decide(t.Context(), late); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := b.held(); got != 15 {
		t.Errorf("%d units held, want 15", got)
	}
	b.sound()
}

// stopped returns what the ledger says has stopped it.
func (b *book) stopped() error {
	b.t.Helper()
	select {
	case err := <-b.Fatal():
		if err == nil {
			b.t.Fatal("no reason given")
		}
		return err
	default:
		b.t.Fatal("the ledger goes on")
		return nil
	}
}

func TestAFailedWriteEndsTheLedgerForEver(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(10)
	emptyLog(t, b.dir)
	undo := rewire(t, filepath.Join(b.dir, "ledger.db-wal"), os.O_RDONLY, os.DevNull)
	_, first := b.sell(1)
	undo()
	if first == nil {
		t.Fatal("decided without a disk")
	}
	stopped := b.stopped()
	if _, err := b.sell(1); err == nil || errors.Is(err, ledger.ErrFull) {
		t.Errorf("error %v, want the one that stopped it", err)
	}
	if _, err := b.Stand(t.Context(), "s"); err == nil {
		t.Error("a stopped ledger answers")
	}
	if err := b.Close(); !errors.Is(err, stopped) {
		t.Errorf("closed with %v, want what stopped it: %v", err, stopped)
	}
	again := &book{Ledger: open(t, sqlite.Options{Dir: b.dir, Now: time.Now}), t: t, sales: b.sales, n: b.n}
	if got := again.held(); got < 10 || got > 11 {
		t.Errorf("%d units held, want 10, or 11 where the write had happened", got)
	}
	again.sound()
}

func TestARuleThatPanicsEndsTheLedgerForEver(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(10)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic does not reach whoever called")
			}
		}()
		t.Error(b.Panic(t.Context()))
	}()
	stopped := b.stopped()
	if _, err := b.sell(1); !errors.Is(err, stopped) {
		t.Errorf("error %v, want what stopped it: %v", err, stopped)
	}
	if err := b.Close(); !errors.Is(err, stopped) {
		t.Errorf("closed with %v, want what stopped it: %v", err, stopped)
	}
	killed := filepath.Join(t.TempDir(), "killed") // this process keeps the locks of the open transaction
	copyFolder(t, b.dir, killed)
	again := &book{Ledger: open(t, sqlite.Options{Dir: killed, Now: time.Now}), t: t, sales: b.sales, n: b.n}
	if got := again.held(); got != 10 {
		t.Errorf("%d units held, want 10", got)
	}
	again.sound()
	again.mustSell(1)
}

func TestACopyThatFailsWhileTheLedgerClosesKeepsTheLog(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(10)
	b.CopyUntilClose(t.Context())
	if err, stopped := b.Close(), b.stopped(); !errors.Is(err, stopped) {
		t.Errorf("closed with %v, want what stopped it: %v", err, stopped)
	}
	info, err := os.Stat(filepath.Join(b.dir, "ledger.db-wal"))
	if err != nil || info.Size() == 0 {
		t.Fatalf("the log is gone (%v), and with it what the disk never got", err)
	}
	again := &book{Ledger: open(t, sqlite.Options{Dir: b.dir, Now: time.Now}), t: t, sales: b.sales, n: b.n}
	if got := again.held(); got != 10 {
		t.Errorf("%d units held, want 10", got)
	}
	again.sound()
}

func TestTheLogStaysShortWhileOrdersCome(t *testing.T) {
	b := newBook(t, t.TempDir())
	for range 20 {
		b.mustSell(1000) // some 1,000 pages each
	}
	info, err := os.Stat(filepath.Join(b.dir, "ledger.db-wal"))
	if err != nil || info.Size() > 40<<20 {
		t.Errorf("the log has %d bytes, %v; want less than half of what was written", info.Size(), err)
	}
	b.sound()
}

func TestATinyDiskFillsAndEmptiesAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a small tmpfs; the same is tested on /dev/full")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no tmpfs here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBook(t, filepath.Join(dir, "data"))
	var sold int64
	var full error
	for range 400 {
		if _, full = b.sell(64); full != nil {
			break
		}
		sold += 64
	}
	if !errors.Is(full, ledger.ErrFull) {
		t.Fatalf("after %d orders: %v, want %v", sold, full, ledger.ErrFull)
	}
	if got := b.held(); got != sold {
		t.Errorf("%d units held, want %d", got, sold)
	}
	b.sound()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	b.mustSell(64)
	if got := b.held(); got != sold+64 {
		t.Errorf("%d units held, want %d", got, sold+64)
	}
	b.sound()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
