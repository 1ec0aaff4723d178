package paymentstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Ledger keeps orders by the ledger's own rules (ledger.Book) in memory, for
// tests of those who walk between a provider and the ledger. It implements
// ledger.Claims, Orders and Holds.
type Ledger struct {
	Now func() time.Time

	mu    sync.Mutex
	book  *ledger.Book
	ids   []shop.ClaimID // in the order decided
	fault error
}

// NewLedger publishes the sale.
func NewLedger(sale shop.Sale, now func() time.Time) (*Ledger, error) {
	l := &Ledger{Now: now, book: ledger.NewBook(now(), 0)}
	index := ledger.NewSaleIndex(&sale)
	l.book.PutSale(index)
	if _, err := l.book.Publish(ledger.Publication{Next: index, Revision: 1}); err != nil {
		return nil, fmt.Errorf("publish %s: %w", sale.ID, err)
	}
	return l, nil
}

// Fail makes every call fail with err, before it does anything; nil ends it.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = err
}

// Buy decides one unit for a buyer.
func (l *Ledger) Buy(sale, sku, buyer string) (shop.Order, error) {
	l.mu.Lock()
	var claim shop.ClaimID
	binary.BigEndian.PutUint64(claim[:], uint64(len(l.ids)+1))
	l.mu.Unlock()
	decisions, err := l.Decide(context.Background(), []shop.Ticket{{
		Claim: claim, Bucket: shop.Bucket{Sale: sale}, Buyer: buyer, SKU: sku, Quantity: 1,
	}})
	if err != nil {
		return shop.Order{}, err
	}
	return decisions[0].Order, nil
}

// turn is one transaction.
func (l *Ledger) turn() (*ledger.Book, error) {
	l.book.Now = l.Now()
	return l.book, l.fault
}

// Decide implements ledger.Claims.
func (l *Ledger) Decide(_ context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return nil, err
	}
	var decisions []ledger.Decision
	for _, ticket := range tickets {
		if _, known := book.Claim(ticket.Claim); !known {
			l.ids = append(l.ids, ticket.Claim)
		}
		decision, err := book.Decide(ticket)
		if err != nil {
			return nil, err
		}
		decisions = append(decisions, decision)
	}
	return decisions, nil
}

// Order implements ledger.Claims.
func (l *Ledger) Order(_ context.Context, id shop.ClaimID) (shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return shop.Order{}, err
	}
	claim, ok := book.Claim(id)
	if !ok {
		return shop.Order{}, ledger.ErrNotFound
	}
	return claim.Order, nil
}

// Standing implements ledger.Claims.
func (l *Ledger) Standing(_ context.Context, sale, buyer string) (ledger.Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var standing ledger.Standing
	for order := range l.orders() {
		if order.Sale != sale || order.Buyer != buyer {
			continue
		}
		if order.Status.Live() {
			standing.Live += order.Quantity
		}
		standing.Orders = append(standing.Orders, order)
	}
	return standing, l.fault
}

// Decided implements ledger.Claims.
func (l *Ledger) Decided(context.Context, string, int64) iter.Seq2[ledger.Print, error] {
	return func(yield func(ledger.Print, error) bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for order := range l.orders() {
			if !yield(ledger.Print{Claim: order.ID}, nil) {
				return
			}
		}
	}
}

// orders yields every order, oldest first. The caller holds the lock.
func (l *Ledger) orders() iter.Seq[shop.Order] {
	return func(yield func(shop.Order) bool) {
		for _, id := range l.ids {
			if claim, ok := l.book.Claim(id); ok && !yield(claim.Order) {
				return
			}
		}
	}
}

// Pay implements ledger.Orders.
func (l *Ledger) Pay(_ context.Context, payment ledger.Payment) (shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return shop.Order{}, err
	}
	return book.Pay(payment)
}

// Cancel implements ledger.Orders.
func (l *Ledger) Cancel(_ context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return shop.Order{}, err
	}
	return book.Cancel(cancellation)
}

// Refund implements ledger.Orders.
func (l *Ledger) Refund(_ context.Context, id shop.ClaimID, reference string) (shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return shop.Order{}, err
	}
	return book.Refund(id, reference)
}

// Charges implements ledger.Orders.
func (l *Ledger) Charges(_ context.Context, id shop.ClaimID) ([]ledger.Charge, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	claim, ok := l.book.Claim(id)
	if !ok {
		return nil, nil
	}
	return slices.Clone(claim.Charges), nil
}

// List implements ledger.Orders: every order on one page.
func (l *Ledger) List(context.Context, ledger.Query) ([]shop.Order, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []shop.Order
	for order := range l.orders() {
		all = append(all, order)
	}
	return all, "", l.fault
}

// Due implements ledger.Holds.
func (l *Ledger) Due(_ context.Context, limit int) ([]shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return nil, err
	}
	var due []shop.Order
	for order := range l.orders() {
		if len(due) < limit && order.Status == shop.AwaitingPayment && !book.Now.Before(order.PayBy) {
			due = append(due, order)
		}
	}
	return due, nil
}

// Expire implements ledger.Holds.
func (l *Ledger) Expire(_ context.Context, ids []shop.ClaimID) ([]shop.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.turn()
	if err != nil {
		return nil, err
	}
	var expired []shop.Order
	for _, id := range ids {
		order, done, err := book.Expire(id)
		if err != nil {
			return nil, err
		}
		if done {
			expired = append(expired, order)
		}
	}
	return expired, nil
}

// Broken returns a sentence for each thing that does not add up: I2, I3 and
// I8 of the protocol, and for each charge that the provider took and the
// ledger does not have exactly once.
func (l *Ledger) Broken(taken []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []string
	known := map[string]int{}
	sums := map[ledger.Name]int64{}
	for _, id := range l.ids {
		claim, _ := l.book.Claim(id)
		paying := int64(0)
		for _, charge := range claim.Charges {
			known[charge.Reference]++
			if !charge.Due {
				paying++
			}
		}
		if want := chargesOf(&claim.Order); paying != want {
			faults = append(faults, fmt.Sprintf("order %s is %s with %d charges that pay, want %d", id, claim.Order.Status, paying, want))
		}
		switch claim.Order.Status {
		case shop.AwaitingPayment:
			sums[ledger.Held] += claim.Order.Quantity
		case shop.Paid:
			sums[ledger.Sold] += claim.Order.Quantity
		default:
		}
	}
	for _, reference := range taken {
		if known[reference] != 1 {
			faults = append(faults, fmt.Sprintf("charge %s stands %d times in the ledger, want once", reference, known[reference]))
		}
	}
	changes := l.book.Changes()
	for _, balance := range changes.Balances {
		sums[balance.Account.Name] -= balance.Units
	}
	if sums[ledger.Held] != 0 || sums[ledger.Sold] != 0 {
		faults = append(faults, fmt.Sprintf("orders hold %d and own %d units more than the accounts", sums[ledger.Held], sums[ledger.Sold]))
	}
	for _, quota := range changes.Quotas {
		if quota.Live < 0 || quota.Live > quota.Limit {
			faults = append(faults, fmt.Sprintf("buyer %s has %d units, limit %d", quota.Buyer, quota.Live, quota.Limit))
		}
	}
	return faults
}

// chargesOf is how many charges pay for an order in its status.
func chargesOf(order *shop.Order) int64 {
	if order.Status == shop.Paid && order.Amount > 0 {
		return 1
	}
	return 0
}
