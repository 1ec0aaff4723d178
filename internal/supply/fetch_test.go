package supply_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/stock/stocktest"
)

// hurt is a stock with one bucket whose calls are lost as lose says.
type hurt struct {
	stock.Supply
	number int
	lose   map[stocktest.Call]stocktest.Loss
}

func (h *hurt) of(bucket shop.Bucket) stock.Supply {
	if bucket.Number != h.number {
		return h.Supply
	}
	return &stocktest.Flaky{Supply: h.Supply, Lose: func(call stocktest.Call) stocktest.Loss { return h.lose[call] }}
}

func (h *hurt) Shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	return h.of(bucket).Shelf(ctx, bucket)
}

func (h *hurt) Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	return h.of(bucket).Reclaim(ctx, bucket, epoch, reclaim)
}

// thirds is a house of three buckets with 30 units of SKU a in each.
func thirds(t *testing.T) *house {
	t.Helper()
	h := open(t, 3, 90)
	for number := range 3 {
		h.supplier.Want(shop.Bucket{Sale: sale, Number: number}, "a", 30)
	}
	h.tend()
	for number := range 3 {
		if got := h.shelf(number).Free["a"]; got != 30 {
			t.Fatalf("bucket %d has %d free units, want 30", number, got)
		}
	}
	return h
}

// hurtOne plays with each of three buckets hurt in turn, in each way, and makes
// sure that nothing is lost once it is well again.
func hurtOne(t *testing.T, play func(t *testing.T, h *house)) {
	for way, lose := range map[string]map[stocktest.Call]stocktest.Loss{
		"is dead":                     {stocktest.Shelf: stocktest.RequestLost, stocktest.Reclaim: stocktest.RequestLost},
		"dies before it gives back":   {stocktest.Reclaim: stocktest.RequestLost},
		"dies when it has given back": {stocktest.Reclaim: stocktest.ReplyLost},
	} {
		for number := range 3 {
			t.Run(fmt.Sprint("bucket ", number, " ", way), func(t *testing.T) {
				h := thirds(t)
				h.supplier.Stock = &hurt{h.stock, number, lose}
				play(t, h)
				h.supplier.Stock = h.stock
				for range 5 {
					h.tend()
				}
				h.covered()
				balance := h.stand().Items["a"]
				units := balance.Pool + balance.Withdrawn
				for n := range 3 {
					units += h.shelf(n).Free["a"]
				}
				if units != 90 {
					t.Errorf("%d units can be had or were withdrawn, want 90", units)
				}
			})
		}
	}
}

func TestALatePaymentFindsItsUnitsWhicheverBucketIsDead(t *testing.T) {
	hurtOne(t, func(t *testing.T, h *house) {
		var pool int64
		err := h.supplier.Fetch(t.Context(), shop.Order{Sale: sale, SKU: "a", Quantity: 40}, func() error {
			pool = h.stand().Items["a"].Pool
			return nil
		})
		if err != nil || pool < 40 {
			t.Errorf("%d units in the pool while it is paid, %v; want 40", pool, err)
		}
	})
}

func TestStockIsLoweredWhicheverBucketIsDead(t *testing.T) {
	hurtOne(t, func(t *testing.T, h *house) {
		if published, err := h.supplier.Publish(t.Context(), document(50)); err != nil || published != ledger.Changed {
			t.Errorf("got %v, %v, want the stock lowered", published, err)
		}
		if got := h.stand().Items["a"].Withdrawn; got != 40 {
			t.Errorf("%d units are withdrawn, want 40", got)
		}
	})
}

// Units may lie where nobody can look: that is a fault, not "too few are left".
func TestStockThatTheLivingBucketsCannotGiveIsAFault(t *testing.T) {
	hurtOne(t, func(t *testing.T, h *house) {
		if _, err := h.supplier.Publish(t.Context(), document(0)); !errors.Is(err, stocktest.ErrLost) {
			t.Errorf("got %v, want the fault of the bucket", err)
		}
	})
}

// Its units may be somebody's by what the ledger has lost.
func TestNothingIsFetchedForALedgerThatHasLostHistory(t *testing.T) {
	for number := range 3 {
		h := thirds(t)
		ahead := h.shelf(number)
		grant := stock.Grant{Number: ahead.LastGrant + 1, SKU: "a", Quantity: 5}
		if err := h.stock.ApplyGrant(t.Context(), shop.Bucket{Sale: sale, Number: number}, ahead.Epoch, grant); err != nil {
			t.Fatal(err)
		}
		before := h.stand().Items["a"]
		if _, err := h.supplier.Publish(t.Context(), document(50)); !errors.Is(err, ledger.ErrBehind) {
			t.Errorf("bucket %d is ahead: got %v, want ErrBehind", number, err)
		}
		if got := h.stand().Items["a"]; got != before {
			t.Errorf("bucket %d is ahead: got %+v, want %+v as before", number, got, before)
		}
	}
}

func TestALatePaymentFindsItsUnitsInThePool(t *testing.T) {
	for _, buckets := range []int{1, 3} {
		h := open(t, buckets, 90)
		for range 10 {
			h.tend()
		}
		var pool int64
		err := h.supplier.Fetch(t.Context(), shop.Order{Sale: sale, SKU: "a", Quantity: 40}, func() error {
			pool = h.stand().Items["a"].Pool
			return nil
		})
		if err != nil || pool < 40 {
			t.Errorf("%d buckets: %d units in the pool while it is paid, %v; want 40", buckets, pool, err)
		}
		h.tend()
		h.covered()
	}
}

func TestALatePaymentTakesNoMoreThanThereIs(t *testing.T) {
	h := open(t, 1, 3)
	h.tend()
	errPaid := errors.New("what the payment said")
	var pool int64
	err := h.supplier.Fetch(t.Context(), shop.Order{Sale: sale, SKU: "a", Quantity: 5}, func() error {
		pool = h.stand().Items["a"].Pool
		return errPaid
	})
	if !errors.Is(err, errPaid) || pool != 3 {
		t.Errorf("got %d units and %v, want all three and the payment's own answer", pool, err)
	}
}
