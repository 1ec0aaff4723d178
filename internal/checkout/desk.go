// Package checkout is the buyer's half of a sale: gate, stock, and the wait
// for the ledger's answer.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// Wish is a buyer's request for units, its form already checked.
type Wish struct {
	Sale     string
	Buyer    string
	Key      string // Idempotency-Key; never empty
	SKU      string
	Quantity int64
	Wait     time.Duration // how long to wait for the decision; 0: not at all
}

// Answer is what the buyer hears.
type Answer struct {
	Order  shop.Order // status pending: not decided within Wish.Wait
	Repeat bool       // the claim was known before this call
}

// Desk serves buyers. Its fields are set once, before the first call.
type Desk struct {
	Hasher    *shop.Hasher
	Board     *gate.Board
	Known     *Known
	Stock     stock.Counter
	Claims    ledger.Claims
	Decisions *Decisions
	Standings *Standings
	Nonce     func() uint64
	Now       func() time.Time // the machine's clock

	// Want tells the supplier that a buyer was turned away, and returns a
	// channel that closes when the board has been looked over since.
	Want func(bucket shop.Bucket, sku string, quantity int64) <-chan struct{}

	// GiveBack cancels an order for its buyer (cashier.Cancel: its payment page
	// ends too).
	GiveBack func(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error)

	places   places
	progress progress
	reading  sync.Mutex // one CatchUp at a time
}

// Buy turns a wish into an order, or a shop.Refusal. Any other error means
// that the outcome is unknown: the same key asks again.
func (d *Desk) Buy(ctx context.Context, wish Wish) (Answer, error) {
	crash.At(crash.AfterTokenCheck)
	v := d.visit(wish)
	if d.Known.Claim(v.claim) {
		answer, found, err := v.known(ctx)
		if found || err != nil {
			return answer, err
		}
	}
	answer, err := v.enter(ctx)
	no, refused := errors.AsType[shop.Refusal](err)
	if refused && no.Order == nil && d.Known.Claim(v.claim) { // the same wish, in another call, was faster
		if first, found, fault := v.known(ctx); found || fault != nil {
			return first, fault
		}
	}
	return answer, err
}

// Again answers a repeated wish as Buy does, and finds no answer to a new one:
// its buyer may take nothing new.
func (d *Desk) Again(ctx context.Context, wish Wish) (answer Answer, found bool, err error) {
	v := d.visit(wish)
	if !d.Known.Claim(v.claim) {
		return Answer{}, false, nil
	}
	return v.known(ctx)
}

// KnownKey reports whether a key of the sale may belong to a claim that has a
// ticket or an answer: such a request takes the long way in every phase.
func (d *Desk) KnownKey(sale, key string) bool {
	return d.Known.Key(d.Hasher.KeyPrint(sale, key))
}

// KnownClaim reports the same of the buyer's own claim under the key.
func (d *Desk) KnownClaim(sale, buyer, key string) bool {
	return d.Known.Claim(d.Hasher.Claim(sale, buyer, key))
}

// Order returns an order as it now is. An order that the identity does not own
// is not found.
func (d *Desk) Order(ctx context.Context, who gate.Identity, id shop.ClaimID) (shop.Order, error) {
	order, err := d.Claims.Order(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		pending, found, fault := d.undecided(ctx, who, id)
		if found {
			return pending, nil
		}
		order, err = d.Claims.Order(ctx, id) // decided and settled between the two looks
		if errors.Is(err, ledger.ErrNotFound) && fault != nil {
			return shop.Order{}, fault
		}
	}
	if err != nil || !who.Owns(&order) {
		return shop.Order{}, notFoundOr(err)
	}
	return order, nil
}

// OrdersOf returns the buyer's decided orders in a sale, oldest first.
func (d *Desk) OrdersOf(ctx context.Context, buyer, sale string) ([]shop.Order, error) {
	if _, ok := d.Board.Notice(sale); !ok {
		return nil, noSuchSale()
	}
	standing, err := d.Claims.Standing(ctx, sale, buyer)
	if err != nil {
		return nil, fmt.Errorf("read the buyer's orders: %w", err)
	}
	return standing.Orders, nil
}

// Cancel gives the units of an order back. An order that the identity does not
// own is not found.
func (d *Desk) Cancel(ctx context.Context, who gate.Identity, id shop.ClaimID) (shop.Order, error) {
	order, err := d.GiveBack(ctx, ledger.Cancellation{Order: id, Buyer: who.Buyer, Sale: who.Sale})
	if errors.Is(err, ledger.ErrNotFound) {
		return d.cancelPending(ctx, who, id)
	}
	return order, err
}

// cancelPending refuses to cancel what is not decided: a ticket cannot be
// cancelled yet, and of anything else there is no order.
func (d *Desk) cancelPending(ctx context.Context, who gate.Identity, id shop.ClaimID) (shop.Order, error) {
	if _, err := d.Order(ctx, who, id); err != nil {
		return shop.Order{}, err
	}
	return shop.Order{}, shop.Refusal{
		Code: shop.WrongStatus, Detail: "The order is pending: wait for its decision, then cancel it.",
	}
}

// entry returns the sale's notice, or the no that the board shows for the
// item.
func (d *Desk) entry(sale, sku string) (*gate.Notice, error) {
	notice, ok := d.Board.Notice(sale)
	if !ok {
		return nil, noSuchSale()
	}
	if notice.No != nil {
		return nil, *notice.No
	}
	if no := d.Board.Suspended(); no != nil {
		return nil, *no
	}
	_, item, ok := notice.Item(sku)
	if !ok {
		return nil, shop.Refusal{Code: shop.Malformed, Detail: "The sale has no item with this sku; its page lists them."}
	}
	if item.No != nil {
		return nil, *item.No
	}
	return notice, nil
}

// bucket returns the part of the sale's stock that serves the buyer. Of a sale
// that is not on the board nothing is asked.
func (d *Desk) bucket(sale, buyer string) shop.Bucket {
	bucket := shop.Bucket{Sale: sale}
	if notice, ok := d.Board.Notice(sale); ok {
		bucket.Number = d.Hasher.Bucket(sale, buyer, notice.Buckets)
	}
	return bucket
}

// pending is a ticket as its buyer sees it: not a promise yet.
func (d *Desk) pending(ticket *shop.Ticket) shop.Order {
	order := shop.Order{
		ID: ticket.Claim, Sale: ticket.Bucket.Sale, Buyer: ticket.Buyer, SKU: ticket.SKU,
		Quantity: ticket.Quantity, Status: shop.Pending, CreatedAt: ticket.At.UTC(),
	}
	if notice, ok := d.Board.Notice(order.Sale); ok {
		order.AsOf = notice.AsOf
		if item, _, ok := notice.Item(order.SKU); ok {
			order.Amount = item.Price.Amount * order.Quantity
			order.Currency = item.Price.Currency
		}
	}
	return order
}

func noSuchSale() shop.Refusal {
	return shop.Refusal{Code: shop.NotFound, Detail: "There is no such sale."}
}

// notFoundOr hides whether an order exists; a fault stays a fault.
func notFoundOr(err error) error {
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("read the order: %w", err)
	}
	return shop.Refusal{Code: shop.NotFound, Detail: "You have no such order. If it was pending, ask again with the same Idempotency-Key."}
}
