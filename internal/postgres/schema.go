package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// protocol is what this program does with the tables. A schema that is
	// newer says in meta.oldest which programs may still work on it.
	protocol = 1
	// prepareMax bounds a migration, and the wait for another node's.
	prepareMax = 5 * time.Minute
	// prepareLock is the advisory lock of whoever prepares a database.
	prepareLock = 0x646f6f7262757374
)

// prepared is what a node may do in a database that is ready.
type prepared struct {
	app, operator string // roles to work as; empty: the user of the URL
	warnings      []string
}

// prepare brings the schema and the roles to where this program needs them.
// Nodes that start at once wait for one another.
func prepare(ctx context.Context, options Options) (prepared, error) {
	ctx, cancel := context.WithTimeout(ctx, prepareMax)
	defer cancel()
	config, err := pgx.ParseConfig(options.MigrateURL)
	if err != nil {
		return prepared{}, unreadable(err)
	}
	settings{}.apply(config)
	for _, unbounded := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[unbounded] = "0"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return prepared{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer goodbye(ctx, conn)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(prepareLock)); err != nil {
		return prepared{}, fmt.Errorf("wait for other nodes that prepare the database: %w", err)
	}
	if err := oneDatabase(ctx, conn, options); err != nil {
		return prepared{}, err
	}
	r := &roles{conn: conn}
	if err := r.make(ctx, options); err != nil {
		return prepared{}, err
	}
	files, want, err := schemaFiles()
	if err != nil {
		return prepared{}, err
	}
	if err := migrate(ctx, r, files, want); err != nil {
		return prepared{}, err
	}
	if err := r.grant(ctx, want); err != nil {
		return prepared{}, err
	}
	return r.probe(ctx, options.URL)
}

// oneDatabase makes sure that both URLs lead to the same database, before
// anything is made in the wrong one. Whatever the two users may do, a lock that
// is held over one connection shows over the other, and in no other database.
func oneDatabase(ctx context.Context, conn *pgx.Conn, options Options) error {
	if options.MigrateURL == options.URL {
		return nil
	}
	other, err := connectTo(ctx, options.URL)
	if err != nil {
		return err
	}
	defer goodbye(ctx, other)
	key := int64(prepareLock) ^ int64(conn.PgConn().PID()) // this node's own
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return fmt.Errorf("hold a lock over --migrate-url: %w", err)
	}
	var apart bool
	if err := other.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&apart); err != nil {
		return fmt.Errorf("look for a lock over --database-url: %w", err)
	}
	if !apart {
		return nil
	}
	return fmt.Errorf("--migrate-url leads to another database (%s at %s) than --database-url (%s at %s): the schema would be made where no node looks; name one database in both",
		conn.Config().Database, conn.Config().Host, other.Config().Database, other.Config().Host)
}

// connectTo opens one connection as the user of the URL.
func connectTo(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	settings{}.apply(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}

// migrate brings the schema up to this program's, or finds that it may work
// on a newer one.
func migrate(ctx context.Context, r *roles, files fs.FS, want int64) error {
	have, err := version(ctx, r.conn)
	if err != nil || have == want {
		return err
	}
	if have > want {
		return bearsUs(ctx, r.conn, have, want)
	}
	if have == 0 {
		if err := r.createSchema(ctx); err != nil {
			return err
		}
	}
	config := r.conn.Config()
	if owned, err := r.ownsSchema(ctx); err != nil {
		return err
	} else if owned {
		config.RuntimeParams["role"] = roleMigrate
	}
	return runGoose(ctx, config, files)
}

func runGoose(ctx context.Context, config *pgx.ConnConfig, files fs.FS) (err error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(prepareMax/time.Second)))
	if err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker),
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	return nil
}

// schemaFiles returns the embedded migrations and the number of the last one.
func schemaFiles() (fs.FS, int64, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, 0, fmt.Errorf("embedded migrations: %w", err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		return nil, 0, fmt.Errorf("embedded migrations: %d files: %w", len(names), err)
	}
	last, err := goose.NumericComponent(names[len(names)-1])
	return files, last, err
}

// version is the schema's number; 0 where there is none.
func version(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var have int64
	err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+schemaName+".goose_db_version WHERE is_applied").Scan(&have)
	switch state(err) {
	case stateNoTable, stateNoSchema:
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, nil
}

// bearsUs lets an older program work on beside newer ones, where the schema
// says that it may.
func bearsUs(ctx context.Context, conn *pgx.Conn, have, want int64) error {
	var oldest int
	if err := conn.QueryRow(ctx, "SELECT oldest FROM "+schemaName+".meta").Scan(&oldest); err != nil {
		return fmt.Errorf("read the oldest program that may use the schema: %w", err)
	}
	if oldest > protocol {
		return fmt.Errorf("the ledger was written by a newer doorbuster (schema %d, this one knows %d) that no longer works beside this one: use the newer version", have, want)
	}
	return nil
}

// goodbye ends a connection; a server that does not listen is not waited for.
func goodbye(ctx context.Context, conn *pgx.Conn) {
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(amends)
}

// quote makes an identifier of any text.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
