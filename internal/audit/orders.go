package audit

import (
	"context"
	"hash/maphash"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// count follows one line's effect on its buyer.
func (r *replayer) count(line *ledger.Line) {
	if line.Claim == nil {
		if concernsOrder(line.Kind) {
			r.report("I4", line.Sale, "line %d is a %s of %s of no claim in the books", line.Seq, line.Kind, line.Sale)
		}
		return
	}
	sums, holder := r.both(line.Sale), r.holder(line.Sale, line.Buyer)
	has := sums.live[holder]
	switch line.Kind {
	case ledger.KindClaim, ledger.KindRetake:
		if line.Kind == ledger.KindClaim {
			sums.lines.add(r.hash(*line.Claim, line.SKU, line.Quantity))
		}
		has += line.Quantity
		sums.live[holder] = has
		if limit := r.limitAt(line.Sale, line.Seq); has > limit {
			r.report("I3", line.Sale, "a buyer of %s has %d of %d after line %d", line.Sale, has, limit, line.Seq)
		}
	case ledger.KindRelease, ledger.KindReturn:
		sums.live[holder] = has - line.Quantity
		if has == line.Quantity {
			delete(sums.live, holder)
		}
	default: // the others move units that stay with their buyer, or have none
	}
}

// concernsOrder reports whether lines of the kind always name a claim.
func concernsOrder(kind ledger.Kind) bool {
	switch kind {
	case ledger.KindClaim, ledger.KindPay, ledger.KindRelease, ledger.KindRetake, ledger.KindReturn:
		return true
	default:
		return false
	}
}

func (r *replayer) both(sale string) *both {
	sums, ok := r.sales[sale]
	if !ok {
		sums = &both{live: map[uint64]int64{}}
		r.sales[sale] = sums
	}
	return sums
}

// hash stands for what a claim was given.
func (r *replayer) hash(id shop.ClaimID, sku string, quantity int64) uint64 {
	var hash maphash.Hash
	hash.SetSeed(r.seed)
	_, _ = hash.Write(id[:])
	maphash.WriteComparable(&hash, quantity)
	_, _ = hash.WriteString(sku)
	return hash.Sum64()
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
		r.both(order.Sale).claims.add(r.hash(order.ID, order.SKU, order.Quantity))
	}
	switch order.Status {
	case shop.AwaitingPayment:
		r.held[what] += order.Quantity
	case shop.Paid:
		r.sold[what] += order.Quantity
	default: // holds no units
	}
	if order.Status.Live() {
		r.both(order.Sale).orders += r.holder(order.Sale, order.Buyer) * uint64(order.Quantity) //nolint:gosec // a sum to compare, wrapping is meant
	}
	r.charges(claim)
}

// charges checks that money that was kept belongs to exactly one paid order,
// and that all other money goes back.
func (r *replayer) charges(claim *ledger.Claim) {
	order := &claim.Order
	kept, due := 0, 0
	for i := range claim.Charges {
		charge := &claim.Charges[i]
		if charge.Due {
			due++
			continue
		}
		kept++
		if charge.Amount != order.Amount || charge.Currency != order.Currency {
			r.report("I8", order.Sale, "order %s of %d %s keeps a charge of %d %s",
				order.ID, order.Amount, order.Currency, charge.Amount, charge.Currency)
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
	for quota, err := range view.Quotas(ctx) {
		if err != nil {
			return err
		}
		if r.skips(quota.Sale) {
			continue
		}
		sums, holder := r.both(quota.Sale), r.holder(quota.Sale, quota.Buyer)
		if live := sums.live[holder]; quota.Live != live {
			r.report("I3", quota.Sale, "a quota of %s says %d, the lines say %d", quota.Sale, quota.Live, live)
		}
		if quota.Live < 0 || quota.Live > quota.Limit {
			r.report("I3", quota.Sale, "a quota of %s says %d of %d", quota.Sale, quota.Live, quota.Limit)
		}
		delete(sums.live, holder)
		sums.quotas += holder * uint64(quota.Live) //nolint:gosec // a sum to compare, wrapping is meant
	}
	for sale, sums := range r.sales {
		for _, units := range sums.live {
			r.report("I3", sale, "a buyer of %s has %d units and no quota", sale, units)
		}
		if sums.orders != sums.quotas {
			r.report("I3", sale, "the quotas of %s are not the sums of its live orders", sale)
		}
	}
	return nil
}
