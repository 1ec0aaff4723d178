package supply_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/stock/stocktest"
	"github.com/doorbuster/doorbuster/internal/supply"
)

// scatter tends until the pool is empty, and makes sure that one bucket has
// some of SKU a and another none.
func (h *house) scatter(buckets int) {
	h.t.Helper()
	for range 50 {
		h.tend()
	}
	rich, poor := -1, -1
	for number := range buckets {
		if h.shelf(number).Free["a"] > 0 {
			rich = number
		} else {
			poor = number
		}
	}
	if rich < 0 || poor < 0 {
		h.t.Fatalf("every bucket looks alike: rich %d, poor %d", rich, poor)
	}
}

// Bucket 0 is empty as well and comes first; but nobody waits there.
func TestTheLastUnitGoesWhereItIsWantedNotToTheFirstEmptyBucket(t *testing.T) {
	h := open(t, 4, 1)
	h.scatter(4)
	for number := range 4 {
		h.supplier.Want(shop.Bucket{Sale: sale, Number: number}, "a", 1)
		h.tend()
		if got := h.shelf(number).Free["a"]; got != 1 {
			t.Errorf("bucket %d has %d free units right after the look that it asked for, want 1", number, got)
		}
	}
	h.covered()
}

func TestUnitsOfSeveralBucketsAreBroughtTogether(t *testing.T) {
	h := open(t, 4, 3)
	h.scatter(4)
	for number := range 4 {
		h.supplier.Want(shop.Bucket{Sale: sale, Number: number}, "a", 3)
		h.tend()
		if got := h.shelf(number).Free["a"]; got != 3 {
			t.Errorf("bucket %d has %d free units, want all 3", number, got)
		}
	}
	h.covered()
}

func TestOfTwoDemandsForTheSameUnitsOneIsServedWhole(t *testing.T) {
	h := open(t, 2, 2)
	for range 10 {
		h.tend()
	}
	if a, b := h.shelf(0).Free["a"], h.shelf(1).Free["a"]; a != 1 || b != 1 {
		t.Fatalf("got %d and %d free units, want one in each bucket", a, b)
	}
	for range 20 {
		h.supplier.Want(shop.Bucket{Sale: sale, Number: 0}, "a", 2)
		h.supplier.Want(shop.Bucket{Sale: sale, Number: 1}, "a", 2)
		h.tend()
		if a, b := h.shelf(0).Free["a"], h.shelf(1).Free["a"]; a != 2 && b != 2 {
			t.Fatalf("got %d and %d free units: both demands go without", a, b)
		}
	}
	h.covered()
}

func TestAFullBucketWhoseBuyersWantMoreThanItHasGetsMore(t *testing.T) {
	h := open(t, 2, 8)
	for range 10 {
		h.tend()
	}
	want := h.shelf(0).Free["a"] + h.shelf(1).Free["a"]
	h.supplier.Want(shop.Bucket{Sale: sale, Number: 0}, "a", want)
	h.tend()
	if got := h.shelf(0).Free["a"]; got < want {
		t.Errorf("got %d free units, want %d: a bucket need not be empty to ask", got, want)
	}
}

// A pass that waits for a slow ledger holds up no buyer.
func TestABuyersDemandDoesNotWaitForThePassUnderWay(t *testing.T) {
	h := open(t, 1, 5)
	h.tend()
	reached, release := make(chan struct{}), make(chan struct{})
	h.supplier.Stock = &stocktest.Flaky{Supply: h.stock, Lose: func(call stocktest.Call) stocktest.Loss {
		if call == stocktest.Shelf {
			select {
			case reached <- struct{}{}:
				<-release
			case <-release:
			}
		}
		return stocktest.NoLoss
	}}
	tended := make(chan error, 1)
	go func() { tended <- h.supplier.Tend(context.WithoutCancel(t.Context()), sale) }()
	<-reached
	h.supplier.Want(shop.Bucket{Sale: sale}, "a", 1) // returns, or the test never ends
	close(release)
	if err := <-tended; err != nil {
		t.Error(err)
	}
}

func TestAnItemMayBeRemovedBeforeTheSaleOpens(t *testing.T) {
	for _, buckets := range []int{1, 3} {
		h := open(t, buckets, 90)
		for range 5 {
			h.tend()
		}
		shorter := document(90)
		shorter.Items = shorter.Items[:1]
		h.publish(shorter)
		if got := h.stand().Items["b"]; got != (ledger.Balance{Total: 90, Withdrawn: 90}) {
			t.Errorf("%d buckets: the removed item stands at %+v, want all 90 withdrawn", buckets, got)
		}
		h.tend()
		h.covered()
		if got := h.shelf(0).Free["b"]; got != 0 {
			t.Errorf("%d buckets: %d units of the removed item are still free", buckets, got)
		}
		h.publish(document(40))
		h.tend()
		h.covered()
		if got := h.stand().Items["b"]; got.Total-got.Withdrawn != 40 {
			t.Errorf("%d buckets: brought back, the item stands at %+v, want 40 on sale", buckets, got)
		}
	}
}

// A unit called off for good is withdrawn already; the document still counts it.
func TestStockIsLoweredPastUnitsThatWereCalledOff(t *testing.T) {
	h := open(t, 1, 10)
	h.tend()
	shelf := h.shelf(0)
	hasher, err := shop.NewHasher(make([]byte, shop.RootKeyMin))
	if err != nil {
		t.Fatal(err)
	}
	bucket := shop.Bucket{Sale: sale}
	claim := hasher.Claim(sale, "ann", "k")
	answers, err := h.stock.Reserve(t.Context(), bucket, []stock.Ask{{
		Claim: claim, Nonce: 1, Buyer: "ann", SKU: "a", Quantity: 1, Limit: 2, Live: stock.LiveUnknown,
	}}, nil)
	if err != nil || answers[0].Outcome != stock.Pending {
		t.Fatalf("got %+v, %v", answers, err)
	}
	decisions, err := h.ledger.Decide(t.Context(), []shop.Ticket{answers[0].Ticket})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.stock.Settle(t.Context(), bucket, []stock.Settlement{{Ticket: answers[0].Ticket, Verdict: decisions[0].Verdict, Live: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ledger.Pay(t.Context(), ledger.Payment{Order: claim, Reference: "r"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ledger.Cancel(t.Context(), ledger.Cancellation{Order: claim}); err != nil {
		t.Fatal(err)
	}
	h.publish(document(5))
	if got := h.stand().Items["a"]; got.Withdrawn != 6 || got.Pool+got.Granted != 4 {
		t.Errorf("got %+v, want 4 of 10 left: 5 withdrawn and one called off", got)
	}
	if got := h.shelf(0).Epoch; got != shelf.Epoch {
		t.Errorf("the bucket is in epoch %d, want %d", got, shelf.Epoch)
	}
	h.covered()
}

// late is a ledger whose first answer is older than the stock: another
// supplier went on in between.
type late struct {
	ledger.Supply
	first *ledger.Stand
}

func (l *late) Stand(ctx context.Context, sale string) (ledger.Stand, error) {
	if stand := l.first; stand != nil {
		l.first = nil
		return *stand, nil
	}
	return l.Supply.Stand(ctx, sale)
}

func TestAnotherSuppliersGrantIsNoLostHistory(t *testing.T) {
	for name, went := range map[string]func(h *house){
		"a grant": func(h *house) { h.publish(document(60)); h.tend() },
		"an epoch": func(h *house) {
			h.stock.Forget(shop.Bucket{Sale: sale})
			h.tend()
		},
	} {
		h := open(t, 1, 50)
		h.tend()
		before := h.stand()
		went(h)
		other := &supply.Supplier{
			Ledger: &late{Supply: h.ledger, first: &before}, Sales: h.ledger, Stock: h.stock, Log: slog.New(slog.DiscardHandler),
		}
		if err := other.Tend(t.Context(), sale); err != nil {
			t.Errorf("%s of another supplier: %v", name, err)
		}
		h.covered()
	}
}

// The ledger has an epoch with grants that the stock never heard of: whoever
// began it died, or its stock lost the news.
func TestAnEpochThatTheStockNeverBeganIsSuppliedInOnePass(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	bucket := shop.Bucket{Sale: sale}
	epoch, err := h.ledger.Bump(t.Context(), bucket, h.shelf(0).Epoch)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := h.ledger.Grant(t.Context(), bucket, epoch, ledger.Grant{SKU: "a", Quantity: 10}); err != nil {
			t.Fatal(err)
		}
	}
	h.tend()
	if got := h.shelf(0); got.Epoch != epoch || got.Free["a"] != 50 {
		t.Errorf("got epoch %d with %d units, want %d with 50", got.Epoch, got.Free["a"], epoch)
	}
	h.covered()
}

// Whatever call is lost, whichever side of it was done: after some quiet
// passes every unit is in the pool or free, and nothing is counted twice.
func TestNoLostCallLosesOrDoublesAUnit(t *testing.T) {
	for seed := range 12 {
		h := open(t, 3, 7)
		var count atomic.Int64 // a pass looks at all buckets at once
		flaky := &stocktest.Flaky{Supply: h.stock, Lose: func(stocktest.Call) stocktest.Loss {
			calls := int(count.Add(1))
			return [...]stocktest.Loss{stocktest.NoLoss, stocktest.RequestLost, stocktest.ReplyLost, stocktest.NoLoss}[(calls*7+seed*13+calls*calls*seed)%4]
		}}
		h.supplier.Stock = flaky
		for pass := range 12 {
			h.supplier.Want(shop.Bucket{Sale: sale, Number: pass % 3}, "a", int64(1+pass%4))
			if err := h.supplier.Tend(t.Context(), sale); err != nil && !errors.Is(err, stocktest.ErrLost) {
				t.Fatal(err)
			}
		}
		h.supplier.Stock = h.stock
		for range 8 {
			h.tend()
		}
		h.covered()
		stand := h.stand()
		for _, sku := range []string{"a", "b"} {
			units := stand.Items[sku].Pool
			for number := range 3 {
				units += h.shelf(number).Free[sku]
			}
			if units != 7 {
				t.Fatalf("seed %d: %d units of %s can be had, want 7", seed, units, sku)
			}
		}
	}
}
