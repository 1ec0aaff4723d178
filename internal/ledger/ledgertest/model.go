package ledgertest

import (
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// model is the protocol's one page in the fewest words, for one sale with one
// bucket.
type model struct {
	now     time.Time
	limit   int64
	epoch   int64
	grants  int64 // last number
	reclaim ledger.Reclaim
	stock   map[string]*ledger.Balance
	claims  map[shop.ClaimID]*modelClaim
	ids     []shop.ClaimID
}

// modelClaim is a decided ticket and its order.
type modelClaim struct {
	ticket    shop.Ticket
	consumes  bool
	status    shop.Status
	reason    shop.Code
	payBy     time.Time
	reference string
	charges   int
}

func newModel(sale shop.Sale) *model {
	m := &model{limit: sale.LimitPerBuyer, stock: map[string]*ledger.Balance{}, claims: map[shop.ClaimID]*modelClaim{}}
	for _, item := range sale.Items {
		m.stock[item.SKU] = &ledger.Balance{Total: item.Stock, Pool: item.Stock}
	}
	return m
}

func (m *model) live(buyer string) int64 {
	var units int64
	for _, claim := range m.claims {
		if claim.ticket.Buyer == buyer && claim.status.Live() {
			units += claim.ticket.Quantity
		}
	}
	return units
}

func (m *model) bump() {
	m.epoch++
	m.grants, m.reclaim = 0, ledger.Reclaim{}
	for _, units := range m.stock {
		units.Pool += units.Granted
		units.Granted = 0
	}
}

// decide answers with the claim and what the stock does with the ticket.
func (m *model) decide(ticket shop.Ticket) (*modelClaim, shop.Verdict) {
	claim, known := m.claims[ticket.Claim]
	if !known {
		claim = m.judge(ticket)
		m.claims[ticket.Claim] = claim
		m.ids = append(m.ids, ticket.Claim)
	}
	if claim.consumes && claim.ticket == ticket {
		return claim, shop.Consumed
	}
	return claim, shop.Returned
}

func (m *model) judge(ticket shop.Ticket) *modelClaim {
	claim := &modelClaim{ticket: ticket, status: shop.Refused}
	units := m.stock[ticket.SKU]
	if ticket.Epoch == m.epoch && units.Granted < ticket.Quantity {
		m.bump()
	}
	switch {
	case m.live(ticket.Buyer)+ticket.Quantity > m.limit:
		claim.reason = shop.LimitReached
		return claim
	case ticket.Epoch == m.epoch:
		units.Granted -= ticket.Quantity
		claim.consumes = true
	case units.Pool >= ticket.Quantity:
		units.Pool -= ticket.Quantity
	case units.Pool+units.Granted+units.Held < ticket.Quantity:
		claim.reason = shop.SoldOut
		return claim
	default:
		claim.reason = shop.Missed
		return claim
	}
	if ticket.SKU == gift {
		units.Sold += ticket.Quantity
		claim.status = shop.Paid
		return claim
	}
	units.Held += ticket.Quantity
	claim.status, claim.payBy = shop.AwaitingPayment, m.now.Add(hold)
	return claim
}

// grant reports whether POOL has the units.
func (m *model) grant(sku string, quantity int64) bool {
	units := m.stock[sku]
	if units.Pool < quantity {
		return false
	}
	units.Pool -= quantity
	units.Granted += quantity
	m.grants++
	return true
}

// take reports whether the ledger bears the reclaim; where not, it bumps.
func (m *model) take(back ledger.Reclaim) bool {
	if back == m.reclaim {
		return true
	}
	units := m.stock[back.SKU]
	if back.Number != m.reclaim.Number+1 || units.Granted < back.Units {
		m.bump()
		return false
	}
	units.Granted -= back.Units
	units.Pool += back.Units
	m.reclaim = back
	return true
}

// pay reports whether the money paid for the order, now or before.
func (m *model) pay(claim *modelClaim, reference string) bool {
	units, quantity := m.stock[claim.ticket.SKU], claim.ticket.Quantity
	switch claim.status {
	case shop.AwaitingPayment:
		units.Held -= quantity
		units.Sold += quantity
		claim.status = shop.Paid
	case shop.Expired:
		claim.status = shop.RefundDue
		if units.Pool >= quantity && m.live(claim.ticket.Buyer)+quantity <= m.limit {
			units.Pool -= quantity
			units.Sold += quantity
			claim.status = shop.Paid
		}
	case shop.Cancelled:
		claim.status = shop.RefundDue
	default:
		claim.charges++
		return false
	}
	claim.charges++
	claim.reference = reference
	return true
}

// cancel reports whether the status leads there.
func (m *model) cancel(claim *modelClaim, operator, restock bool) bool {
	units, quantity := m.stock[claim.ticket.SKU], claim.ticket.Quantity
	switch {
	case claim.status == shop.Cancelled, claim.status == shop.RefundDue && operator:
	case claim.status == shop.AwaitingPayment:
		units.Held -= quantity
		units.Pool += quantity
		claim.status = shop.Cancelled
	case claim.status == shop.Paid && operator:
		units.Sold -= quantity
		claim.status = shop.RefundDue
		if restock {
			units.Pool += quantity
		} else {
			units.Withdrawn += quantity
		}
	case claim.status == shop.Paid && claim.ticket.SKU == gift:
		units.Sold -= quantity
		units.Pool += quantity
		claim.status = shop.Cancelled
	default:
		return false
	}
	return true
}

// expire reports whether the order ended.
func (m *model) expire(claim *modelClaim) bool {
	if claim.status != shop.AwaitingPayment || m.now.Before(claim.payBy) {
		return false
	}
	units := m.stock[claim.ticket.SKU]
	units.Held -= claim.ticket.Quantity
	units.Pool += claim.ticket.Quantity
	claim.status = shop.Expired
	return true
}

// restock follows a document that says stock instead of the one before.
func (m *model) restock(sku string, change int64) {
	units := m.stock[sku]
	units.Pool += change
	if change > 0 {
		units.Total += change
	} else {
		units.Withdrawn -= change
	}
}
