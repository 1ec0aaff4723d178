package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

func TestASecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	b := newBook(t, t.TempDir())
	_, err := sqlite.Open(t.Context(), sqlite.Options{Dir: b.dir, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("error %v, want who has it and what to do", err)
	}
	b.mustSell(1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, sqlite.Options{Dir: b.dir, Now: time.Now})
}

func TestTheFolderIsTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	b := newBook(t, dir)
	b.mustSell(1)
	want := map[string]os.FileMode{".": 0o700, "ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600, "lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode().Perm(), err, mode)
		}
	}
}

func TestTheBooksCanBeReadBesideARunningNodeAndAfterIt(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(3)
	claims := func() (n int) {
		t.Helper()
		books, err := sqlite.OpenReadOnly(t.Context(), b.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, books)
		if broken, err := books.Check(t.Context()); err != nil || len(broken) != 0 {
			t.Errorf("check: %v, %v", broken, err)
		}
		err = books.Read(t.Context(), func(v ledger.View) error {
			for _, err := range v.Claims(t.Context()) {
				if err != nil {
					return err
				}
				n++
			}
			b.mustSell(1) // a reader is in nobody's way, and sees one moment
			for _, err := range v.Lines(t.Context()) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := claims(); got != 3 {
		t.Errorf("%d claims, want 3", got)
	}
	if got := claims(); got != 4 {
		t.Errorf("%d claims, want 4", got)
	}
	copyFolder(t, b.dir, filepath.Join(b.dir, "killed")) // what kill -9 leaves: a log that nobody copied
	for _, dir := range []string{b.dir, filepath.Join(b.dir, "killed")} {
		if dir == b.dir {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		books, err := sqlite.OpenReadOnly(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if broken, err := books.Check(t.Context()); err != nil || len(broken) != 0 {
			t.Errorf("check: %v, %v", broken, err)
		}
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFolderWithoutALedgerIsNamed(t *testing.T) {
	dir := t.TempDir()
	_, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("error %v, want the folder and what to give", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger.db"), []byte(strings.Repeat("not a ledger ", 400)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenReadOnly(t.Context(), dir); err == nil {
		t.Error("a file that is no ledger was opened to read")
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Now: time.Now}); err == nil {
		t.Error("a file that is no ledger was opened")
	}
}

func TestALedgerOfANewerProgramIsLeftAlone(t *testing.T) {
	b := newBook(t, t.TempDir())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, b.dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	_, err := sqlite.Open(t.Context(), sqlite.Options{Dir: b.dir, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("error %v, want that it is newer", err)
	}
}

func TestAClosedLedgerAnswersNothing(t *testing.T) {
	b := newBook(t, t.TempDir())
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.sell(1); err == nil {
		t.Error("a closed ledger decided")
	}
	if _, err := b.Order(t.Context(), shop.ClaimID{}); err == nil || errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a closed ledger answers %v", err)
	}
	if _, err := b.Sales(t.Context()); err == nil {
		t.Error("a closed ledger lists its sales")
	}
}

func TestClosingUnderLoadLosesNothingThatWasAnswered(t *testing.T) {
	b := newBook(t, t.TempDir())
	var decided atomic.Int64
	var crowd sync.WaitGroup
	first := make(chan struct{})
	var once sync.Once
	for range 8 {
		tickets := b.tickets(200)
		crowd.Go(func() {
			for i := range tickets {
				if _, err := b.Decide(t.Context(), tickets[i:i+1]); err != nil {
					return
				}
				decided.Add(1)
				once.Do(func() { close(first) })
			}
		})
	}
	<-first
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	crowd.Wait()
	again := &book{Ledger: open(t, sqlite.Options{Dir: b.dir, Now: time.Now}), t: t, sales: b.sales}
	if got := again.held(); got != decided.Load() {
		t.Errorf("%d units held, want the %d that were answered", got, decided.Load())
	}
	again.sound()
}

func TestAnEndedContextDecidesNothing(t *testing.T) {
	b := newBook(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Decide(ctx, b.tickets(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if got := b.held(); got != 0 {
		t.Errorf("%d units held, want none", got)
	}
}

// The notes of the migrations are torn, which the engine cannot tell from
// there being none.
func TestATornTableOfVersionsIsCalledDamage(t *testing.T) {
	dir := t.TempDir()
	l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ledger.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var root, size int
	err = db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'goose_db_version'").Scan(&root)
	if err == nil {
		err = db.QueryRow("PRAGMA page_size").Scan(&size)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt(bytes.Repeat([]byte{0xA5}, size/2), int64(root-1)*int64(size))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	l, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Now: time.Now})
	if err == nil {
		t.Fatal("opened", l.Close())
	}
	if !strings.Contains(err.Error(), "the ledger's file is damaged") {
		t.Errorf("got %q, want it called damage", err)
	}
}
