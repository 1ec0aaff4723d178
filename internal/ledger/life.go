package ledger

import (
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// noTime is a PayBy that no longer counts.
var noTime = time.Time{} //nolint:gochecknoglobals // the zero value, named

// Pay records money for an order. It is the conditional update that decides
// between paying and expiring. Money of another amount pays nothing: the price
// is the order's, whatever a provider says.
func (b *Book) Pay(payment Payment) (shop.Order, error) {
	claim, ok := b.claims[payment.Order]
	if !ok {
		return shop.Order{}, ErrNotFound
	}
	order := &claim.Order
	if known, ok := charged(claim, payment); ok {
		return repeated(claim, known)
	}
	if payment.Currency != "" && (payment.Currency != order.Currency || payment.Amount != order.Amount) {
		b.charge(claim, payment, true)
		return *order, wrongMoney(order, payment)
	}
	switch order.Status {
	case shop.AwaitingPayment:
		return b.payInTime(claim, payment)
	case shop.Expired, shop.Cancelled:
		return b.payLate(claim, payment)
	case shop.Paid, shop.RefundDue, shop.Refunded:
		if order.Amount == 0 && payment.Amount == 0 { // no money came, and none was asked
			return *order, wrongStatus(order.Status, "paid")
		}
		b.charge(claim, payment, true)
		return *order, shop.Refusal{
			Code:   shop.WrongStatus,
			Detail: fmt.Sprintf("The order is %s by payment %q already; payment %q is noted as due for refund.", order.Status, order.Reference, payment.Reference),
		}
	default:
		b.charge(claim, payment, true)
		return *order, shop.Refusal{
			Code:   shop.WrongStatus,
			Detail: fmt.Sprintf("The order is %s: there is nothing to pay; payment %q is noted as due for refund.", order.Status, payment.Reference),
		}
	}
}

func wrongMoney(order *shop.Order, payment Payment) shop.Refusal {
	return shop.Refusal{
		Code: shop.WrongStatus,
		Detail: fmt.Sprintf("Payment %q is of %d %s, the order of %d %s: it pays nothing and is noted as due for refund.",
			payment.Reference, payment.Amount, payment.Currency, order.Amount, order.Currency),
	}
}

// charged returns the charge by which the payment is known already.
func charged(claim *Claim, payment Payment) (Charge, bool) {
	for _, charge := range claim.Charges {
		if charge.Reference == payment.Reference || (payment.EventID != "" && charge.EventID == payment.EventID) {
			return charge, true
		}
	}
	return Charge{}, false
}

// repeated answers a report of money that is known already, as it was answered
// first: with the order where it is the order's own money, else with a refusal.
// A caller who missed the first refusal would otherwise take the order's status
// for an answer.
func repeated(claim *Claim, known Charge) (shop.Order, error) {
	order := &claim.Order
	if own, ok := ownCharge(claim); ok && own.Reference == known.Reference {
		return *order, nil
	}
	return *order, shop.Refusal{
		Code:   shop.WrongStatus,
		Detail: fmt.Sprintf("The order is %s; payment %q pays nothing and is noted as due for refund.", order.Status, known.Reference),
	}
}

// ownCharge is the money that paid for the order, or that its end turned into a
// refund: the first of the right amount, unless the order was refused.
func ownCharge(claim *Claim) (Charge, bool) {
	order := &claim.Order
	for _, charge := range claim.Charges {
		if order.Status != shop.Refused && charge.Amount == order.Amount && charge.Currency == order.Currency {
			return charge, true
		}
	}
	return Charge{}, false
}

func (b *Book) charge(claim *Claim, payment Payment, due bool) {
	charge := Charge{
		Order: claim.Order.ID, Reference: payment.Reference, EventID: payment.EventID,
		Amount: payment.Amount, Currency: payment.Currency, Due: due, At: b.Now,
	}
	if charge.Currency == "" {
		charge.Amount, charge.Currency = claim.Order.Amount, claim.Order.Currency
	}
	claim.Charges = append(claim.Charges, charge)
	b.charges = append(b.charges, charge)
}

func (b *Book) payInTime(claim *Claim, payment Payment) (shop.Order, error) {
	status, ok := claim.Order.Status.After(shop.Pay)
	if !ok {
		return claim.Order, wrongStatus(claim.Order.Status, "paid")
	}
	claim.Order.Status = status
	if err := b.sell(claim, payment.Reference); err != nil {
		return shop.Order{}, err
	}
	b.charge(claim, payment, false)
	return claim.Order, nil
}

// payLate takes the whole quantity again if units and quota allow, else the
// money is due for refund. After a cancellation it always is.
func (b *Book) payLate(claim *Claim, payment Payment) (shop.Order, error) {
	order := &claim.Order
	quota := b.quota(Holder{order.Sale, order.Buyer})
	limit := b.limit(order.Sale, quota)
	pool := Account{Sale: order.Sale, SKU: order.SKU, Name: Pool}
	status, retake := order.Status.After(shop.Retake)
	if !retake || b.units(pool) < order.Quantity || quota.Live+order.Quantity > limit {
		order.Status, _ = order.Status.After(shop.PayLate)
		order.Reference = payment.Reference
		b.charge(claim, payment, true)
		b.alter(claim)
		return *order, nil
	}
	if err := b.move(Line{
		Sale: order.Sale, SKU: order.SKU, Kind: KindRetake, From: Pool, To: Sold,
		Quantity: order.Quantity, Claim: &order.ID, Ref: payment.Reference,
	}); err != nil {
		return shop.Order{}, err
	}
	quota.Live += order.Quantity
	quota.Limit, quota.dirty = limit, true
	order.Status, order.Reference, order.PayBy = status, payment.Reference, noTime
	b.charge(claim, payment, false)
	b.alter(claim)
	return *order, nil
}

func (b *Book) limit(sale string, quota *Quota) int64 {
	if index, ok := b.sales[sale]; ok {
		return index.Sale.LimitPerBuyer
	}
	return quota.Limit
}

// Expire ends an order that still awaits payment past its PayBy, and reports
// whether it did.
func (b *Book) Expire(id shop.ClaimID) (shop.Order, bool, error) {
	claim, ok := b.claims[id]
	if !ok || claim.Order.Status != shop.AwaitingPayment || b.Now.Before(claim.Order.PayBy) {
		return shop.Order{}, false, nil
	}
	status, ok := claim.Order.Status.After(shop.Expire)
	if !ok {
		return shop.Order{}, false, nil
	}
	err := b.release(claim, status)
	return claim.Order, err == nil, err
}

// release gives held units and quota back.
func (b *Book) release(claim *Claim, status shop.Status) error {
	order := &claim.Order
	if err := b.move(Line{
		Sale: order.Sale, SKU: order.SKU, Kind: KindRelease, From: Held, To: Pool,
		Quantity: order.Quantity, Claim: &order.ID,
	}); err != nil {
		return err
	}
	b.giveBack(order)
	order.Status, order.PayBy = status, noTime
	b.alter(claim)
	return nil
}

func (b *Book) giveBack(order *shop.Order) {
	quota := b.quota(Holder{order.Sale, order.Buyer})
	quota.Live -= order.Quantity
	quota.dirty = true
}

// Cancel ends an order for its buyer or an operator.
func (b *Book) Cancel(c Cancellation) (shop.Order, error) {
	claim, ok := b.claims[c.Order]
	if !ok || (c.Buyer != "" && c.Buyer != claim.Order.Buyer) || (c.Sale != "" && c.Sale != claim.Order.Sale) {
		return shop.Order{}, ErrNotFound
	}
	order := &claim.Order
	operator := c.Buyer == ""
	switch {
	case order.Status == shop.Cancelled, operator && order.Status == shop.RefundDue:
		return *order, nil
	case order.Status == shop.AwaitingPayment:
		order.Reference = c.Reason
		err := b.release(claim, shop.Cancelled)
		return *order, err
	case order.Status == shop.Paid && operator:
		err := b.callOff(claim, c)
		return *order, err
	case order.Status == shop.Paid && order.Amount == 0:
		status, _ := order.Status.After(shop.GiveUp)
		err := b.comeBack(claim, status, c.Reason)
		return *order, err
	}
	return *order, wrongStatus(order.Status, "cancelled")
}

// callOff ends a paid order. Its money is due for refund; its units go back on
// sale, or out of it. The order keeps the payment's reference, for the refund;
// the reason stands in the line.
func (b *Book) callOff(claim *Claim, c Cancellation) error {
	status, ok := claim.Order.Status.After(shop.CallOff)
	if !ok {
		return wrongStatus(claim.Order.Status, "called off")
	}
	for i := range claim.Charges {
		if !claim.Charges[i].Due {
			claim.Charges[i].Due = true
			b.due = append(b.due, claim.Charges[i])
		}
	}
	if err := b.comeBack(claim, status, c.Reason); err != nil || c.Restock {
		return err
	}
	order := &claim.Order
	err := b.move(Line{
		Sale: order.Sale, SKU: order.SKU, Kind: KindWithdraw, From: Pool, To: Withdrawn,
		Quantity: order.Quantity, Claim: &order.ID, Ref: "called off",
	})
	b.alter(claim)
	return err
}

// comeBack moves a sold order's units to the pool.
func (b *Book) comeBack(claim *Claim, status shop.Status, why string) error {
	order := &claim.Order
	if err := b.move(Line{
		Sale: order.Sale, SKU: order.SKU, Kind: KindReturn, From: Sold, To: Pool,
		Quantity: order.Quantity, Claim: &order.ID, Ref: why,
	}); err != nil {
		return err
	}
	b.giveBack(order)
	order.Status = status
	b.alter(claim)
	return nil
}

// Refund records that the money of an order went back.
func (b *Book) Refund(id shop.ClaimID, reference string) (shop.Order, error) {
	claim, ok := b.claims[id]
	if !ok {
		return shop.Order{}, ErrNotFound
	}
	order := &claim.Order
	if order.Status == shop.Refunded && order.Reference == reference {
		return *order, nil
	}
	status, ok := order.Status.After(shop.Refund)
	if !ok {
		return *order, wrongStatus(order.Status, "refunded")
	}
	order.Status, order.Reference = status, reference
	b.alter(claim)
	return *order, nil
}

func wrongStatus(status shop.Status, wanted string) shop.Refusal {
	return shop.Refusal{
		Code:   shop.WrongStatus,
		Detail: fmt.Sprintf("The order is %s; it cannot be %s.", status, wanted),
	}
}
