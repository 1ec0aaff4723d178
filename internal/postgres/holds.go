package postgres

import (
	"context"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const getDue = "SELECT" + claimColumns + "FROM claims c WHERE c.status = 1 AND c.pay_by <= $1 ORDER BY c.pay_by, c.sale, c.row LIMIT $2"

// Due implements ledger.Holds.
func (l *Ledger) Due(ctx context.Context, limit int) ([]shop.Order, error) {
	claims, err := l.orders(ctx, l.pools.expiry, getDue, l.clock.Now(), limit)
	if err != nil {
		return nil, fmt.Errorf("read orders past their time: %w", err)
	}
	return ordersOf(claims), nil
}

func ordersOf(claims []*ledger.Claim) []shop.Order {
	orders := make([]shop.Order, len(claims))
	for i, claim := range claims {
		orders[i] = claim.Order
	}
	return orders
}

// Expire implements ledger.Holds.
func (l *Ledger) Expire(ctx context.Context, ids []shop.ClaimID) ([]shop.Order, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	keys := make([][16]byte, len(ids))
	for i, id := range ids {
		keys[i] = id
	}
	keys = sorted(keys)
	var expired []shop.Order
	err := l.transact(ctx, l.pools.expiry, func(ctx context.Context, t *tx) (err error) {
		expired, err = t.expire(ctx, keys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expire %d orders: %w", len(ids), err)
	}
	return expired, nil
}

func (t *tx) expire(ctx context.Context, ids [][16]byte) ([]shop.Order, error) {
	if err := t.loadOrders(ctx, ids, nil, nil); err != nil {
		return nil, err
	}
	var expired []shop.Order
	for _, id := range ids {
		order, ended, err := t.Expire(id)
		if err != nil {
			return nil, err
		}
		if ended {
			expired = append(expired, order)
		}
	}
	if err := t.save(ctx, nil); err != nil {
		return nil, err
	}
	for i := range expired {
		t.tell(&expired[i])
	}
	return expired, nil
}

// loadOrders loads orders and all that their rules touch. Ids that are of no
// order load nothing. events are looked up into owners.
func (t *tx) loadOrders(ctx context.Context, ids [][16]byte, events []string, owners map[string]shop.ClaimID) error {
	t.blocks = max(t.blocks, 1+len(ids)*linesPerTicket/blockSize)
	q := t.newLoad()
	q.lock(lockSalesOf, ids)
	q.claims(ids)
	q.charges(ids)
	q.quotas(getQuotasOf, ids)
	q.accounts(getAccountsOf, ids)
	if len(events) > 0 {
		q.events(events, owners)
	}
	return q.run(ctx)
}
