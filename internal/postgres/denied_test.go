package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/postgres"
)

// refuses wants the options refused, with all these words.
func refuses(t *testing.T, options postgres.Options, words ...string) {
	t.Helper()
	options.Now = time.Now
	l, err := postgres.Open(t.Context(), options)
	if err == nil {
		t.Fatalf("it opens; want it refused with %q (%v)", words, l.Close())
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got %q, want %q in it", err, word)
		}
	}
}

func TestAUserWhoMayNotWorkOnTheLedgerHearsWhatToGrant(t *testing.T) {
	newBook(t, server.database(t)) // the roles are there, made by somebody greater
	admin := server.URL("postgres")
	execute(t, admin, `CREATE USER "poor-node"; CREATE USER landlord`)
	execute(t, admin, "CREATE DATABASE rented OWNER landlord")
	url := server.URL("rented")
	options := postgres.Options{URL: userURL(url, "poor-node"), MigrateURL: userURL(url, "landlord"), RootPrint: []byte("0123")}
	const grant = `GRANT doorbuster_app, doorbuster_operator TO "poor-node"`
	refuses(t, options, grant, "--database-url")
	execute(t, url, `GRANT USAGE ON SCHEMA doorbuster TO "poor-node"`) // then it is "permission denied"
	refuses(t, options, grant, "permission denied")
	execute(t, admin, grant)
	options.Now = time.Now
	if warnings := open(t, options).Warnings(); len(warnings) != 0 {
		t.Errorf("with the grant: warnings %q, want none", warnings)
	}
}

func TestTwoURLsThatLeadToTwoDatabasesAreRefused(t *testing.T) {
	newBook(t, server.database(t))
	url, other := server.empty(t, "here"), server.empty(t, "elsewhere")
	refuses(t, postgres.Options{URL: url, MigrateURL: other}, "--migrate-url", "--database-url", "here at", "elsewhere at")
	for _, one := range []string{url, other} {
		if ask[bool](t, one, "SELECT to_regnamespace('doorbuster') IS NOT NULL") {
			t.Errorf("a schema was made in %s", one)
		}
	}
	// The same one by another name is no other one.
	same := strings.Replace(url, "127.0.0.1", "localhost", 1)
	if l := open(t, postgres.Options{URL: url, MigrateURL: same, Now: time.Now}); l.ID() == "" {
		t.Error("no id")
	}
}

func TestAnAuditorHearsWhichGrantIsMissing(t *testing.T) {
	url := server.empty(t, "audited")
	newBook(t, url)
	execute(t, url, "CREATE USER auditor; REVOKE ALL ON DATABASE audited FROM PUBLIC")
	const (
		connect = `GRANT CONNECT ON DATABASE "audited" TO "auditor"`
		usage   = `GRANT USAGE ON SCHEMA doorbuster TO "auditor"`
		read    = `GRANT SELECT ON ALL TABLES IN SCHEMA doorbuster TO "auditor"`
	)
	grants := []string{connect, usage, read}
	for missing := range grants {
		b, err := postgres.OpenReadOnly(t.Context(), userURL(url, "auditor"))
		if err == nil {
			t.Fatalf("without %q: it opens (%v)", grants[missing:], b.Close())
		}
		for i, grant := range grants {
			if told := strings.Contains(err.Error(), grant); told != (i >= missing) {
				t.Errorf("without %q: got %q", grants[missing:], err)
			}
		}
		execute(t, url, grants[missing])
	}
	b, err := postgres.OpenReadOnly(t.Context(), userURL(url, "auditor"))
	if err != nil {
		t.Fatalf("with all of them: %v", err)
	}
	if broken, err := b.Check(t.Context()); err != nil || len(broken) != 0 {
		t.Errorf("check: %v, %v", broken, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b, err = postgres.OpenReadOnly(t.Context(), server.empty(t, "barren"))
	if err == nil || !strings.Contains(err.Error(), "no ledger in this database") {
		t.Errorf("an empty database: %v, %v", b, err)
	}
}
