package supply

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// Publish writes a sale or its changes. Where stock is lowered, the units are
// first taken back from the buckets: only what lies in the pool can be
// withdrawn.
func (s *Supplier) Publish(ctx context.Context, sale shop.Sale) (ledger.Published, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	published, err := s.Sales.Publish(ctx, sale)
	if errors.Is(err, ledger.ErrShort) {
		if err := s.lower(ctx, &sale); err != nil {
			return published, err
		}
		published, err = s.Sales.Publish(ctx, sale)
	}
	if errors.Is(err, ledger.ErrShort) {
		return published, &ledger.Broken{Reasons: []string{
			"items: stock would fall below what buyers hold at this moment; try again when fewer orders are under way",
		}}
	}
	if err == nil {
		crash.At(crash.PublishCommitted)
	}
	return published, err
}

// lower brings the pool up to what the sale's new stock withdraws. An item
// that is gone from the document withdraws all it had.
func (s *Supplier) lower(ctx context.Context, sale *shop.Sale) error {
	withdrawn, err := s.withdrawn(ctx, sale)
	if err != nil {
		return err
	}
	return s.fetch(ctx, sale.ID, withdrawn)
}

// Fetch brings the order's units into the pool, as far as any are free, and
// keeps them there while pay runs: an open sale's pool is mostly empty, and a
// late payment takes its units from there. What pay leaves goes back with the
// next pass.
func (s *Supplier) Fetch(ctx context.Context, order shop.Order, pay func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fetch(ctx, order.Sale, map[string]int64{order.SKU: order.Quantity}); err != nil {
		// The money is there: it is recorded all the same, if only as due.
		s.Log.Warn("fetch units for a late payment", "order", order.ID.String(), "error", err)
	}
	return pay()
}

// fetch brings the pool up to so many units of each SKU, from the buckets. One
// that cannot be reached keeps what it has: an error says that the others have
// too few.
func (s *Supplier) fetch(ctx context.Context, sale string, units map[string]int64) error {
	stand, err := s.Ledger.Stand(ctx, sale)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale, err)
	}
	views, err := s.meet(ctx, sale, &stand)
	if err != nil {
		return err
	}
	var faults []error
	for i := range views {
		missing, err := s.lacking(ctx, sale, units)
		if err != nil || len(missing) == 0 {
			return err
		}
		faults = append(faults, s.empty(ctx, shop.Bucket{Sale: sale, Number: i}, &views[i], missing))
	}
	missing, err := s.lacking(ctx, sale, units)
	if err != nil || len(missing) == 0 {
		return err
	}
	return errors.Join(faults...)
}

// lacking returns what the pool lacks of so many units of each SKU. It reads
// that anew: agreeing, a bump and other suppliers fill the pool as well.
func (s *Supplier) lacking(ctx context.Context, sale string, units map[string]int64) (map[string]int64, error) {
	stand, err := s.Ledger.Stand(ctx, sale)
	if err != nil {
		return nil, fmt.Errorf("read how %s stands: %w", sale, err)
	}
	missing := map[string]int64{}
	for sku, wanted := range units {
		if lacks := wanted - stand.Items[sku].Pool; lacks > 0 {
			missing[sku] = lacks
		}
	}
	return missing, nil
}

// withdrawn returns how many units of each SKU the new document takes off the
// sale.
func (s *Supplier) withdrawn(ctx context.Context, next *shop.Sale) (map[string]int64, error) {
	listings, err := s.Sales.Sales(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sales: %w", err)
	}
	withdrawn := map[string]int64{}
	for i := range listings {
		if listings[i].Sale.ID != next.ID {
			continue
		}
		for _, item := range listings[i].Sale.Items {
			kept, _ := next.Item(item.SKU)
			withdrawn[item.SKU] = item.Stock - kept.Stock
		}
	}
	return withdrawn, nil
}

// empty takes from one bucket what the pool lacks. Where a reply is lost the
// bucket may have given units back that are not yet in the pool: the next pass
// finishes that, and taking as many from another bucket loses none.
func (s *Supplier) empty(ctx context.Context, bucket shop.Bucket, v *view, missing map[string]int64) error {
	if v.err != nil {
		return v.err
	}
	for sku, units := range missing {
		if v.shelf.Free[sku] == 0 {
			continue
		}
		if _, err := s.reclaim(ctx, bucket, &v.shelf, stock.Grant{SKU: sku, Quantity: units}); err != nil {
			return err
		}
	}
	return nil
}
