// Package audit asks whether the numbers add up: the invariants of the
// protocol, over the whole ledger and at every prefix of it.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

// State is what an audit found of one invariant.
type State uint8

// The states of an invariant.
const (
	Holds     State = iota
	Broken          // Result.Detail says where
	NeedsNode       // the ledger alone cannot decide it
)

func (s State) String() string {
	switch s {
	case Holds:
		return "holds"
	case Broken:
		return "BROKEN"
	case NeedsNode:
		return "needs a node"
	}
	return "unknown"
}

// Result is one invariant's state.
type Result struct {
	ID     string // I1 … I9
	State  State
	Detail string // what holds, or the first places where it does not
}

// detailsMax bounds how many places a result names.
const detailsMax = 5

// statements says what each invariant claims, in the order of their ids.
func statements() []Result {
	return []Result{
		{ID: "I1", Detail: "total = POOL + GRANT + HELD + SOLD + WITHDRAWN, none below zero, at every prefix"},
		{ID: "I2", Detail: "HELD and SOLD are the orders', each balance is the sum of its lines"},
		{ID: "I3", Detail: "no buyer is over the limit, at every prefix; quotas are the orders'"},
		{ID: "I4", Detail: "one order per claim, exactly where it was decided for"},
		{ID: "I5", Detail: "free + undecided covers every grant"},
		{ID: "I6", Detail: "every ticket is decided within 30 s"},
		{ID: "I7", Detail: "after close and drain nothing is held"},
		{ID: "I8", Detail: "each charge is one paid order or one refund due"},
		{ID: "I9", Detail: "no buyer below the limit is barred from units that exist"},
	}
}

// finding is one place where an invariant does not hold. An empty sale means
// all of them.
type finding struct {
	invariant, sale, detail string
}

// Offline evaluates what the ledger alone can decide. I5, I6, I9 and the
// queue's part of I7 need a node. Books on a damaged file are an error: what
// can be read of them proves nothing.
func Offline(ctx context.Context, books ledger.Books) ([]Result, error) {
	broken, err := books.Check(ctx)
	if err != nil {
		return nil, err
	}
	if damage := broken[""]; damage != "" {
		return nil, errors.New(damage)
	}
	findings, err := replay(ctx, books, "")
	if err != nil {
		return nil, err
	}
	results := conclude(findings)
	for i := range results {
		switch results[i].ID {
		case "I5", "I6", "I9":
			results[i].State = NeedsNode
		case "I7":
			if results[i].State == Holds {
				results[i].Detail += " (that the queue is empty needs a node)"
			}
		}
	}
	return results, nil
}

// conclude turns findings into one result per invariant.
func conclude(findings []finding) []Result {
	results := statements()
	for i := range results {
		var places []string
		for _, f := range findings {
			if f.invariant == results[i].ID {
				places = append(places, f.detail)
			}
		}
		if len(places) == 0 {
			continue
		}
		slices.Sort(places)
		results[i].State = Broken
		results[i].Detail = strings.Join(places[:min(detailsMax, len(places))], "; ")
		if more := len(places) - detailsMax; more > 0 {
			results[i].Detail += fmt.Sprintf("; and %d more", more)
		}
	}
	return results
}
