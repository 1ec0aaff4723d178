package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/ledger/ledgertest"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, time *ledgertest.Time) ledgertest.Machine {
		return machine(t, filepath.Join(t.TempDir(), "data"), time, func(*sqlite.Ledger) {})
	})
}

// TestLedgerThatGuesses: whether it looks at claims and buyers before it decides,
// or is told by its tables, changes nothing.
func TestLedgerThatGuesses(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, time *ledgertest.Time) ledgertest.Machine {
		return machine(t, filepath.Join(t.TempDir(), "data"), time, (*sqlite.Ledger).LookNever)
	})
}

// machine opens the folder's ledger for the suite.
func machine(t *testing.T, dir string, time *ledgertest.Time, tune func(*sqlite.Ledger)) ledgertest.Machine {
	l := open(t, sqlite.Options{Dir: dir, Now: time.Wall, Ticks: time.Ticks, Buckets: 2})
	tune(l)
	end := func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	return ledgertest.Machine{
		Claims: l, Orders: l, Holds: l, Supply: l, Sales: l, Books: l, Lists: l, Clock: l.Clock, Close: end,
		Reopen: func() ledgertest.Machine {
			end()
			return machine(t, dir, time, tune)
		},
	}
}

func open(t testing.TB, options sqlite.Options) *sqlite.Ledger {
	t.Helper()
	l, err := sqlite.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}
