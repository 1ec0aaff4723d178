package main

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/node"
)

// ledgerFlags say where commands that only read find the ledger.
type ledgerFlags struct {
	place
	DatabaseURL *string `placeholder:"URL" env-too:"DOORBUSTER_DATABASE_URL" help:"The ledger in PostgreSQL. Default: the one in --data."`
}

// books opens the ledger's books for reading, and says where they are.
func (f ledgerFlags) books(ctx context.Context, p program) (node.ReadBooks, string, error) {
	url, folder, err := config.Ledger(config.Flags{Data: f.Data, DatabaseURL: f.DatabaseURL}, p.getenv)
	if err != nil {
		return nil, "", misused(err)
	}
	books, err := node.OpenBooks(ctx, url, folder)
	if url != "" {
		return books, "the database", err
	}
	return books, folder, err
}
