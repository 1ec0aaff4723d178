package audit

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

// findingsMax bounds what one replay reports: a ledger that is broken
// everywhere is as broken as one that is broken in a thousand places.
const findingsMax = 1000

// replayer goes through the ledger once, line by line, and keeps only sums: a
// buyer costs some bytes, an order none.
type replayer struct {
	only     string // the one sale to look at; empty: all
	seed     maphash.Seed
	findings []finding

	revisions map[string][]ledger.Revision
	units     map[ledger.Account]int64
	seeded    map[item]int64 // total by the lines
	held      map[item]int64 // by the orders
	sold      map[item]int64
	sales     map[string]*both
}

type item struct{ sale, sku string }

// both is one sale as two sides of its books tell it.
type both struct {
	live           map[uint64]int64 // units that each buyer has by the lines, by his hash: millions
	lines, claims  tally            // of what was decided for, by the lines and by the claims
	orders, quotas uint64           // of what buyers have, by the orders and by the quotas
}

// tally tells two multisets apart without holding either: their number and the
// sum of their members' hashes.
type tally struct {
	count int64
	sum   uint64
}

func (t *tally) add(hash uint64) {
	t.count++
	t.sum += hash
}

// replay returns every place where the ledger's invariants do not hold, in
// one sale or in all.
func replay(ctx context.Context, books ledger.Books, only string) ([]finding, error) {
	r := &replayer{
		only: only, seed: maphash.MakeSeed(),
		revisions: map[string][]ledger.Revision{},
		units:     map[ledger.Account]int64{}, seeded: map[item]int64{},
		held: map[item]int64{}, sold: map[item]int64{}, sales: map[string]*both{},
	}
	err := books.Read(ctx, func(view ledger.View) error {
		for _, step := range []func(context.Context, ledger.View) error{
			r.readRevisions, r.readLines, r.readClaims, r.readQuotas, r.readBalances,
		} {
			if err := step(ctx, view); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the books: %w", err)
	}
	r.sumUp()
	return r.findings, nil
}

func (r *replayer) report(invariant, sale, format string, args ...any) {
	if len(r.findings) < findingsMax {
		r.findings = append(r.findings, finding{invariant, sale, fmt.Sprintf(format, args...)})
	}
}

func (r *replayer) skips(sale string) bool { return r.only != "" && r.only != sale }

func (r *replayer) readRevisions(ctx context.Context, view ledger.View) error {
	for revision, err := range view.Revisions(ctx) {
		if err != nil {
			return err
		}
		r.revisions[revision.Sale.ID] = append(r.revisions[revision.Sale.ID], revision)
	}
	return nil
}

// limitAt returns the limit in force when a line of the sale was written.
func (r *replayer) limitAt(sale string, seq int64) int64 {
	var limit int64
	for _, revision := range r.revisions[sale] {
		if revision.Seq >= seq {
			break
		}
		limit = revision.Sale.LimitPerBuyer
	}
	return limit
}

func (r *replayer) readLines(ctx context.Context, view ledger.View) error {
	last := int64(0)
	for line, err := range view.Lines(ctx) {
		if err != nil {
			return err
		}
		if line.Seq != last+1 && (line.Seq <= last || line.Seq%ledger.SeqBlock != 1) {
			r.report("I1", line.Sale, "line %d follows line %d: lines are missing", line.Seq, last)
		}
		last = line.Seq
		if !r.skips(line.Sale) {
			r.move(&line)
			r.count(&line)
		}
	}
	return nil
}

// move follows one line's units. A prefix is broken where an account falls
// below zero; the total changes by seeds alone, so it need not be summed.
func (r *replayer) move(line *ledger.Line) {
	what := item{line.Sale, line.SKU}
	from := ledger.Account{Sale: line.Sale, SKU: line.SKU, Name: line.From}
	to := ledger.Account{Sale: line.Sale, SKU: line.SKU, Name: line.To}
	if line.From == ledger.Granted {
		from.Bucket = line.Bucket
	}
	if line.To == ledger.Granted {
		to.Bucket = line.Bucket
	}
	if line.From == ledger.Outside {
		r.seeded[what] += line.Quantity
	} else if r.units[from] -= line.Quantity; r.units[from] < 0 {
		r.report("I1", line.Sale, "%s of %s/%s is %d after line %d", from.Name, line.Sale, line.SKU, r.units[from], line.Seq)
	}
	if !leads(line) {
		r.report("I1", line.Sale, "line %d is a %s of %s/%s from %s to %s", line.Seq, line.Kind, line.Sale, line.SKU, line.From, line.To)
	}
	if line.Quantity < 0 {
		r.report("I1", line.Sale, "line %d moves %d units", line.Seq, line.Quantity)
	}
	r.units[to] += line.Quantity
}

// leads reports whether a line moves units as its kind does.
func leads(line *ledger.Line) bool {
	from, to := line.From, line.To
	switch line.Kind {
	case ledger.KindSeed:
		return from == ledger.Outside && to == ledger.Pool
	case ledger.KindGrant:
		return from == ledger.Pool && to == ledger.Granted
	case ledger.KindClaim:
		return (from == ledger.Granted || from == ledger.Pool) && to == ledger.Held
	case ledger.KindPay:
		return from == ledger.Held && to == ledger.Sold
	case ledger.KindRelease:
		return from == ledger.Held && to == ledger.Pool
	case ledger.KindRetake:
		return from == ledger.Pool && to == ledger.Sold
	case ledger.KindReturn:
		return from == ledger.Sold && to == ledger.Pool
	case ledger.KindReclaim, ledger.KindBump:
		return from == ledger.Granted && to == ledger.Pool
	case ledger.KindWithdraw:
		return from == ledger.Pool && to == ledger.Withdrawn
	}
	return false
}

func (r *replayer) readBalances(ctx context.Context, view ledger.View) error {
	for balance, err := range view.Balances(ctx) {
		if err != nil {
			return err
		}
		account := balance.Account
		if r.skips(account.Sale) {
			continue
		}
		if balance.Units != r.units[account] {
			r.report("I2", account.Sale, "%s of %s/%s is %d, its lines say %d",
				account.Name, account.Sale, account.SKU, balance.Units, r.units[account])
		}
		delete(r.units, account)
		r.seeded[item{account.Sale, account.SKU}] -= balance.Units
		r.compareOrders(account, balance.Units)
	}
	return nil
}

// compareOrders holds the accounts of buyers against their orders.
func (r *replayer) compareOrders(account ledger.Account, units int64) {
	what := item{account.Sale, account.SKU}
	var orders map[item]int64
	switch account.Name {
	case ledger.Held:
		orders = r.held
	case ledger.Sold:
		orders = r.sold
	default:
		return
	}
	if units != orders[what] {
		r.report("I2", account.Sale, "%s of %s/%s is %d, its orders say %d",
			account.Name, account.Sale, account.SKU, units, orders[what])
	}
	delete(orders, what)
}

// sumUp reports what was left over on one side.
func (r *replayer) sumUp() {
	for account, units := range r.units {
		if units != 0 {
			r.report("I2", account.Sale, "%s of %s/%s is missing, its lines say %d", account.Name, account.Sale, account.SKU, units)
		}
	}
	for what, units := range r.seeded {
		if units != 0 {
			r.report("I1", what.sale, "the accounts of %s/%s differ from its total by %d", what.sale, what.sku, -units)
		}
	}
	for name, orders := range map[ledger.Name]map[item]int64{ledger.Held: r.held, ledger.Sold: r.sold} {
		for what, units := range orders {
			r.report("I2", what.sale, "%s of %s/%s is missing, its orders say %d", name, what.sale, what.sku, units)
		}
	}
	for sale, sums := range r.sales {
		if sums.lines != sums.claims {
			r.report("I4", sale, "%d claims of %s were decided for, %d lines say so, or not the same of them", sums.claims.count, sale, sums.lines.count)
		}
	}
}
