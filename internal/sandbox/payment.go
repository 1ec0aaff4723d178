package sandbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// state is where a payment stands.
type state uint8

const (
	open state = iota // may be paid
	paid              // the money was taken
	over              // ended, or its time is up: no money is taken any more
)

// payment is what the sandbox knows of one order. It knows no buyer.
type payment struct {
	Sale     string    `json:"sale"`
	SKU      string    `json:"sku"`
	Quantity int64     `json:"quantity"`
	Amount   int64     `json:"amount"` // minor units
	Currency string    `json:"currency"`
	PayBy    time.Time `json:"pay_by"`
	ReturnTo string    `json:"return_to"`
	Ended    bool      `json:"ended,omitempty"`
	Charge   *charge   `json:"charge,omitempty"`
	Acked    bool      `json:"acked,omitempty"` // the shop has heard of the charge

	order shop.ClaimID
	mark  int64 // the journal's, of the charge: durable once synced so far
}

// charge is the money taken for a payment.
type charge struct {
	Reference string    `json:"reference"`
	At        time.Time `json:"at"`
}

func newPayment(order *shop.Order, returnTo string) *payment {
	return &payment{
		Sale: order.Sale, SKU: order.SKU, Quantity: order.Quantity, Amount: order.Amount,
		Currency: order.Currency, PayBy: order.PayBy, ReturnTo: returnTo, order: order.ID,
	}
}

func (p *payment) state(now time.Time) state {
	switch {
	case p.Charge != nil:
		return paid
	case p.Ended || !now.Before(p.PayBy):
		return over
	}
	return open
}

// forgettable reports whether nobody will ask for the payment any more: its
// time ended before longAgo, and the shop has heard of what was taken.
func (p *payment) forgettable(longAgo time.Time) bool {
	return p.PayBy.Before(longAgo) && (p.Charge == nil || p.Acked)
}

// taken returns the payment's charge. There must be one.
func (p *payment) taken() payments.Charge {
	return payments.Charge{Reference: p.Charge.Reference, Order: p.order, Amount: p.Amount, Currency: p.Currency}
}

// letter returns the event that reports the payment's charge. There must be a
// charge. The event's id is the charge's: sent again, it is the same event.
func (p *payment) letter() *letter {
	return &letter{id: "evt_" + p.Charge.Reference, kind: typeSucceeded, at: p.Charge.At, charge: p.taken()}
}

// The journal's operations.
const (
	opStart  = "start"
	opCharge = "charge"
	opEnd    = "end"
	opAck    = "ack"
)

// record is one line of the journal.
type record struct {
	Op        string    `json:"op"`
	Order     string    `json:"order"`
	Payment   *payment  `json:"payment,omitempty"`   // of start
	Reference string    `json:"reference,omitempty"` // of charge
	At        time.Time `json:"at,omitzero"`         // of charge
}

func (r record) line() ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write a line of the sandbox's journal: %w", err)
	}
	return line, nil
}

// replay applies one line of the journal that was read at the start.
func (p *Provider) replay(line []byte) error {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	return p.apply(r, 0)
}

// apply changes the table by one record. Mark is the journal's after it.
func (p *Provider) apply(r record, mark int64) error {
	id, ok := shop.ParseClaimID(r.Order)
	if !ok {
		return fmt.Errorf("order %q is not 32 hexadecimal digits", r.Order)
	}
	known, started := p.payments[id]
	if r.Op == opStart {
		if r.Payment == nil {
			return fmt.Errorf("order %s starts without a payment", id)
		}
		p.starts++
		if started {
			known.ReturnTo = r.Payment.ReturnTo // price and charge stay as they are
		} else {
			r.Payment.order = id
			p.payments[id] = r.Payment
		}
		return nil
	}
	if !started {
		return fmt.Errorf("%q of order %s, which was not started", r.Op, id)
	}
	switch r.Op {
	case opCharge:
		known.Charge = &charge{Reference: r.Reference, At: r.At}
		known.mark = mark
	case opEnd:
		known.Ended = true
	case opAck:
		known.Acked = true
	default:
		return fmt.Errorf("operation %q is not known to this version", r.Op)
	}
	return nil
}
