package ledgertest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func lifeCases() []suiteCase {
	return []suiteCase{
		{"an order is paid once", paidOnce},
		{"an order expires at its time and its units are sold again", expires},
		{"paying and expiring: the first one wins", payThenExpire},
		{"expiring does nothing before the time, twice, or to strangers", expireIdle},
		{"a payment after the end takes the units again", lateRetake},
		{"a payment after the end is due for refund where no unit is left", lateNoUnit},
		{"a payment after the end is due for refund where the quota is full", lateNoQuota},
		{"a payment after a cancellation is always due for refund", lateAfterCancel},
		{"a buyer gives back what is not paid, once", buyerCancels},
		{"a buyer gives back what was free, but not what was paid", buyerCancelsPaid},
		{"nobody cancels somebody else's order", strangerCancels},
		{"nobody cancels an order of another sale than he may", otherSaleCancels},
		{"an operator calls off a paid order and restocks it", calledOffRestocked},
		{"an operator calls off a paid order and takes its units out of the sale", calledOffWithdrawn},
		{"a refund is recorded once", refundOnce},
		{"holds come due in the order of their times", dueInOrder},
		{"a clock that jumps ends no hold early and none late", clockJumps},
	}
}

func paidOnce(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	first := b.pay(id, "r", shop.Paid)
	if first.Reference != "r" || !first.PayBy.IsZero() || first.AsOf != b.stand().AsOf {
		b.Errorf("paid as %+v", first)
	}
	if diff := cmp.Diff(first, b.pay(id, "r", shop.Paid)); diff != "" {
		b.Errorf("paying again changed the order:\n%s", diff)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Sold: 1})
	b.live("ann", 1)
	_, err := b.Pay(b.ctx, ledger.Payment{Order: claimOf("suite", "nobody", "k"), Reference: "r"})
	b.wantErr(err, ledger.ErrNotFound)
}

func expires(b *bench) {
	stocked(b, 1, 1)
	id := b.buy("ann", "k").ID
	b.expire(id)
	order := b.order(id, shop.Expired)
	if !order.PayBy.IsZero() || order.AsOf != b.stand().AsOf {
		b.Errorf("expired as %+v", order)
	}
	b.want(small, ledger.Balance{Total: 1, Pool: 1})
	b.live("ann", 0)
	b.buy("bob", "k")
}

func payThenExpire(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	b.time.Pass(hold)
	b.pay(id, "r", shop.Paid) // late, but nobody expired it
	if orders, err := b.Expire(b.ctx, []shop.ClaimID{id}); err != nil || len(orders) != 0 {
		b.Errorf("%d paid orders expired, %v", len(orders), err)
	}
	b.order(id, shop.Paid)
}

func expireIdle(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	ids := []shop.ClaimID{id, id, claimOf("suite", "nobody", "k")}
	b.time.Pass(hold - time.Millisecond)
	if orders, err := b.Expire(b.ctx, ids); err != nil || len(orders) != 0 {
		b.Errorf("%d orders expired a millisecond early, %v", len(orders), err)
	}
	if due, err := b.Due(b.ctx, 10); err != nil || len(due) != 0 {
		b.Errorf("%d orders due a millisecond early, %v", len(due), err)
	}
	b.time.Pass(time.Millisecond)
	for _, want := range []int{1, 0} {
		if orders, err := b.Expire(b.ctx, ids); err != nil || len(orders) != want {
			b.Errorf("%d orders expired, %v; want %d", len(orders), err, want)
		}
	}
	if orders, err := b.Expire(b.ctx, nil); err != nil || len(orders) != 0 {
		b.Errorf("%d of no orders expired, %v", len(orders), err)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
}

func lateRetake(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	b.expire(id)
	b.pay(id, "r", shop.Paid)
	b.pay(id, "r", shop.Paid)
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Sold: 1})
	b.live("ann", 1)
}

func lateNoUnit(b *bench) {
	stocked(b, 1, 1)
	id := b.buy("ann", "k").ID
	b.expire(id)
	b.buy("bob", "k")
	order := b.pay(id, "r", shop.RefundDue)
	if order.Reference != "r" {
		b.Errorf("reference %q, want that of the payment", order.Reference)
	}
	b.pay(id, "r", shop.RefundDue)
	b.live("ann", 0)
	b.live("bob", 1)
}

func lateNoQuota(b *bench) {
	stocked(b, 9, 5)
	two := b.ticket("ann", "k")
	two.Quantity = 2
	b.buyTicket(two, shop.AwaitingPayment)
	b.expire(two.Claim)
	b.buy("ann", "other")
	b.pay(two.Claim, "r", shop.RefundDue)
	b.live("ann", 1)
}

func lateAfterCancel(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	b.cancel(ledger.Cancellation{Order: id, Buyer: "ann"}, shop.Cancelled)
	b.pay(id, "r", shop.RefundDue)
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
}

func buyerCancels(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	for range 2 {
		b.cancel(ledger.Cancellation{Order: id, Buyer: "ann"}, shop.Cancelled)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
	b.live("ann", 0)
	b.time.Pass(hold)
	if due, err := b.Due(b.ctx, 10); err != nil || len(due) != 0 {
		b.Errorf("%d cancelled orders are due, %v", len(due), err)
	}
}

func buyerCancelsPaid(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	ticket.SKU = gift
	b.buyTicket(ticket, shop.Paid)
	for range 2 {
		b.cancel(ledger.Cancellation{Order: ticket.Claim, Buyer: "ann"}, shop.Cancelled)
	}
	b.want(gift, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
	b.live("ann", 0)
	paid := b.pay(b.buy("bob", "k").ID, "r", shop.Paid)
	_, err := b.Cancel(b.ctx, ledger.Cancellation{Order: paid.ID, Buyer: "bob"})
	b.wantNo(err, shop.WrongStatus)
	refused := b.ticket("cy", "k")
	refused.Quantity = 3
	b.refused(refused, shop.LimitReached)
	_, err = b.Cancel(b.ctx, ledger.Cancellation{Order: refused.Claim, Buyer: "cy"})
	b.wantNo(err, shop.WrongStatus)
}

func strangerCancels(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	_, err := b.Cancel(b.ctx, ledger.Cancellation{Order: id, Buyer: "bob"})
	b.wantErr(err, ledger.ErrNotFound)
	_, err = b.Cancel(b.ctx, ledger.Cancellation{Order: claimOf("suite", "nobody", "k")})
	b.wantErr(err, ledger.ErrNotFound)
	b.order(id, shop.AwaitingPayment)
}

func otherSaleCancels(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	_, err := b.Cancel(b.ctx, ledger.Cancellation{Order: id, Buyer: "ann", Sale: "another"})
	b.wantErr(err, ledger.ErrNotFound)
	b.order(id, shop.AwaitingPayment)
	b.live("ann", 1)
	b.cancel(ledger.Cancellation{Order: id, Buyer: "ann", Sale: "suite"}, shop.Cancelled)
}

func calledOffRestocked(b *bench) {
	stocked(b, 5, 3)
	id := b.pay(b.buy("ann", "k").ID, "r", shop.Paid).ID
	for range 2 {
		b.cancel(ledger.Cancellation{Order: id, Reason: "broken", Restock: true}, shop.RefundDue)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Granted: 2})
	b.live("ann", 0)
	if dues := b.charges(id); len(dues) != 1 || !dues[0].Due {
		b.Errorf("charges %+v, want one that is due", dues)
	}
	held := b.buy("bob", "k").ID
	b.cancel(ledger.Cancellation{Order: held, Reason: "fraud"}, shop.Cancelled)
	if got := b.order(held, shop.Cancelled).Reference; got != "fraud" {
		b.Errorf("reference %q, want the operator's reason", got)
	}
}

func calledOffWithdrawn(b *bench) {
	stocked(b, 5, 3)
	id := b.pay(b.buy("ann", "k").ID, "r", shop.Paid).ID
	b.cancel(ledger.Cancellation{Order: id, Reason: "broken"}, shop.RefundDue)
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Withdrawn: 1})
	b.live("ann", 0)
	renamed := document("suite", 5)
	renamed.Title = "Suite, second day"
	b.publish(renamed, ledger.Changed)
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Withdrawn: 1})
}

func refundOnce(b *bench) {
	stocked(b, 5, 3)
	id := b.pay(b.buy("ann", "k").ID, "r", shop.Paid).ID
	_, err := b.Refund(b.ctx, id, "back")
	b.wantNo(err, shop.WrongStatus)
	b.cancel(ledger.Cancellation{Order: id, Restock: true}, shop.RefundDue)
	for range 2 {
		order, err := b.Refund(b.ctx, id, "back")
		if err != nil || order.Status != shop.Refunded || order.Reference != "back" {
			b.Errorf("refunded as %v %q, %v", order.Status, order.Reference, err)
		}
	}
	_, err = b.Refund(b.ctx, id, "twice")
	b.wantNo(err, shop.WrongStatus)
	_, err = b.Refund(b.ctx, claimOf("suite", "nobody", "k"), "back")
	b.wantErr(err, ledger.ErrNotFound)
}

func dueInOrder(b *bench) {
	stocked(b, 9, 9)
	var want []shop.ClaimID
	for _, buyer := range []string{"zoe", "ann", "max"} {
		want = append(want, b.buy(buyer, "k").ID)
		b.time.Pass(time.Second)
	}
	b.time.Pass(hold)
	due, err := b.Due(b.ctx, 2)
	if err != nil || len(due) != 2 || due[0].ID != want[0] || due[1].ID != want[1] {
		b.Errorf("due: %v, %v; want the two oldest", due, err)
	}
}

func clockJumps(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	b.time.Jump(time.Hour)
	if due, err := b.Due(b.ctx, 10); err != nil || len(due) != 0 {
		b.Errorf("%d holds ended by a jump forward, %v", len(due), err)
	}
	b.time.Jump(-3 * time.Hour)
	if step := b.Clock().Step(); step > -time.Hour {
		b.Errorf("a step of %v, want two hours back", step)
	}
	b.expire(id)
}
