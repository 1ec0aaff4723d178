package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	getCharges   = "SELECT reference, event, amount, currency, due, at FROM charges WHERE claim = ? ORDER BY id"
	orderCharges = "SELECT h.reference, h.event, h.amount, h.currency, h.due, h.at FROM claims c JOIN charges h ON h.claim = c.row WHERE c.claim = ? ORDER BY h.id"
	findEvent    = "SELECT c.claim FROM charges h JOIN claims c ON c.row = h.claim WHERE h.event = ? AND h.event <> ''"
	listOrders   = "SELECT" + claimColumns + "FROM claims c WHERE c.row BETWEEN ?2 AND ?3 " +
		"AND c.sale = ?1 AND (?4 < 0 OR c.status = ?4) ORDER BY c.row LIMIT ?5"
)

// Pay implements ledger.Orders.
func (l *Ledger) Pay(ctx context.Context, payment ledger.Payment) (shop.Order, error) {
	return l.change(ctx, payment.Order, func(ctx context.Context, t *tx, b *ledger.Book) (shop.Order, error) {
		err := t.each(ctx, findEvent, func(r row) error {
			if string(r.blob(0)) != string(payment.Order[:]) {
				return fmt.Errorf("event %q was another order's payment already", payment.EventID)
			}
			return nil
		}, payment.EventID)
		if err != nil {
			return shop.Order{}, err
		}
		return b.Pay(payment)
	})
}

// Cancel implements ledger.Orders.
func (l *Ledger) Cancel(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	return l.change(ctx, cancellation.Order, func(_ context.Context, _ *tx, b *ledger.Book) (shop.Order, error) {
		return b.Cancel(cancellation)
	})
}

// Refund implements ledger.Orders.
func (l *Ledger) Refund(ctx context.Context, id shop.ClaimID, reference string) (shop.Order, error) {
	return l.change(ctx, id, func(_ context.Context, _ *tx, b *ledger.Book) (shop.Order, error) {
		return b.Refund(id, reference)
	})
}

// change applies a rule to one order. A refusal may come with something to
// write: it is told when that is on disk.
func (l *Ledger) change(ctx context.Context, id shop.ClaimID, rule func(context.Context, *tx, *ledger.Book) (shop.Order, error)) (shop.Order, error) {
	var order shop.Order
	var refused error
	err := l.write(ctx, func(ctx context.Context, t *tx) error {
		b, err := t.book(ctx)
		if err != nil {
			return err
		}
		if err := t.order(ctx, b, id); err != nil {
			return err
		}
		order, refused = rule(ctx, t, b)
		if _, ok := errors.AsType[shop.Refusal](refused); refused != nil && !ok {
			return refused
		}
		return t.save(ctx, b)
	})
	if err != nil {
		return shop.Order{}, fmt.Errorf("order %s: %w", id, err)
	}
	return order, refused
}

// order loads an order and all that its rules touch, or ErrNotFound.
func (t *tx) order(ctx context.Context, b *ledger.Book, id shop.ClaimID) error {
	found, err := t.claim(ctx, b, id)
	if err != nil {
		return err
	}
	if !found {
		return ledger.ErrNotFound
	}
	claim, _ := b.Claim(id)
	err = t.each(ctx, getCharges, func(r row) error {
		claim.Charges = append(claim.Charges, charge(id, r))
		return nil
	}, claim.Row)
	if err != nil {
		return fmt.Errorf("read charges: %w", err)
	}
	if err := t.touch(ctx, b, claim.Ticket.Bucket, claim.Order.SKU); err != nil {
		return err
	}
	return t.quota(ctx, b, ledger.Holder{Sale: claim.Order.Sale, Buyer: claim.Order.Buyer})
}

// charge reads a row that begins as getCharges does.
func charge(id shop.ClaimID, r row) ledger.Charge {
	return ledger.Charge{
		Order: id, Reference: r.text(0), EventID: r.text(1), Amount: r.int(2), Currency: r.text(3),
		Due: r.int(4) != 0, At: r.time(5),
	}
}

// Charges implements ledger.Orders.
func (l *Ledger) Charges(ctx context.Context, id shop.ClaimID) (charges []ledger.Charge, err error) {
	err = l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, orderCharges, func(r row) error {
			charges = append(charges, charge(id, r))
			return nil
		}, id[:])
	})
	if err != nil {
		return nil, fmt.Errorf("read charges of %s: %w", id, err)
	}
	return charges, nil
}

// List implements ledger.Orders. Its cursor is the row of the last order.
func (l *Ledger) List(ctx context.Context, query ledger.Query) ([]shop.Order, string, error) {
	sale, ok := l.names.Load().sales[query.Sale]
	if !ok {
		return nil, "", fmt.Errorf("sale %q: %w", query.Sale, ledger.ErrNotFound)
	}
	var after int64
	if query.After != "" {
		var err error
		if after, err = strconv.ParseInt(query.After, 36, 64); err != nil || after < 0 {
			return nil, "", shop.Refusal{Code: shop.Malformed, Detail: fmt.Sprintf("after %q is not a cursor: take it from next of the page before.", query.After)}
		}
	}
	if err := l.learn(ctx, sale); err != nil {
		return nil, "", fmt.Errorf("list orders of %s: %w", query.Sale, err)
	}
	between := l.desk.stands.span(query.Sale)
	status := int64(-1)
	if query.Status != nil {
		status = int64(*query.Status)
	}
	var orders []shop.Order
	var next string
	err := l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, listOrders, func(r row) error {
			if len(orders) == query.Limit { // there is another page
				next = strconv.FormatInt(after, 36)
				return nil
			}
			claim, err := l.names.Load().claim(r)
			if err == nil {
				after = claim.Row
				orders = append(orders, claim.Order)
			}
			return err
		}, sale.id, max(after+1, between.oldest), between.newest, status, int64(query.Limit)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list orders of %s: %w", query.Sale, err)
	}
	return orders, next, nil
}
