package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The group roles. They belong to the whole server: ledgers in several of its
// databases share them.
const (
	roleApp      = "doorbuster_app"
	roleOperator = "doorbuster_operator"
	roleMigrate  = "doorbuster_migrate"
)

// grants say what each role may do. Nobody deletes anything, lines are never
// changed, and of a claim only what an order's life changes.
const grants = `
GRANT USAGE ON SCHEMA doorbuster TO doorbuster_app, doorbuster_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA doorbuster TO doorbuster_app, doorbuster_operator;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA doorbuster TO doorbuster_app, doorbuster_operator;
GRANT INSERT ON lines, claims, charges, quotas, accounts TO doorbuster_app, doorbuster_operator;
GRANT UPDATE (status, pay_by, as_of, reference) ON claims TO doorbuster_app, doorbuster_operator;
GRANT UPDATE (due) ON charges TO doorbuster_app, doorbuster_operator;
GRANT UPDATE (units, lim, newest) ON quotas TO doorbuster_app, doorbuster_operator;
GRANT UPDATE (units) ON accounts TO doorbuster_app, doorbuster_operator;
GRANT UPDATE (epoch, last_grant, reclaim_number, reclaim_sku, reclaim_units) ON buckets TO doorbuster_app;
GRANT UPDATE (phase, head, lines, newest, version, at) ON sales TO doorbuster_app, doorbuster_operator;
GRANT INSERT ON sales, buckets, revisions TO doorbuster_operator;
GRANT UPDATE (revision) ON sales TO doorbuster_operator;
GRANT UPDATE (root) ON meta TO doorbuster_operator;
GRANT INSERT, UPDATE ON gate_lists, gate_entries TO doorbuster_operator`

// makeAgainMax bounds how often roles are made anew: databases of one server
// change the same catalogue and cannot lock one another out.
const makeAgainMax = 20

// roles are the group roles as the user who migrates finds or makes them.
type roles struct {
	conn  *pgx.Conn
	there bool  // all three
	fault error // why something could not be made
}

// make creates the roles and gives them to the users of both URLs, where it
// may; the database works without.
func (r *roles) make(ctx context.Context, options Options) error {
	config, err := pgx.ParseConfig(options.URL)
	if err != nil {
		return unreadable(err)
	}
	for _, role := range []string{roleApp, roleOperator, roleMigrate} {
		_ = r.try(ctx, fmt.Sprintf(`DO $$ BEGIN
			IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s') THEN CREATE ROLE %[1]s NOLOGIN; END IF;
		END $$`, role))
	}
	for _, grant := range []struct{ role, user string }{
		{roleApp, config.User}, {roleOperator, config.User}, {roleMigrate, r.conn.Config().User},
	} {
		_ = r.try(ctx, fmt.Sprintf(`DO $$ BEGIN
			IF NOT pg_has_role('%[2]s', '%[1]s', 'USAGE') THEN GRANT %[1]s TO %[3]s; END IF;
		END $$`, grant.role, literal(grant.user), quote(grant.user)))
	}
	_ = r.try(ctx, fmt.Sprintf(`DO $$ BEGIN
		IF NOT has_database_privilege('%[1]s', current_database(), 'CREATE') THEN
			EXECUTE format('GRANT CREATE ON DATABASE %%I TO %[1]s', current_database());
		END IF;
	END $$`, roleMigrate))
	err = r.conn.QueryRow(ctx, "SELECT count(*) = 3 FROM pg_roles WHERE rolname IN ($1, $2, $3)", roleApp, roleOperator, roleMigrate).Scan(&r.there)
	if err != nil {
		return fmt.Errorf("look at the database's roles: %w", err)
	}
	return nil
}

// createSchema makes the schema, for doorbuster_migrate where that can be.
func (r *roles) createSchema(ctx context.Context) error {
	const create = "CREATE SCHEMA IF NOT EXISTS " + schemaName
	if r.there && r.try(ctx, "SET ROLE "+roleMigrate+"; "+create+"; RESET ROLE") == nil {
		return nil
	}
	if _, err := r.conn.Exec(ctx, create); err != nil {
		return fmt.Errorf("create schema %s: %w", schemaName, err)
	}
	return nil
}

// ownsSchema reports whether the schema belongs to doorbuster_migrate: who
// changes it later works as its owner.
func (r *roles) ownsSchema(ctx context.Context) (owned bool, err error) {
	err = r.conn.QueryRow(ctx, "SELECT pg_get_userbyid(nspowner) = $1 FROM pg_namespace WHERE nspname = $2", roleMigrate, schemaName).Scan(&owned)
	if err != nil {
		return false, fmt.Errorf("read the schema's owner: %w", err)
	}
	return owned, nil
}

// try runs a statement that may be denied: its fault is kept for the warning.
func (r *roles) try(ctx context.Context, statement string) error {
	var err error
	for range makeAgainMax {
		_, err = r.conn.Exec(ctx, statement)
		switch state(err) {
		case stateUnique, stateDuplicate, stateInternal: // another database's node does the same
			continue
		}
		break
	}
	if err != nil {
		r.fault = errors.Join(r.fault, err)
	}
	return err
}

// grant gives the roles what they may do, unless that was done for this schema
// or a newer one.
func (r *roles) grant(ctx context.Context, schema int64) error {
	if !r.there {
		return nil
	}
	var granted int64
	if err := r.conn.QueryRow(ctx, "SELECT granted FROM meta").Scan(&granted); err != nil {
		return fmt.Errorf("read what the roles may do: %w", err)
	}
	if granted >= schema {
		return nil
	}
	owned, err := r.ownsSchema(ctx)
	if err != nil {
		return err
	}
	statement := fmt.Sprintf("%s; UPDATE meta SET granted = %d", grants, schema)
	if owned {
		statement = "SET ROLE " + roleMigrate + "; " + statement + "; RESET ROLE"
	}
	_ = r.try(ctx, statement)
	return nil
}

// probe finds out whether the user of the URL can work as the roles.
func (r *roles) probe(ctx context.Context, url string) (prepared, error) {
	conn, err := connectTo(ctx, url)
	if err != nil {
		return prepared{}, err
	}
	defer goodbye(ctx, conn)
	for _, role := range []string{roleApp, roleOperator} {
		if _, err := conn.Exec(ctx, "SET ROLE "+role); err != nil {
			if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
				return prepared{}, fmt.Errorf("try role %s: %w", role, err)
			}
			return r.alone(err), nil
		}
		var may bool
		if err := conn.QueryRow(ctx, `SELECT has_schema_privilege($1, 'USAGE')
			AND has_table_privilege(to_regclass($1 || '.lines'), 'INSERT')`, schemaName).Scan(&may); err != nil {
			return r.alone(err), nil
		}
		if !may {
			return r.alone(fmt.Errorf("%s may not write lines", role)), nil
		}
	}
	return prepared{app: roleApp, operator: roleOperator}, nil
}

// alone is how a node works without the roles, which err denied.
func (r *roles) alone(err error) prepared {
	reason := strings.ReplaceAll(errors.Join(r.fault, err).Error(), "\n", "; ")
	return prepared{warnings: []string{fmt.Sprintf(
		"the database's user does all the work itself, for lack of the roles %s and %s: a fault of the program could change what is written (%s)",
		roleApp, roleOperator, reason)}}
}

// literal makes the inside of a quoted text of any text.
func literal(text string) string { return strings.ReplaceAll(text, "'", "''") }
