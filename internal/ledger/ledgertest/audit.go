package ledgertest

import (
	"fmt"
	"maps"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// tally is what the lines and claims add up to.
type tally struct {
	balances map[ledger.Account]int64
	live     map[ledger.Holder]int64
	limits   map[ledger.Holder]int64
	claimed  map[shop.ClaimID]int
	refs     map[string]bool
	seq      int64
}

// audit adds up the books, and wants the machine's own check to agree.
func (b *bench) audit() {
	b.Helper()
	b.addUp()
	if broken, err := b.Check(b.ctx); err != nil || len(broken) > 0 {
		b.Fatalf("check: %v, %v", broken, err)
	}
}

// addUp wants I1 to I4 of protocol.md to hold, at every prefix where a prefix
// is asked for.
func (b *bench) addUp() {
	b.Helper()
	if err := b.Read(b.ctx, b.auditView); err != nil {
		b.Fatalf("audit: %v", err)
	}
}

func (b *bench) auditView(v ledger.View) error {
	t := &tally{
		balances: map[ledger.Account]int64{}, live: map[ledger.Holder]int64{}, limits: map[ledger.Holder]int64{},
		claimed: map[shop.ClaimID]int{}, refs: map[string]bool{},
	}
	quotas := map[ledger.Holder]int64{}
	for quota, err := range v.Quotas(b.ctx) {
		if err != nil {
			return err
		}
		quotas[quota.Holder], t.limits[quota.Holder] = quota.Live, quota.Limit
	}
	for line, err := range v.Lines(b.ctx) {
		if err == nil {
			err = t.add(&line)
		}
		if err != nil {
			return err
		}
	}
	balances := map[ledger.Account]int64{}
	for balance, err := range v.Balances(b.ctx) {
		if err != nil {
			return err
		}
		balances[balance.Account] = balance.Units
	}
	if err := b.auditClaims(v, t, quotas); err != nil {
		return err
	}
	zero := func(_ ledger.Account, units int64) bool { return units == 0 }
	maps.DeleteFunc(t.balances, zero)
	maps.DeleteFunc(balances, zero)
	if diff := cmp.Diff(t.balances, balances); diff != "" {
		return fmt.Errorf("balances are not the sums of their lines (-lines +balances):\n%s", diff)
	}
	return nil
}

// add replays a line: no account falls below zero, no line of a kind bears a
// ref twice, and no buyer gets over the limit.
func (t *tally) add(line *ledger.Line) error {
	if line.Seq != t.seq+1 && (line.Seq <= t.seq || line.Seq%ledger.SeqBlock != 1) {
		return fmt.Errorf("line %d follows line %d", line.Seq, t.seq)
	}
	t.seq = line.Seq
	from := ledger.Account{Sale: line.Sale, SKU: line.SKU, Name: line.From}
	to := ledger.Account{Sale: line.Sale, SKU: line.SKU, Name: line.To}
	if line.From == ledger.Granted {
		from.Bucket = line.Bucket
	}
	if line.To == ledger.Granted {
		to.Bucket = line.Bucket
	}
	if line.From != ledger.Outside {
		if t.balances[from] -= line.Quantity; t.balances[from] < 0 {
			return fmt.Errorf("line %d takes %s below zero", line.Seq, line.From)
		}
	}
	t.balances[to] += line.Quantity
	ref := fmt.Sprint(line.Kind, "|", line.Claim, "|", line.Ref)
	if t.refs[ref] {
		return fmt.Errorf("line %d repeats %s", line.Seq, ref)
	}
	t.refs[ref] = true
	return t.hold(line)
}

func (t *tally) hold(line *ledger.Line) error {
	holder := ledger.Holder{Sale: line.Sale, Buyer: line.Buyer}
	switch line.Kind {
	case ledger.KindClaim:
		t.claimed[*line.Claim]++
		t.live[holder] += line.Quantity
	case ledger.KindRetake:
		t.live[holder] += line.Quantity
	case ledger.KindRelease, ledger.KindReturn:
		t.live[holder] -= line.Quantity
	case ledger.KindSeed, ledger.KindGrant, ledger.KindPay, ledger.KindReclaim, ledger.KindBump, ledger.KindWithdraw:
	}
	if live := t.live[holder]; live < 0 || live > t.limits[holder] {
		return fmt.Errorf("line %d: %s has %d units, limit %d", line.Seq, line.Buyer, live, t.limits[holder])
	}
	return nil
}

// auditClaims compares the orders with the lines, the accounts and quotas.
func (b *bench) auditClaims(v ledger.View, t *tally, quotas map[ledger.Holder]int64) error {
	held, sold := map[ledger.Account]int64{}, map[ledger.Account]int64{}
	live := map[ledger.Holder]int64{}
	seen := map[shop.ClaimID]bool{}
	for claim, err := range v.Claims(b.ctx) {
		if err != nil {
			return err
		}
		order := &claim.Order
		if seen[order.ID] {
			return fmt.Errorf("claim %s is there twice", order.ID)
		}
		seen[order.ID] = true
		if accepted := order.Status != shop.Refused; accepted != (t.claimed[order.ID] == 1) || accepted != (claim.From != ledger.Outside) {
			return fmt.Errorf("order %s is %v, came from %v and has %d claim lines", order.ID, order.Status, claim.From, t.claimed[order.ID])
		}
		if order.Status.Live() {
			live[ledger.Holder{Sale: order.Sale, Buyer: order.Buyer}] += order.Quantity
		}
		switch order.Status {
		case shop.AwaitingPayment:
			held[ledger.Account{Sale: order.Sale, SKU: order.SKU, Name: ledger.Held}] += order.Quantity
		case shop.Paid:
			sold[ledger.Account{Sale: order.Sale, SKU: order.SKU, Name: ledger.Sold}] += order.Quantity
		default:
		}
	}
	for account, units := range t.balances {
		switch account.Name {
		case ledger.Held:
			if held[account] != units {
				return fmt.Errorf("%+v is %d, orders awaiting payment %d", account, units, held[account])
			}
		case ledger.Sold:
			if sold[account] != units {
				return fmt.Errorf("%+v is %d, paid orders %d", account, units, sold[account])
			}
		default:
		}
	}
	for holder, units := range quotas {
		if live[holder] != units {
			return fmt.Errorf("quota of %+v is %d, live orders %d", holder, units, live[holder])
		}
		delete(live, holder)
	}
	if len(live) > 0 {
		return fmt.Errorf("orders without a quota: %v", live)
	}
	return nil
}
