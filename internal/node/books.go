package node

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// ReadBooks are a ledger's books that nobody here can write to.
type ReadBooks interface {
	ledger.Books
	// Close ends the reading.
	Close() error
}

// OpenBooks opens the books of the ledger at a database's address, or else in
// a folder, for reading alone. Nodes may be running on them.
func OpenBooks(ctx context.Context, databaseURL, folder string) (ReadBooks, error) {
	if databaseURL != "" {
		return postgres.OpenReadOnly(ctx, databaseURL)
	}
	return sqlite.OpenReadOnly(ctx, folder)
}
