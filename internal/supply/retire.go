package supply

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Retire brings what the stock still has of a closed sale back to the pool, so
// that none of its machines need be looked at any more: each bucket that was
// granted something begins a new epoch, which gets no grant. With it the stock
// forgets who had bought. A bucket with tickets waits until they are decided,
// one that cannot be reached until it can; a later call goes on.
//
// A reservation that comes all the same finds nothing to take, and one made in
// the moment before is a late ticket, like any other of an epoch that ended.
func (s *Supplier) Retire(ctx context.Context, sale string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	stand, err := s.Ledger.Stand(ctx, sale)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale, err)
	}
	if stand.Resting() {
		return nil
	}
	views, err := s.meet(ctx, sale, &stand)
	if err != nil {
		return err
	}
	var faults []error
	for i := range views {
		v := &views[i]
		if v.err == nil && v.shelf.Tickets == 0 && v.shelf.LastGrant > 0 {
			_, v.err = s.bump(ctx, shop.Bucket{Sale: sale, Number: i}, v.shelf.Epoch, "the sale is over")
		}
		faults = append(faults, v.err)
	}
	return errors.Join(faults...)
}
