package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doorbuster/doorbuster/internal/postgres"
)

// denied wants the role to lack the right to each statement.
func denied(t *testing.T, url, role string, statements ...string) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(ctx, "SET search_path = doorbuster, public; SET ROLE "+role); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		_, err := conn.Exec(ctx, statement)
		if fault, ok := errors.AsType[*pgconn.PgError](err); !ok || fault.Code != "42501" {
			t.Errorf("%s: %s: %v, want permission denied", role, statement, err)
		}
	}
}

func TestTheProgramsRolesCannotChangeWhatIsWritten(t *testing.T) {
	b := newBook(t, server.database(t))
	b.mustSell(1)
	for _, role := range []string{"doorbuster_app", "doorbuster_operator"} {
		denied(t, b.url, role,
			"UPDATE lines SET quantity = 0", "DELETE FROM lines", "TRUNCATE lines",
			"DELETE FROM claims", "UPDATE claims SET quantity = 2", "UPDATE claims SET buyer = 'me'", "UPDATE claims SET line = 0",
			"DELETE FROM quotas", "DELETE FROM accounts", "DELETE FROM charges", "UPDATE charges SET amount = 0",
			"UPDATE revisions SET document = ''", "DELETE FROM revisions", "DELETE FROM sales", "UPDATE meta SET oldest = 9",
			"DELETE FROM gate_entries",
			"CREATE TABLE mine (i int)", "CREATE TABLE public.mine (i int)", "ALTER TABLE lines ADD COLUMN i int", "DROP TABLE lines",
		)
	}
	denied(t, b.url, "doorbuster_app", "INSERT INTO sales (name, buckets, at) VALUES ('x', 1, now())",
		"INSERT INTO revisions (sale, number, seq, at, hash, document) VALUES (1, 9, 1, now(), '', '')", "UPDATE sales SET revision = 9",
		"UPDATE gate_entries SET struck = true", "INSERT INTO gate_lists (one, change) VALUES (true, 1)")
}

func TestTheProgramWorksInItsRoles(t *testing.T) {
	b := newBook(t, server.database(t))
	if warnings := b.Warnings(); len(warnings) != 0 {
		t.Errorf("warnings %q, want none", warnings)
	}
	execute(t, b.url, "REVOKE INSERT ON doorbuster.claims FROM doorbuster_app")
	_, err := b.Decide(t.Context(), b.tickets("s", 1))
	execute(t, b.url, "GRANT INSERT ON doorbuster.claims TO doorbuster_app")
	if fault, ok := errors.AsType[*pgconn.PgError](err); !ok || fault.Code != "42501" {
		t.Errorf("decided without the role's right: %v", err)
	}
	b.mustSell(1)
}

// userURL is the URL of another user.
func userURL(url, user string) string { return strings.Replace(url, "postgres@", user+"@", 1) }

func TestAUserWithoutRolesDoesTheWorkAndWarns(t *testing.T) {
	newBook(t, server.database(t)) // the roles are there, made by somebody greater
	admin := server.URL("postgres")
	execute(t, admin, "CREATE USER plain")
	execute(t, admin, "CREATE DATABASE plain OWNER plain")
	b := newBook(t, userURL(server.URL("plain"), "plain"))
	b.mustSell(3)
	if warnings := b.Warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], "doorbuster_app") {
		t.Errorf("warnings %q, want one about the roles", warnings)
	}
}

func TestAUserWhoWasGivenTheRolesNeedsNoMore(t *testing.T) {
	newBook(t, server.database(t))
	admin := server.URL("postgres")
	execute(t, admin, "CREATE USER given IN ROLE doorbuster_app, doorbuster_operator, doorbuster_migrate")
	execute(t, admin, "CREATE DATABASE given OWNER given")
	url := server.URL("given")
	b := newBook(t, userURL(url, "given"))
	b.mustSell(3)
	if warnings := b.Warnings(); len(warnings) != 0 {
		t.Errorf("warnings %q, want none", warnings)
	}
	owner := ask[string](t, url, "SELECT tableowner FROM pg_tables WHERE tablename = 'lines'")
	if owner != "doorbuster_migrate" {
		t.Errorf("lines belong to %s, want doorbuster_migrate", owner)
	}
}

// empty makes a database that nothing was ever in.
func (s *shared) empty(t *testing.T, name string) string {
	t.Helper()
	if err := s.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

func TestNodesThatStartAtOnceMakeOneSchema(t *testing.T) {
	url := server.empty(t, "together")
	var all sync.WaitGroup
	ids := make([]string, 4)
	for i := range ids {
		all.Go(func() {
			l, err := postgres.Open(t.Context(), postgres.Options{URL: url, Now: time.Now})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = l.ID()
			if warnings := l.Warnings(); len(warnings) != 0 {
				t.Errorf("warnings %q", warnings)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("ids %q, want one", ids)
		}
	}
}

func TestAnotherRootKeyIsRefused(t *testing.T) {
	url := server.database(t)
	with := func(print string) error {
		l, err := postgres.Open(t.Context(), postgres.Options{URL: url, Now: time.Now, RootPrint: []byte(print)})
		if err != nil {
			return err
		}
		return l.Close()
	}
	for _, print := range []string{"0123", "0123", ""} {
		if err := with(print); err != nil {
			t.Errorf("print %q: %v", print, err)
		}
	}
	if err := with("4567"); err == nil || !strings.Contains(err.Error(), "DOORBUSTER_ROOT_KEY is not the one this ledger was begun with") {
		t.Errorf("another key: %v", err)
	}
}

func TestANewerSchemaIsUsedWhereItAllowsIt(t *testing.T) {
	url := server.empty(t, "newer")
	newBook(t, url)
	execute(t, url, "INSERT INTO doorbuster.goose_db_version (version_id, is_applied) VALUES (99, true)")
	b := &book{Ledger: real(t, url), t: t, url: url, n: new(int64)}
	b.mustSell(1)
	execute(t, url, "UPDATE doorbuster.meta SET oldest = 2")
	_, err := postgres.Open(t.Context(), postgres.Options{URL: url, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "newer doorbuster") {
		t.Errorf("opened a schema that refuses this program: %v", err)
	}
}
