package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// backup is a ledger that knows one order, and counts what is done to it.
type backup struct {
	ledger.Claims
	ledger.Orders
	ledger.Holds
	known shop.Order
	done  int
}

func (b *backup) Order(_ context.Context, id shop.ClaimID) (shop.Order, error) { return b.find(id) }

func (b *backup) find(id shop.ClaimID) (shop.Order, error) {
	if id != b.known.ID {
		return shop.Order{}, ledger.ErrNotFound
	}
	return b.known, nil
}

func (b *backup) Standing(context.Context, string, string) (ledger.Standing, error) {
	return ledger.Standing{}, nil
}

func (b *backup) Pay(_ context.Context, payment ledger.Payment) (shop.Order, error) {
	b.done++
	return b.find(payment.Order)
}

func (b *backup) Cancel(_ context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	b.done++
	return b.find(cancellation.Order)
}

func (b *backup) Refund(_ context.Context, id shop.ClaimID, _ string) (shop.Order, error) {
	b.done++
	return b.find(id)
}

func (b *backup) Due(context.Context, int) ([]shop.Order, error) { return []shop.Order{b.known}, nil }

func TestALedgerThatLostHistorySaysNothingFinal(t *testing.T) {
	t.Parallel()
	old, unknown := shop.ClaimID{1}, shop.ClaimID{2}
	ctx := t.Context()
	for name, c := range map[string]struct {
		lost          string // the sale
		known, others error  // what is said of the known order, and of one that is not known
	}{
		"nothing is lost":      {"", nil, ledger.ErrNotFound},
		"the sale is lost":     {"retro", ledger.ErrBehind, ledger.ErrBehind},
		"another sale is lost": {"other", nil, ledger.ErrBehind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &backup{known: shop.Order{ID: old, Sale: "retro"}}
			d := &ledger.Doubted{Claims: b, Orders: b, Holds: b, Lost: func(sale string) bool {
				return c.lost != "" && (sale == "" || sale == c.lost)
			}}
			for id, want := range map[shop.ClaimID]error{old: c.known, unknown: c.others} {
				before := b.done
				_, look := d.Order(ctx, id)
				_, pay := d.Pay(ctx, ledger.Payment{Order: id})
				_, cancel := d.Cancel(ctx, ledger.Cancellation{Order: id})
				_, refund := d.Refund(ctx, id, "r")
				for what, err := range map[string]error{"look": look, "pay": pay, "cancel": cancel, "refund": refund} {
					if !errors.Is(err, want) {
						t.Errorf("%s at order %s: %v, want %v", what, id, err, want)
					}
				}
				if done := b.done - before; (done > 0) != !errors.Is(want, ledger.ErrBehind) {
					t.Errorf("order %s: %d things were done to the old ledger", id, done)
				}
			}
			if _, err := d.Standing(ctx, "retro", "ann"); !errors.Is(err, c.known) {
				t.Errorf("standing: %v, want %v", err, c.known)
			}
			if _, err := d.Due(ctx, 1); (err != nil) != (c.lost != "") {
				t.Errorf("orders are due: %v", err)
			}
		})
	}
}
