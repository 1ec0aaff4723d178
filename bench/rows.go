package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// row is a row of the table of goals. Rows run in the order of the table; a
// later one may use what an earlier one found.
type row struct {
	id, what string
	run      func(b *bench, ctx context.Context) ([]line, error)
}

// rows are the goals: of one node that stands alone, of several over shared
// stores, and of the gate.
func rows() []row {
	return []row{
		{"E1", "sold out", (*bench).soldOut},
		{"E2", "refused at the gate", (*bench).refused},
		{"E3", "orders a second", (*bench).orders},
		{"E4", "time to an order", (*bench).waits},
		{"E5", "state.json", (*bench).polls},
		{"E6", "memory", (*bench).memory},
		{"E7", "start", (*bench).starts},
		{"E8", "scale", (*bench).scale},
		{"E9", "the peers' load", (*bench).peersAlone},
		{"D1", "Redis reservations", (*bench).reservations},
		{"D2", "PostgreSQL decisions", (*bench).decisions},
		{"D3", "distributed orders a second", (*bench).distributed},
		{"D4", "tickets through RabbitMQ", (*bench).relayed},
		{"D5", "calls of a refusal", (*bench).silence},
		{"D6", "word gets around", (*bench).word},
		{"D7", "the peers' load, distributed", (*bench).peersShared},
		{"G1", "the gate's decision", (*bench).limiter},
		{"G2", "the token", (*bench).token},
		{"G3", "slow connections", (*bench).slow},
	}
}

// choose returns the rows that are named between commas; all where none is.
func choose(names string) ([]row, error) {
	all := rows()
	if names == "" {
		return all, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(names, ",") {
		at := slices.IndexFunc(all, func(r row) bool { return strings.EqualFold(r.id, strings.TrimSpace(name)) })
		if at < 0 {
			return nil, fmt.Errorf("there is no row %q; there are E1 to E9, D1 to D7, G1 to G3", name)
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}
