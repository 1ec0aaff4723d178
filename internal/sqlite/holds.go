package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const getDue = "SELECT" + claimColumns + "FROM claims c WHERE c.status = 1 AND c.pay_by <= ? ORDER BY c.pay_by, c.row LIMIT ?"

// Due implements ledger.Holds.
func (l *Ledger) Due(ctx context.Context, limit int) ([]shop.Order, error) {
	var orders []shop.Order
	now := l.clock.Now()
	err := l.read(ctx, func(ctx context.Context, c *conn) error {
		return c.each(ctx, getDue, func(r row) error {
			claim, err := l.names.Load().claim(r)
			if err == nil {
				orders = append(orders, claim.Order)
			}
			return err
		}, millis(now), int64(limit))
	})
	if err != nil {
		return nil, fmt.Errorf("read orders past their time: %w", err)
	}
	return orders, nil
}

// Expire implements ledger.Holds.
func (l *Ledger) Expire(ctx context.Context, ids []shop.ClaimID) ([]shop.Order, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b shop.ClaimID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	var expired []shop.Order
	err := l.write(ctx, func(ctx context.Context, t *tx) (err error) {
		expired, err = t.expire(ctx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expire %d orders: %w", len(ids), err)
	}
	return expired, nil
}

func (t *tx) expire(ctx context.Context, ids []shop.ClaimID) ([]shop.Order, error) {
	b, err := t.book(ctx)
	if err != nil {
		return nil, err
	}
	var expired []shop.Order
	for _, id := range ids {
		if err := t.order(ctx, b, id); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return nil, err
		}
		order, ended, err := b.Expire(id)
		if err != nil {
			return nil, err
		}
		if ended {
			expired = append(expired, order)
		}
	}
	return expired, t.save(ctx, b)
}
