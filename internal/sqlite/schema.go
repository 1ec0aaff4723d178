package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// pageSize is that of a new file; one that is there keeps its own. An order
// changes two pages at random places, of the indexes by claim and by buyer: half
// the engine's usual size halves what it writes to the log and copies from there,
// and saves a twentieth of its CPU. With a quarter, deeper trees cost that again.
const pageSize = 2048

// migrate brings the file's schema up to this program's.
func migrate(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return notMigrated(err)
	}
	if have > want {
		return fmt.Errorf("the ledger was written by a newer doorbuster (schema %d, this one knows %d): use that version", have, want)
	}
	if _, err := provider.Up(ctx); err != nil {
		return notMigrated(err)
	}
	return nil
}

// notMigrated says what keeps the schema from being brought up. Statements that
// the engine calls wrong are right on a sound file: its own notes are torn.
func notMigrated(err error) error {
	if code(err) == sqlite3.SQLITE_ERROR {
		return fmt.Errorf("the ledger's file is damaged, or another program has changed it; keep a copy of it and restore a backup: %w", err)
	}
	return fmt.Errorf("migrate ledger: %w", err)
}

// dsn names the file for the driver: a path may hold any character.
func dsn(path string) string {
	pragmas := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), fmt.Sprintf("page_size(%d)", pageSize),
		"journal_mode(wal)", "synchronous(full)",
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: pragmas.Encode()}).String()
}
