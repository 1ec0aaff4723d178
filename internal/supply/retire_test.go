package supply_test

import (
	"context"
	"errors"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/stock/stocktest"
)

func (h *house) retire() {
	h.t.Helper()
	if err := h.supplier.Retire(h.t.Context(), sale); err != nil {
		h.t.Fatal(err)
	}
}

// ask reserves two units for ann.
func (h *house) ask(bucket shop.Bucket, claim byte) stock.Answer {
	h.t.Helper()
	answers, err := h.stock.Reserve(h.t.Context(), bucket, []stock.Ask{{
		Claim: shop.ClaimID{claim}, Buyer: "ann", SKU: "a", Quantity: 2, Limit: 2, Live: stock.LiveUnknown,
	}}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return answers[0]
}

func TestAClosedSalesUnitsReturnToThePoolOnceItsTicketsAreDecided(t *testing.T) {
	h := open(t, 3, 90)
	h.tend()
	bucket := shop.Bucket{Sale: sale, Number: 1}
	held := h.ask(bucket, 1)
	if held.Outcome != stock.Pending {
		t.Fatalf("got %+v, want a ticket", held)
	}
	h.retire()
	stand := h.stand()
	for number, resting := range []bool{true, false, true} {
		if got := stand.Buckets[number].Resting(); got != resting {
			t.Errorf("bucket %d rests: %v, want %v; one has a ticket", number, got, resting)
		}
	}
	if err := h.stock.Settle(t.Context(), bucket, []stock.Settlement{{Ticket: held.Ticket, Verdict: shop.Returned}}); err != nil {
		t.Fatal(err)
	}
	h.retire()
	if stand = h.stand(); !stand.Resting() || stand.Items["a"].Pool != 90 || stand.Items["b"].Pool != 90 {
		t.Errorf("got %+v, want every unit in the pool and no bucket with a grant", stand)
	}
	if got := h.ask(bucket, 2); got.Outcome != stock.Unknown {
		t.Errorf("got %+v, want nothing to take", got)
	}
	bumps, _ := h.supplier.Bumps()
	h.retire()
	if again, _ := h.supplier.Bumps(); again != bumps {
		t.Errorf("%d epochs ended by a call that had nothing to do", again-bumps)
	}
}

func TestARetiredSaleWhoseStockWasLostStaysRetired(t *testing.T) {
	h := open(t, 2, 10)
	h.tend()
	h.retire()
	before := h.stand()
	for number := range 2 {
		h.stock.Forget(shop.Bucket{Sale: sale, Number: number})
	}
	h.retire()
	if after := h.stand(); after.AsOf != before.AsOf {
		t.Errorf("the ledger went from %d to %d, want no change", before.AsOf, after.AsOf)
	}
}

// severed is a stock of which nobody can look at one bucket.
type severed struct {
	stock.Supply
	number int
}

func (s *severed) Shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	if bucket.Number == s.number {
		return stock.Shelf{}, stocktest.ErrLost
	}
	return s.Supply.Shelf(ctx, bucket)
}

func TestABucketThatCannotBeReachedIsRetiredLater(t *testing.T) {
	for dead := range 3 {
		h := open(t, 3, 90)
		h.tend()
		h.supplier.Stock = &severed{h.stock, dead}
		if err := h.supplier.Retire(t.Context(), sale); !errors.Is(err, stocktest.ErrLost) {
			t.Errorf("bucket %d: %v, want %v", dead, err, stocktest.ErrLost)
		}
		stand := h.stand()
		for number := range 3 {
			if got := stand.Buckets[number].Resting(); got == (number == dead) {
				t.Errorf("bucket %d cannot be reached; %d rests: %v", dead, number, got)
			}
		}
		h.supplier.Stock = h.stock
		h.retire()
		if stand = h.stand(); !stand.Resting() {
			t.Errorf("bucket %d came back, and does not rest", dead)
		}
	}
}
