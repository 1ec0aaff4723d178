package audit

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
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
	live      map[uint64]int64
	held      map[item]int64 // by the orders
	sold      map[item]int64
	lines     tally // of claims, by their lines
	claims    tally // of claims, by their rows
	owned     uint64
}

type item struct{ sale, sku string }

// tally tells two multisets of claims apart without holding either: their
// number and the sum of their ids.
type tally struct {
	count int64
	sum   uint64
}

func (t *tally) add(id shop.ClaimID) {
	t.count++
	t.sum += id.Short()
}

// replay returns every place where the ledger's invariants do not hold, in
// one sale or in all.
func replay(ctx context.Context, books ledger.Books, only string) ([]finding, error) {
	r := &replayer{
		only: only, seed: maphash.MakeSeed(),
		revisions: map[string][]ledger.Revision{},
		units:     map[ledger.Account]int64{}, seeded: map[item]int64{}, live: map[uint64]int64{},
		held: map[item]int64{}, sold: map[item]int64{},
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
		if line.Seq != last+1 {
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
	if line.To == ledger.Outside {
		r.report("I1", line.Sale, "line %d moves units of %s/%s outside", line.Seq, line.Sale, line.SKU)
	}
	if line.Quantity < 0 {
		r.report("I1", line.Sale, "line %d moves %d units", line.Seq, line.Quantity)
	}
	r.units[to] += line.Quantity
}

// count follows one line's effect on its buyer.
func (r *replayer) count(line *ledger.Line) {
	if line.Claim == nil {
		return
	}
	holder := r.holder(line.Sale, line.Buyer)
	switch line.Kind {
	case ledger.KindClaim, ledger.KindRetake:
		if line.Kind == ledger.KindClaim {
			r.lines.add(*line.Claim)
		}
		r.live[holder] += line.Quantity
		if limit := r.limitAt(line.Sale, line.Seq); r.live[holder] > limit {
			r.report("I3", line.Sale, "a buyer of %s has %d of %d after line %d", line.Sale, r.live[holder], limit, line.Seq)
		}
	case ledger.KindRelease, ledger.KindReturn:
		if r.live[holder] -= line.Quantity; r.live[holder] == 0 {
			delete(r.live, holder)
		}
	default: // the others move units that stay with their buyer, or have none
	}
}

func (r *replayer) holder(sale, buyer string) uint64 {
	var hash maphash.Hash
	hash.SetSeed(r.seed)
	_, _ = hash.WriteString(sale)
	_ = hash.WriteByte(0)
	_, _ = hash.WriteString(buyer)
	return hash.Sum64()
}

func (r *replayer) readClaims(ctx context.Context, view ledger.View) error {
	for claim, err := range view.Claims(ctx) {
		if err != nil {
			return err
		}
		if !r.skips(claim.Order.Sale) {
			r.claim(&claim)
		}
	}
	return nil
}

func (r *replayer) claim(claim *ledger.Claim) {
	order := &claim.Order
	what := item{order.Sale, order.SKU}
	refused := order.Status == shop.Refused
	if refused != (claim.From == ledger.Outside) || order.Status == shop.Pending {
		r.report("I4", order.Sale, "order %s is %s, its units came from %s", order.ID, order.Status, claim.From)
	}
	if claim.From != ledger.Outside {
		r.claims.add(order.ID)
	}
	switch order.Status {
	case shop.AwaitingPayment:
		r.held[what] += order.Quantity
	case shop.Paid:
		r.sold[what] += order.Quantity
	default: // holds no units
	}
	if order.Status.Live() {
		r.owned += r.holder(order.Sale, order.Buyer) * uint64(order.Quantity) //nolint:gosec // a sum to compare, wrapping is meant
	}
	r.charges(claim)
}

// charges: money that was kept belongs to one paid order, all else goes back.
func (r *replayer) charges(claim *ledger.Claim) {
	order := &claim.Order
	kept, due := 0, 0
	for i := range claim.Charges {
		if claim.Charges[i].Due {
			due++
		} else {
			kept++
		}
	}
	want := 0
	if order.Status == shop.Paid && order.Amount > 0 {
		want = 1
	}
	if kept != want {
		r.report("I8", order.Sale, "order %s is %s and keeps %d charges, want %d", order.ID, order.Status, kept, want)
	}
	if order.Status == shop.RefundDue && order.Amount > 0 && due == 0 {
		r.report("I8", order.Sale, "order %s is refund_due and has no charge to refund", order.ID)
	}
}

func (r *replayer) readQuotas(ctx context.Context, view ledger.View) error {
	var owned uint64
	for quota, err := range view.Quotas(ctx) {
		if err != nil {
			return err
		}
		if r.skips(quota.Sale) {
			continue
		}
		holder := r.holder(quota.Sale, quota.Buyer)
		if quota.Live != r.live[holder] {
			r.report("I3", quota.Sale, "a quota of %s says %d, the lines say %d", quota.Sale, quota.Live, r.live[holder])
		}
		if quota.Live < 0 || quota.Live > quota.Limit {
			r.report("I3", quota.Sale, "a quota of %s says %d of %d", quota.Sale, quota.Live, quota.Limit)
		}
		delete(r.live, holder)
		owned += holder * uint64(quota.Live) //nolint:gosec // a sum to compare, wrapping is meant
	}
	for _, live := range r.live {
		r.report("I3", r.only, "a buyer has %d units and no quota", live)
	}
	if owned != r.owned {
		r.report("I3", r.only, "the quotas are not the sums of the live orders")
	}
	return nil
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
	if r.lines != r.claims {
		r.report("I4", r.only, "%d claims were decided for, %d lines say so, or they are not the same ones", r.claims.count, r.lines.count)
	}
}
