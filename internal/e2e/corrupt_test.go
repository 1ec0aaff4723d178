package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to falsify a ledger
)

const ledgerFile = "ledger.db"

// TestCorruptLedger: a ledger whose pages are torn, or whose books do not
// balance, sells nothing, and everybody who asks is told why.
func TestCorruptLedger(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, string){
		"a torn page": tearPage, "half the pages torn": tearHalf,
		"units out of nowhere": func(t *testing.T, dir string) {
			falsify(t, dir, "UPDATE accounts SET units = units + 1 WHERE name = 1")
		},
		"a line is missing":  func(t *testing.T, dir string) { falsify(t, dir, "DELETE FROM lines WHERE kind = 3 AND seq % 7 = 0") },
		"a quota is too low": func(t *testing.T, dir string) { falsify(t, dir, "UPDATE quotas SET units = 0") },
	} {
		t.Run(name, func(t *testing.T) {
			n, c := opened(t, setup{})
			for range 300 {
				if a := c.buy(t); a.kind() != decided {
					t.Fatalf("before: %s", a)
				}
			}
			n.stop(t)
			spoil(t, n.dir)
			if code, out := doorbuster(t, "audit", "--data", n.dir); code != 1 && code != 2 {
				t.Errorf("audit: exit %d, want 1 or 2\n%s", code, out)
			} else if len(strings.TrimSpace(out)) == 0 {
				t.Error("audit says nothing")
			}
			n.start(t)
			c.turnedAway(t, n)
		})
	}
}

// turnedAway wants a node that sells nothing and says why, or one that ended
// with a sentence.
func (c *counter) turnedAway(t *testing.T, n *node) {
	t.Helper()
	within(t, readyMax, func() error {
		if n.ended() {
			return nil
		}
		status, body := n.health("/readyz")
		if status != http.StatusServiceUnavailable || !tells(body) {
			return fmt.Errorf("readyz: %d %s, want 503 and why", status, body)
		}
		return nil
	})
	if log := n.read(); !tells(log) {
		t.Errorf("the log does not say why nothing is sold:\n%s", tail(log, 2000))
	}
	if n.ended() {
		if n.command.ProcessState.ExitCode() == 0 {
			t.Error("exit code 0")
		}
		return
	}
	if a := c.buy(t); a.status != http.StatusServiceUnavailable {
		t.Errorf("bought from broken books: %s, want 503", a)
	}
}

// tells reports whether a text says what is wrong in words of its own.
func tells(text string) bool {
	return strings.Contains(text, "do not balance") || strings.Contains(text, "damaged") || strings.Contains(text, "invariant is broken")
}

// falsify changes a ledger behind its program's back.
func falsify(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, ledgerFile))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	result, err := db.Exec(statement)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		t.Fatalf("%s: changed %d rows, %v", statement, rows, err)
	}
}

// tearPage overwrites the first half of one page that holds rows, as a disk
// does that loses power in mid-write.
func tearPage(t *testing.T, dir string) {
	tear(t, dir, func(pages int) []int { return []int{pages / 2} })
}

func tearHalf(t *testing.T, dir string) {
	tear(t, dir, func(pages int) []int {
		rng := rand.New(rand.NewPCG(seed(t), 0))
		return rng.Perm(pages - 1)[:pages/2]
	})
}

// tear spoils the chosen pages; the first one, which says what the file is,
// is spared.
func tear(t *testing.T, dir string, choose func(pages int) []int) {
	t.Helper()
	path := filepath.Join(dir, ledgerFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int(data[16])<<8 | int(data[17]) // the header's
	if !bytes.HasPrefix(data, []byte("SQLite format 3")) || size < 512 {
		t.Fatalf("%s is no ledger", path)
	}
	for _, page := range choose(len(data) / size) {
		begin := max(page, 1) * size
		copy(data[begin:], bytes.Repeat([]byte{0xA5}, size/2))
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
