package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	shopkeeper "github.com/doorbuster/doorbuster/internal/shop"
)

// books is what a node's books say of a sale, once it is over.
type books struct {
	units  int64            // of all orders that have any
	buyers map[string]int64 // units of each who has any
}

// readBooks asks a node for every order of a sale, and for its audit: books
// that break an invariant prove nothing.
func readBooks(ctx context.Context, operators, sale string) (*books, error) {
	path := "/admin/api/v1/sales/" + sale
	text, err := fetchAs(ctx, operators, path+"/audit", "application/json")
	if err != nil {
		return nil, err
	}
	if err := audited(text); err != nil {
		return nil, err
	}
	if text, err = fetchAs(ctx, operators, path+"/orders", "text/csv"); err != nil {
		return nil, err
	}
	return parseBooks(string(text))
}

// audited returns the invariants that an audit found broken as an error.
func audited(text []byte) error {
	var answer struct {
		OK         bool
		Invariants []struct {
			ID, Detail string
			Holds      bool
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if answer.OK {
		return nil
	}
	broken := []error{errors.New("the audit fails")}
	for _, i := range answer.Invariants {
		if !i.Holds {
			broken = append(broken, fmt.Errorf("%s: %s", i.ID, i.Detail))
		}
	}
	return errors.Join(broken...)
}

// parseBooks reads the operators' list of orders. An order that was refused, or
// has ended, has no units.
func parseBooks(text string) (*books, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("a list of orders without a first line")
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	b := &books{buyers: map[string]int64{}}
	for _, row := range rows[1:] {
		status, known := shopkeeper.ParseStatus(row[column["status"]])
		if !known {
			return nil, fmt.Errorf("unknown status in %q", row)
		}
		if !status.Live() {
			continue
		}
		units, err := strconv.ParseInt(row[column["quantity"]], 10, 64)
		if err != nil {
			return nil, err
		}
		b.units += units
		b.buyers[row[column["buyer"]]] += units
	}
	return b, nil
}
