package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/ledger/ledgertest"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// server is the PostgreSQL of all tests but those that hurt theirs.
var server *shared //nolint:gochecknoglobals // starting one for each test would take minutes

// shared hands out databases, each to one test at a time.
type shared struct {
	*servers.Postgres
	mu   sync.Mutex
	free []string
	made int
}

func TestMain(m *testing.M) {
	// The random walks are the same for every machine; here each step of one
	// is several fsyncs. More: -rapid.checks.
	err := flag.Set("rapid.checks", "20")
	code := 1
	if err == nil {
		code, err = withServer(m.Run)
	}
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "doorbuster-postgres-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := servers.StartPostgres(context.Background(), dir)
	if err != nil {
		return 1, err
	}
	server = &shared{Postgres: p}
	code := run()
	return code, p.Stop()
}

// wipe empties a database that a test is done with.
const wipe = `DO $$ DECLARE one text; BEGIN
	FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'doorbuster' AND tablename NOT IN ('meta', 'goose_db_version') LOOP
		EXECUTE 'DELETE FROM doorbuster.' || one;
	END LOOP;
	UPDATE doorbuster.meta SET root = NULL;
END $$`

// database returns the URL of an empty database that is the test's own.
func (s *shared) database(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		s.made++
		name := fmt.Sprint("case", s.made)
		if err := s.CreateDatabase(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		s.free = append(s.free, name)
	}
	name := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	t.Cleanup(func() {
		execute(t, s.URL(name), wipe)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, name)
	})
	return s.URL(name)
}

// execute runs a statement past the ledger.
func execute(t testing.TB, url, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, time *ledgertest.Time) ledgertest.Machine {
		return machine(t, server.database(t), time, func(*postgres.Ledger) {})
	})
}

// TestLedgerThatGuesses: whether it looks at claims and buyers before it decides,
// or is told by its tables, changes nothing.
func TestLedgerThatGuesses(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, time *ledgertest.Time) ledgertest.Machine {
		return machine(t, server.database(t), time, (*postgres.Ledger).LookNever)
	})
}

// machine opens the database's ledger for the suite.
func machine(t *testing.T, url string, time *ledgertest.Time, tune func(*postgres.Ledger)) ledgertest.Machine {
	l := open(t, postgres.Options{URL: url, Now: time.Wall, Ticks: time.Ticks, Buckets: 2})
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
			return machine(t, url, time, tune)
		},
	}
}

func open(t testing.TB, options postgres.Options) *postgres.Ledger {
	t.Helper()
	l, err := postgres.Open(t.Context(), options)
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
