package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logOf opens a connection with few pages in memory and a buffer before its
// log, and a table to write to.
func logOf(t *testing.T, path string) *conn {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := dialWriter(t.Context(), path, "journal_mode = wal", "cache_size = 8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	mustExec(t, c, "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)")
	if err := c.bufferLog(); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustExec(t *testing.T, c *conn, query string, args ...any) {
	t.Helper()
	if err := c.exec(context.WithoutCancel(t.Context()), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, c *conn) int64 {
	t.Helper()
	n, err := c.number(t.Context(), "SELECT count(*) FROM rows WHERE length(text) = 3000")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// write begins a transaction that does not fit into memory, nor into the
// buffer.
func write(t *testing.T, c *conn, from, to int64) {
	t.Helper()
	mustExec(t, c, "BEGIN IMMEDIATE")
	for id := from; id < to; id++ {
		mustExec(t, c, "INSERT INTO rows VALUES (?, ?)", id, strings.Repeat("x", 3000))
	}
	if got := count(t, c); got != to {
		t.Errorf("%d rows are seen from within, want %d", got, to)
	}
}

func TestALargeTransactionIsReadBackCommittedAndRolledBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	c := logOf(t, path)
	reader, err := dial(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.close(); err != nil {
			t.Error(err)
		}
	})
	write(t, c, 0, 500)
	if got := count(t, reader); got != 0 {
		t.Errorf("another connection sees %d rows before the commit, want none", got)
	}
	mustExec(t, c, "COMMIT")
	if got := count(t, reader); got != 500 {
		t.Errorf("another connection sees %d rows, want 500", got)
	}
	write(t, c, 500, 900)
	mustExec(t, c, "ROLLBACK")
	write(t, c, 500, 600)
	mustExec(t, c, "COMMIT")
	mustExec(t, c, "PRAGMA wal_checkpoint(RESTART)")
	write(t, c, 600, 700)
	mustExec(t, c, "COMMIT")
	if got := count(t, reader); got != 700 {
		t.Errorf("another connection sees %d rows, want 700", got)
	}
	err = reader.each(t.Context(), "PRAGMA integrity_check", func(r row) error {
		if text := r.text(0); text != "ok" {
			return fmt.Errorf("the file is damaged: %s", text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What a kill leaves is what the files hold: a copy of them shows it.
func TestACommitIsInTheFilesWhenItReturns(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	c := logOf(t, filepath.Join(dir, "ledger.db"))
	write(t, c, 0, 50)
	mustExec(t, c, "COMMIT")
	write(t, c, 50, 90) // not committed
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, c, "ROLLBACK")
	if got := count(t, logOf(t, filepath.Join(copied, "ledger.db"))); got != 50 {
		t.Errorf("%d rows are in the files, want 50", got)
	}
}
