// Package payments asks for money and hears back. A provider is believed only
// where its word is signed, and never about the price.
package payments

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Provider is a payment service: hosted page out, signed events in.
type Provider interface {
	// Start returns the address of a page on which the order can be paid until
	// its PayBy, and which leads back to returnTo. A second call for the order
	// returns a page of the same payment: an order is never charged by two.
	Start(ctx context.Context, order shop.Order, returnTo string) (string, error)

	// Paid asks the provider whether the order's money has arrived: once, just
	// before its units would be released. An error is not a no.
	Paid(ctx context.Context, id shop.ClaimID) (Charge, bool, error)

	// End tells the provider that the order can no longer be paid, so that its
	// page says so. Ending twice, or what never started, changes nothing.
	End(ctx context.Context, id shop.ClaimID) error

	// Event reads one callback. It returns ErrSignature where the body is not
	// the provider's or too old, and ErrIgnored for events that concern no
	// order. Any other error: it is the provider's, but cannot be understood.
	Event(header http.Header, body []byte) (Event, error)
}

// Errors of Provider.Event.
var (
	ErrSignature = errors.New("payments: the event's signature does not hold")
	ErrIgnored   = errors.New("payments: the event concerns no order")
)

// Kind is what a provider reports.
type Kind uint8

// The kinds of events.
const (
	Succeeded Kind = iota // the money is there
	Declined              // this attempt failed; the buyer may try again
	Abandoned             // the buyer left the page; the hold goes on
)

// Event is one signed report of a provider. Events come late, twice and out
// of order.
type Event struct {
	ID     string // unique per provider: the same event twice has one effect
	Kind   Kind
	At     time.Time // the provider's clock; for display only
	Charge Charge    // of Succeeded
	Order  shop.ClaimID
}

// Charge is money that a provider took.
type Charge struct {
	Reference string // the provider's name for it; unique
	Order     shop.ClaimID
	Amount    int64  // minor units
	Currency  string // ISO 4217
}
