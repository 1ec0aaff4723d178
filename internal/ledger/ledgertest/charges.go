package ledgertest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func chargeCases() []suiteCase {
	return []suiteCase{
		{"a second charge of a paid order is kept, due for refund", doubleCharge},
		{"a provider's event counts once", eventOnce},
		{"another order's event pays nothing", foreignEvent},
		{"money of another amount or currency pays nothing", wrongMoney},
		{"money for a refused order is due for refund", refusedCharged},
		{"no money for a free order is no charge", freeReported},
		{"a reference may be any text and counts once", anyReference},
	}
}

// charges returns what the books keep of an order's money.
func (b *bench) charges(id shop.ClaimID) []ledger.Charge {
	b.Helper()
	var charges []ledger.Charge
	err := b.Read(b.ctx, func(v ledger.View) error {
		for claim, err := range v.Claims(b.ctx) {
			if err != nil {
				return err
			}
			if claim.Order.ID == id {
				charges = claim.Charges
			}
		}
		return nil
	})
	if err != nil {
		b.Fatalf("read charges: %v", err)
	}
	return charges
}

// charged wants the order's charges to be these references; a ! marks those
// that are due for refund.
func (b *bench) charged(id shop.ClaimID, want ...string) {
	b.Helper()
	charges := b.charges(id)
	told, err := b.Charges(b.ctx, id)
	if diff := cmp.Diff(charges, told); err != nil || diff != "" {
		b.Errorf("charges of the order, %v (-in the books +told)\n%s", err, diff)
	}
	if len(charges) != len(want) {
		b.Fatalf("charges %+v, want %q", charges, want)
	}
	for i, charge := range charges {
		got := charge.Reference
		if charge.Due {
			got += "!"
		}
		if got != want[i] || charge.Order != id || !charge.At.Equal(b.Clock().Now()) {
			b.Errorf("charge %+v, want %q", charge, want[i])
		}
	}
}

func euros(id shop.ClaimID, reference, event string) ledger.Payment {
	return ledger.Payment{Order: id, Reference: reference, EventID: event, Amount: price, Currency: "EUR"}
}

func doubleCharge(b *bench) {
	stocked(b, 5, 3)
	other := b.pay(b.buy("bob", "k").ID, "bob's", shop.Paid).ID
	id := b.pay(b.buy("ann", "k").ID, "r", shop.Paid).ID
	order, err := b.Pay(b.ctx, ledger.Payment{Order: id, Reference: "second"})
	b.wantNo(err, shop.WrongStatus)
	if order.Status != shop.Paid || order.Reference != "r" {
		b.Errorf("the order is %v by %q, want paid by the first", order.Status, order.Reference)
	}
	_, err = b.Pay(b.ctx, ledger.Payment{Order: id, Reference: "second"})
	b.wantNo(err, shop.WrongStatus) // who missed the first answer hears the same
	b.pay(id, "r", shop.Paid)
	b.charged(id, "r", "second!")
	b.charged(other, "bob's")
	b.reopen()
	b.charged(id, "r", "second!")

	b.cancel(ledger.Cancellation{Order: id}, shop.RefundDue)
	b.pay(id, "r", shop.RefundDue)
	if _, err := b.Refund(b.ctx, id, "back"); err != nil {
		b.Fatal(err)
	}
	b.pay(id, "r", shop.Refunded)
	_, err = b.Pay(b.ctx, ledger.Payment{Order: id, Reference: "second"})
	b.wantNo(err, shop.WrongStatus) // that went back is the first one's money
}

func eventOnce(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	for _, reference := range []string{"r", "r", "spelled otherwise"} {
		order, err := b.Pay(b.ctx, euros(id, reference, "evt-1"))
		if err != nil || order.Status != shop.Paid {
			b.Errorf("event reported as %q: %v, %v", reference, order.Status, err)
		}
	}
	b.charged(id, "r")
}

func foreignEvent(b *bench) {
	stocked(b, 5, 3)
	ann, bob := b.buy("ann", "k").ID, b.buy("bob", "k").ID
	if _, err := b.Pay(b.ctx, euros(ann, "r", "evt-1")); err != nil {
		b.Fatal(err)
	}
	if _, err := b.Pay(b.ctx, euros(bob, "r2", "evt-1")); err == nil {
		b.Error("one event paid two orders")
	}
	b.order(bob, shop.AwaitingPayment)
	b.charged(bob)
}

func wrongMoney(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	cheap, foreign := euros(id, "cheap", "evt-1"), euros(id, "foreign", "evt-2")
	cheap.Amount--
	foreign.Currency = "JPY"
	for _, payment := range []ledger.Payment{cheap, foreign, cheap} {
		_, err := b.Pay(b.ctx, payment)
		b.wantNo(err, shop.WrongStatus)
	}
	b.order(id, shop.AwaitingPayment)
	if order, err := b.Pay(b.ctx, euros(id, "right", "evt-3")); err != nil || order.Status != shop.Paid {
		b.Errorf("the right money: %v, %v", order.Status, err)
	}
	b.charged(id, "cheap!", "foreign!", "right")
}

func refusedCharged(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	ticket.Quantity = 3
	b.refused(ticket, shop.LimitReached)
	for range 2 {
		_, err := b.Pay(b.ctx, ledger.Payment{Order: ticket.Claim, Reference: "r"})
		b.wantNo(err, shop.WrongStatus)
	}
	b.order(ticket.Claim, shop.Refused)
	b.charged(ticket.Claim, "r!")
}

func freeReported(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	ticket.SKU = gift
	id := b.buyTicket(ticket, shop.Paid).ID
	for range 2 {
		_, err := b.Pay(b.ctx, ledger.Payment{Order: id, Reference: "r"})
		b.wantNo(err, shop.WrongStatus)
	}
	b.charged(id)
	_, err := b.Pay(b.ctx, euros(id, "gift", "evt-1"))
	b.wantNo(err, shop.WrongStatus)
	b.order(id, shop.Paid)
	b.charged(id, "gift!")
}

func anyReference(b *bench) {
	stocked(b, 5, 3)
	id := b.buy("ann", "k").ID
	for _, reference := range []string{"it's \"ours\"; \\", "\x00", "a\x00b", "\xff", "ключ 钥匙"} {
		before := len(b.charges(id))
		for range 2 { // the first one pays, the others are due for refund: each once
			if _, err := b.Pay(b.ctx, ledger.Payment{Order: id, Reference: reference}); err != nil {
				b.wantNo(err, shop.WrongStatus)
			}
		}
		b.reopen()
		if after := len(b.charges(id)); after != before+1 {
			b.Errorf("reference %q: %d charges after %d, want one more", reference, after, before)
		}
	}
}
