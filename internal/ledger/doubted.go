package ledger

import (
	"context"
	"errors"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Doubted is a ledger for those who speak of orders to the world. Once it is
// found to be older than what was promised (ErrBehind), it says nothing final
// of the sales concerned: money that it took would be gone with it, and an order
// that it does not know may exist.
type Doubted struct {
	Claims
	Orders
	Holds

	// Lost reports whether the ledger has lost some of the sale's history; for
	// an empty sale, of any sale's.
	Lost func(sale string) bool
}

// Order implements Claims. That there is no such order is believed only while
// nothing is lost.
func (d *Doubted) Order(ctx context.Context, id shop.ClaimID) (shop.Order, error) {
	order, err := d.Claims.Order(ctx, id)
	if (err == nil && d.Lost(order.Sale)) || (errors.Is(err, ErrNotFound) && d.Lost("")) {
		return shop.Order{}, ErrBehind
	}
	return order, err
}

// Standing implements Claims.
func (d *Doubted) Standing(ctx context.Context, sale, buyer string) (Standing, error) {
	if d.Lost(sale) {
		return Standing{}, ErrBehind
	}
	return d.Claims.Standing(ctx, sale, buyer)
}

// Pay implements Orders.
func (d *Doubted) Pay(ctx context.Context, payment Payment) (shop.Order, error) {
	if err := d.doubt(ctx, payment.Order); err != nil {
		return shop.Order{}, err
	}
	return d.Orders.Pay(ctx, payment)
}

// Cancel implements Orders.
func (d *Doubted) Cancel(ctx context.Context, cancellation Cancellation) (shop.Order, error) {
	if err := d.doubt(ctx, cancellation.Order); err != nil {
		return shop.Order{}, err
	}
	return d.Orders.Cancel(ctx, cancellation)
}

// Refund implements Orders.
func (d *Doubted) Refund(ctx context.Context, id shop.ClaimID, reference string) (shop.Order, error) {
	if err := d.doubt(ctx, id); err != nil {
		return shop.Order{}, err
	}
	return d.Orders.Refund(ctx, id, reference)
}

// Due implements Holds. While anything is lost nothing ends: an order that
// awaits payment here may be paid in the newest ledger.
func (d *Doubted) Due(ctx context.Context, limit int) ([]shop.Order, error) {
	if d.Lost("") {
		return nil, ErrBehind
	}
	return d.Holds.Due(ctx, limit)
}

// doubt is an error where what the ledger says of the order is not believed.
func (d *Doubted) doubt(ctx context.Context, id shop.ClaimID) error {
	if !d.Lost("") {
		return nil
	}
	_, err := d.Order(ctx, id)
	return err
}
