package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/audit"
)

type auditCommand struct{ ledgerFlags }

// Help is what --help says beyond the flags.
func (auditCommand) Help() string {
	return `Evaluates every invariant that the ledger alone can decide, one line for each. It only reads and takes no lock: run it beside nodes, or on a copy. What needs a running node says so; ask the node: GET /admin/api/v1/sales/{sale}/audit.

    doorbuster audit
    doorbuster audit --data /var/lib/doorbuster
    doorbuster audit --database-url postgres://auditor@db.example/doorbuster

Exit codes: 0 all hold, 1 one is broken, 2 it could not tell.`
}

// Run prints a line per invariant.
func (c auditCommand) Run(ctx context.Context, p program) error {
	books, where, err := c.books(ctx, p)
	if err != nil {
		return coded{err, exitUsage}
	}
	results, err := audit.Offline(ctx, books)
	if err := errors.Join(err, books.Close()); err != nil {
		return coded{fmt.Errorf("could not tell: %w", err), exitUsage}
	}
	broken := 0
	for _, result := range results {
		p.print(p.stdout, "%s  %-12s  %s\n", result.ID, result.State, result.Detail)
		if result.State == audit.Broken {
			broken++
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d invariants broken; stop selling, keep a copy of %s, and find out before going on", broken, len(results), where)
	}
	return nil
}
