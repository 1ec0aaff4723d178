// Package cashier is the road that money takes: it sends a buyer to the payment
// page, and brings what the provider reports into the ledger.
package cashier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// endTimeout bounds telling the provider that an order ended. Its page ends by
// itself at PayBy, and money that comes all the same is refunded.
const endTimeout = 2 * time.Second

// Outcome is what became of a report: the closed set behind a metric.
type Outcome string

// The outcomes of reports.
const (
	Paid      Outcome = "paid"       // the order is paid, now or by an earlier report
	RefundDue Outcome = "refund_due" // it came after the order's end
	Refused   Outcome = "refused"    // paid twice, of another amount, or for nothing: kept as due for refund
	Stranger  Outcome = "stranger"   // money for an order that the ledger does not know
	Declined  Outcome = "declined"   // no money came
	Abandoned Outcome = "abandoned"  // the buyer left the page
	Ignored   Outcome = "ignored"    // concerns no order
	Forged    Outcome = "forged"     // not the provider's word, or too old
	Unread    Outcome = "unread"     // signed, but not to be understood
	Failed    Outcome = "failed"     // the ledger could not take it: it comes again
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{Paid, RefundDue, Refused, Stranger, Declined, Abandoned, Ignored, Forged, Unread, Failed}
}

// Cashier serves buyers who pay and providers who report. Its fields are set
// once, before the first call.
type Cashier struct {
	Provider payments.Provider // nil: orders are paid elsewhere and reported by the merchant
	Orders   ledger.Orders
	Claims   ledger.Claims
	Board    *gate.Board
	Now      func() time.Time // the ledger's clock

	// Late brings the units of an order whose time is over to where pay can
	// take them again, and runs pay. nil: pay takes what it finds.
	Late func(ctx context.Context, order shop.Order, pay func() error) error
	// Moved hears of every order whose units may have moved between accounts.
	Moved func(order shop.Order)
	// Count hears what became of each report.
	Count func(Outcome)
	Log   *slog.Logger
}

// Order returns an order as it now stands and where its buyer goes after paying,
// for a payment page that may have been given out at another node; a
// shop.Refusal where there is none.
func (c *Cashier) Order(ctx context.Context, id shop.ClaimID) (shop.Order, string, error) {
	order, err := c.Claims.Order(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return shop.Order{}, "", shop.Refusal{Code: shop.NotFound, Detail: "There is no such order."}
	}
	if err != nil {
		return shop.Order{}, "", fmt.Errorf("look at order %s: %w", id, err)
	}
	return order, c.returnTo(&order), nil
}

// Start returns the address at which the order's owner pays for it. Calling it
// again leads to the same payment.
func (c *Cashier) Start(ctx context.Context, who gate.Identity, id shop.ClaimID) (string, error) {
	order, err := c.Claims.Order(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) || (err == nil && !who.Owns(&order)) {
		return "", shop.Refusal{Code: shop.NotFound, Detail: "You have no such order."}
	}
	if err != nil {
		return "", fmt.Errorf("start payment of %s: %w", id, err)
	}
	if order.Status != shop.AwaitingPayment {
		return "", shop.Refusal{Code: shop.WrongStatus, Detail: fmt.Sprintf("The order is %s; there is nothing to pay.", order.Status)}
	}
	if !c.Now().Before(order.PayBy) {
		return "", shop.Refusal{Code: shop.WrongStatus, Detail: "The time to pay for this order is over."}
	}
	notice, ok := c.Board.Notice(order.Sale)
	if !ok { // decided at another node a moment ago; nobody is sent to a cashier who may not be the right one
		return "", shop.Refusal{Code: shop.Unavailable, Detail: "This server does not know the sale yet. Try again in a moment.", RetryAfter: time.Second}
	}
	if notice.Sale.PayURL != "" {
		return notice.Sale.PayAt(id), nil
	}
	if c.Provider == nil {
		return "", shop.Refusal{
			Code:   shop.NotFound, // for good: asking again does not help
			Detail: "This server has no payment page. Pay as the shop told you; the order changes when the shop reports it.",
		}
	}
	address, err := c.Provider.Start(ctx, order, c.returnTo(&order))
	if err != nil {
		return "", fmt.Errorf("start payment of %s: %w", id, err)
	}
	return address, nil
}

// returnTo is where the buyer goes after paying.
func (c *Cashier) returnTo(order *shop.Order) string {
	page := "/s/" + order.Sale
	if notice, ok := c.Board.Notice(order.Sale); ok && notice.Sale.PageURL != "" {
		page = notice.Sale.PageURL
	}
	return page + "#order=" + order.ID.String()
}

// Pay records money that the merchant's own cashier took. The order's page at
// the provider, if it has one, ends: nobody should pay twice.
func (c *Cashier) Pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	order, err := c.pay(ctx, payment)
	if err == nil {
		c.ended(ctx, &order)
	}
	return order, err
}

// pay records a payment. The ledger decides what it pays; one that comes late
// finds its units where they can be taken again, if any are left.
func (c *Cashier) pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	order, err := c.Claims.Order(ctx, payment.Order)
	if err != nil {
		return order, err
	}
	over := order.Status == shop.AwaitingPayment && !c.Now().Before(order.PayBy)
	if c.Late == nil || (order.Status != shop.Expired && !over) {
		return c.Orders.Pay(ctx, payment)
	}
	err = c.Late(ctx, order, func() (err error) {
		order, err = c.Orders.Pay(ctx, payment)
		return err
	})
	return order, err
}

// Cancel ends an order for its buyer or an operator, and its payment page.
func (c *Cashier) Cancel(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	order, err := c.Orders.Cancel(ctx, cancellation)
	if err == nil {
		c.ended(ctx, &order)
	}
	return order, err
}

// ended says that an order changed by another way than its payment page: its
// units moved, and unless it still awaits payment, its page ends.
func (c *Cashier) ended(ctx context.Context, order *shop.Order) {
	c.moved(order)
	if c.Provider == nil || order.Status == shop.AwaitingPayment {
		return
	}
	// The caller may be gone: the page must end all the same.
	amends, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := c.Provider.End(amends, order.ID); err != nil {
		c.Log.Warn("cashier: a payment page stays open until its time is over",
			slog.String("order", order.ID.String()), slog.Any("error", err))
	}
}

func (c *Cashier) moved(order *shop.Order) {
	if c.Moved != nil {
		c.Moved(*order)
	}
}

func (c *Cashier) count(outcome Outcome) {
	if c.Count != nil {
		c.Count(outcome)
	}
}

// Report takes one callback of the provider. nil says that the provider may
// forget it: what it means is on disk, or it means nothing. An event that
// comes twice, late or out of order does what it would have done once, in
// time and in order, as far as the order still allows.
func (c *Cashier) Report(ctx context.Context, header http.Header, body []byte) error {
	outcome, err := c.report(ctx, header, body)
	c.count(outcome)
	return err
}

func (c *Cashier) report(ctx context.Context, header http.Header, body []byte) (Outcome, error) {
	event, err := c.Provider.Event(header, body)
	switch {
	case errors.Is(err, payments.ErrSignature):
		return Forged, err
	case errors.Is(err, payments.ErrIgnored):
		return Ignored, nil
	case err != nil:
		c.Log.Error("cashier: a signed event cannot be read: look it up at the provider", slog.Any("error", err))
		return Unread, shop.Refusal{Code: shop.Malformed, Detail: "The event is signed, but cannot be read: " + err.Error() + "."}
	}
	crash.At(crash.PaymentEventReceived)
	switch event.Kind {
	case payments.Succeeded:
		return c.settle(ctx, &event)
	case payments.Declined: // the hold goes on: the buyer may try again
		return Declined, nil
	case payments.Abandoned:
		return Abandoned, nil
	}
	return Ignored, nil
}

// settle brings a charge into the ledger. The ledger decides what it pays:
// amount and currency against the order's, in time, late, twice.
func (c *Cashier) settle(ctx context.Context, event *payments.Event) (Outcome, error) {
	order, err := c.pay(ctx, ledger.Payment{
		Order: event.Order, Reference: event.Charge.Reference, EventID: event.ID,
		Amount: event.Charge.Amount, Currency: event.Charge.Currency,
	})
	facts := []any{
		slog.String("order", event.Order.String()), slog.String("reference", event.Charge.Reference),
		slog.Int64("amount", event.Charge.Amount), slog.String("currency", event.Charge.Currency),
	}
	if errors.Is(err, ledger.ErrNotFound) {
		c.Log.Error("cashier: money came for an order that the ledger does not know: refund it at the provider", facts...)
		return Stranger, nil
	}
	if no, ok := errors.AsType[shop.Refusal](err); ok {
		crash.At(crash.PaymentCommitted)
		c.Log.Error("cashier: money came that pays nothing: refund it", append(facts, slog.String("why", no.Detail))...)
		return Refused, nil
	}
	if err != nil {
		return Failed, fmt.Errorf("record payment of %s: %w", event.Order, err)
	}
	crash.At(crash.PaymentCommitted)
	c.moved(&order)
	if order.Status != shop.Paid {
		c.Log.Warn("cashier: money came after the order's end: refund it", facts...)
		return RefundDue, nil
	}
	return Paid, nil
}
