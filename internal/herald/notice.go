package herald

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// lowShare: fewer free units than one in so many are "low".
const lowShare = 10

// look has one sale tended and returns its notice, nil where ctx ended. Where
// that fails the sale keeps its units, and the notice says that they cannot be
// had. A closed sale needs no stock: nobody gets a ticket for it any more.
func (h *Herald) look(ctx context.Context, listing ledger.Listing, halted string) *gate.Notice {
	id := listing.Sale.ID
	var err error
	if h.Tend != nil && halted == "" && listing.Phase != shop.Closed {
		err = h.Tend(ctx, id)
	}
	var notice *gate.Notice
	if err == nil {
		notice, err = h.see(ctx, listing)
	}
	h.fault(ctx, id, err)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		notice = blind(listing)
		halted = err.Error()
	}
	notice.Halted = halted
	notice.Supplied = notice.Supplied && halted == "" && listing.Sale.DueAt(h.Clock.Now(), listing.Phase) == listing.Phase
	notice.No = h.no(notice)
	return notice
}

// see reads ledger and stock into a notice, the ledger first: units on their
// way to the stock are then seen twice rather than not at all.
func (h *Herald) see(ctx context.Context, listing ledger.Listing) (*gate.Notice, error) {
	stand, err := h.Supply.Stand(ctx, listing.Sale.ID)
	if err != nil {
		return nil, fmt.Errorf("read how the sale stands: %w", err)
	}
	notice := blind(listing)
	notice.AsOf = stand.AsOf
	notice.Supplied = true
	free := make(map[string]int64, len(stand.Items))
	for i := range stand.Buckets {
		units, supplied, err := h.free(ctx, listing, &stand.Buckets[i])
		if err != nil {
			return nil, err
		}
		notice.Supplied = notice.Supplied && supplied
		for sku, n := range units {
			free[sku] += n
		}
	}
	for i := range notice.Items {
		item := &notice.Items[i]
		balance := stand.Items[item.SKU]
		item.Free = balance.Pool + free[item.SKU]
		item.State = state(item.Free, balance.Total-balance.Withdrawn)
		if item.State == gate.Gone {
			item.No = soldOut(balance, stand.AsOf)
		}
	}
	return notice, nil
}

// free returns what one bucket has left of each SKU, and whether it has all
// that the ledger granted it. A closed sale's grants are free for good.
func (h *Herald) free(ctx context.Context, listing ledger.Listing, row *ledger.BucketStand) (map[string]int64, bool, error) {
	if listing.Phase == shop.Closed {
		return row.Granted, true, nil
	}
	shelf, err := h.Stock.Shelf(ctx, shop.Bucket{Sale: listing.Sale.ID, Number: row.Number})
	if errors.Is(err, stock.ErrUnknown) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look at the stock: %w", err)
	}
	return shelf.Free, shelf.Epoch == row.Epoch && shelf.LastGrant == row.LastGrant, nil
}

// blind is a notice of a sale whose units cannot be seen.
func blind(listing ledger.Listing) *gate.Notice {
	notice := &gate.Notice{Sale: listing.Sale, Phase: listing.Phase, Items: make([]gate.ItemNotice, len(listing.Sale.Items))}
	for i := range notice.Items {
		notice.Items[i] = gate.ItemNotice{SKU: listing.Sale.Items[i].SKU, State: gate.Gone}
	}
	return notice
}

func state(free, total int64) gate.State {
	switch {
	case free <= 0:
		return gate.Gone
	case free*lowShare < total:
		return gate.Low
	}
	return gate.Available
}

// soldOut is final only where the ledger says that nothing is held either.
func soldOut(balance ledger.Balance, asOf int64) *shop.Refusal {
	if balance.Gone(1) {
		return &shop.Refusal{Code: shop.SoldOut, Detail: "Sold out: no unit is left, and none is held that could come back.", AsOf: asOf}
	}
	return &shop.Refusal{
		Code: shop.SoldOut, MayReturn: true,
		Detail: "All units are held by other buyers; some may come back. Look again from time to time.",
	}
}

// no returns what every new ask meets, or nil.
func (h *Herald) no(notice *gate.Notice) *shop.Refusal {
	switch notice.Phase {
	case shop.Scheduled:
		return &shop.Refusal{Code: shop.NotOpen, Detail: "The sale has not opened yet."}
	case shop.Paused:
		return &shop.Refusal{Code: shop.SalePaused, Detail: "The seller has paused the sale; it goes on later."}
	case shop.Closed:
		return &shop.Refusal{Code: shop.SaleClosed, Detail: "The sale is over."}
	case shop.Open:
	}
	if notice.Halted != "" {
		return &shop.Refusal{
			Code: shop.Unavailable, RetryAfter: roundEvery,
			Detail: "The sale cannot take orders at the moment; try again.",
		}
	}
	return nothingLeft(notice)
}

// nothingLeft is the sale's own "sold out": where no item has anything free.
// It may return if any item's units may.
func nothingLeft(notice *gate.Notice) *shop.Refusal {
	var no *shop.Refusal
	for i := range notice.Items {
		item := notice.Items[i].No
		if item == nil {
			return nil
		}
		if no == nil || item.MayReturn {
			no = item
		}
	}
	return no
}
