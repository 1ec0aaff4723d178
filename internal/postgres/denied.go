package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// unseen reports whether the database hides the ledger from its user, or has
// none: without USAGE on the schema its tables are just as absent.
func unseen(err error) bool {
	switch state(err) {
	case stateDenied, stateNoTable, stateNoSchema:
		return true
	}
	return false
}

// unentitled says what to do where the user of the URL may not work on the
// ledger that another one owns.
func (l *Ledger) unentitled(err error) error {
	config, fault := pgx.ParseConfig(l.options.URL)
	if fault != nil || !unseen(err) {
		return err
	}
	return fmt.Errorf("the user %s of --database-url may not work on the ledger, which the user of --migrate-url owns: "+
		"make the roles where they are missing (docs/operations.md, PostgreSQL), then GRANT %s, %s TO %s: %w",
		config.User, roleApp, roleOperator, quote(config.User), err)
}

// unreadableBooks says which grants the user of an auditor's URL lacks. Whoever
// lacks one lacks those after it, too.
func (b *Books) unreadableBooks(ctx context.Context, err error) error {
	config := b.pool.Config().ConnConfig
	user := quote(config.User)
	grants := []string{
		"GRANT CONNECT ON DATABASE " + quote(config.Database) + " TO " + user,
		"GRANT USAGE ON SCHEMA " + schemaName + " TO " + user,
		"GRANT SELECT ON ALL TABLES IN SCHEMA " + schemaName + " TO " + user,
	}
	conn, fault := b.pool.Acquire(ctx)
	if fault == nil {
		defer conn.Release()
		var there, usable bool
		const look = "SELECT count(*) > 0, coalesce(bool_or(has_schema_privilege(oid, 'USAGE')), false) FROM pg_namespace WHERE nspname = $1"
		if fault := conn.QueryRow(ctx, look, schemaName).Scan(&there, &usable); fault != nil {
			return errors.Join(err, fault)
		}
		switch {
		case !there, usable && state(err) != stateDenied:
			return errors.New("no ledger in this database: give the URL that doorbuster serve uses with --database-url")
		case usable:
			grants = grants[2:]
		default:
			grants = grants[1:]
		}
	}
	return fmt.Errorf("the user %s of this URL may not read the ledger: %s: %w", config.User, strings.Join(grants, "; "), err)
}
