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

// lower brings the pool up to what the sale's new stock withdraws.
func (s *Supplier) lower(ctx context.Context, sale *shop.Sale) error {
	stand, err := s.Ledger.Stand(ctx, sale.ID)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale.ID, err)
	}
	for i := range stand.Buckets {
		shelf, err := s.agree(ctx, sale.ID, &stand.Buckets[i])
		if err != nil {
			return err
		}
		if err := s.empty(ctx, sale, &shelf, stand.Buckets[i].Number); err != nil {
			return err
		}
	}
	return nil
}

// empty takes from one bucket what the pool still lacks of every SKU.
func (s *Supplier) empty(ctx context.Context, sale *shop.Sale, shelf *stock.Shelf, number int) error {
	stand, err := s.Ledger.Stand(ctx, sale.ID)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale.ID, err)
	}
	bucket := shop.Bucket{Sale: sale.ID, Number: number}
	for _, item := range sale.Items {
		balance := stand.Items[item.SKU]
		missing := balance.Total - balance.Withdrawn - item.Stock - balance.Pool
		if missing <= 0 || shelf.Free[item.SKU] == 0 {
			continue
		}
		if err := s.reclaim(ctx, bucket, shelf, stock.Grant{SKU: item.SKU, Quantity: missing}); err != nil {
			return err
		}
	}
	return nil
}
