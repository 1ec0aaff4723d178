package main

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/node"
)

// shelf is where commands that only read find the books.
type shelf struct {
	place
	DatabaseURL *string `placeholder:"URL" env-too:"DOORBUSTER_DATABASE_URL" help:"The ledger in PostgreSQL. Default: the one in --data."`
}

// books opens the ledger's books for reading, and says where they are.
func (s shelf) books(ctx context.Context, p program) (node.ReadBooks, string, error) {
	url, folder, err := config.Ledger(config.Flags{Data: s.Data, DatabaseURL: s.DatabaseURL}, p.getenv)
	if err != nil {
		return nil, "", misused(err)
	}
	books, err := node.OpenBooks(ctx, url, folder)
	if url != "" {
		return books, "the database", err
	}
	return books, folder, err
}
