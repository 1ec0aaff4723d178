package shop

import "time"

// Order is what a claim led to. Its id is the claim's id.
type Order struct {
	ID        ClaimID
	Sale      string
	Buyer     string
	SKU       string
	Quantity  int64
	Status    Status
	Reason    Code      // of a refused order; empty otherwise
	Amount    int64     // minor units: unit price when decided × quantity
	Currency  string    // ISO 4217
	CreatedAt time.Time // UTC, the ledger's clock
	PayBy     time.Time // zero unless awaiting payment
	AsOf      int64     // the ledger's seq at which the order came to this status
	Reference string    // of the payment or cancellation; operators see it
}

// Status is where an order stands in its life.
type Status uint8

// The statuses of an order. Their numbers are stored: never reorder.
const (
	Pending Status = iota // not a promise yet; never stored
	AwaitingPayment
	Paid
	Expired
	Cancelled
	Refused
	RefundDue
	Refunded
)

// Statuses lists every status in the order of an order's life.
func Statuses() []Status {
	return []Status{Pending, AwaitingPayment, Paid, Expired, Cancelled, Refused, RefundDue, Refunded}
}

func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case AwaitingPayment:
		return "awaiting_payment"
	case Paid:
		return "paid"
	case Expired:
		return "expired"
	case Cancelled:
		return "cancelled"
	case Refused:
		return "refused"
	case RefundDue:
		return "refund_due"
	case Refunded:
		return "refunded"
	}
	return "unknown"
}

// ParseStatus returns the status with that name.
func ParseStatus(name string) (Status, bool) {
	for _, s := range Statuses() {
		if s.String() == name {
			return s, true
		}
	}
	return Pending, false
}

// Live reports whether the order's units count against its buyer's limit.
func (s Status) Live() bool { return s == AwaitingPayment || s == Paid }

// Event is something that happens to an order.
type Event uint8

// The events of an order's life.
const (
	Accept     Event = iota // decided for; to be paid
	AcceptFree              // decided for; nothing to pay
	Refuse                  // decided against
	Pay                     // paid in time
	Retake                  // paid after its end, its units taken again
	PayLate                 // paid after its end, no unit to be had
	Expire                  // not paid in time
	GiveUp                  // cancelled before payment, or free
	CallOff                 // cancelled by an operator after payment
	Refund                  // the money went back
)

// After is the one switch of an order's life: the status that event leads to
// from s, and false where it leads nowhere.
func (s Status) After(event Event) (Status, bool) {
	switch event {
	case Accept:
		return AwaitingPayment, s == Pending
	case AcceptFree:
		return Paid, s == Pending
	case Refuse:
		return Refused, s == Pending
	case Pay:
		return Paid, s == AwaitingPayment
	case Retake:
		return Paid, s == Expired
	case PayLate:
		return RefundDue, s == Expired || s == Cancelled
	case Expire:
		return Expired, s == AwaitingPayment
	case GiveUp: // of a paid order only where it was free: the ledger knows its amount
		return Cancelled, s == AwaitingPayment || s == Paid
	case CallOff:
		return RefundDue, s == Paid
	case Refund:
		return Refunded, s == RefundDue
	}
	return s, false
}
