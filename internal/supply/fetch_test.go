package supply_test

import (
	"errors"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

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
