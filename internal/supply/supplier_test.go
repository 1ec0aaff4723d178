package supply_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/supply"
)

const sale = "retro"

// house is a ledger and a stock of some buckets, with a supplier between.
type house struct {
	t        *testing.T
	ledger   *sqlite.Ledger
	stock    *memory.Stock
	supplier *supply.Supplier
}

func open(t *testing.T, buckets int, units int64) *house {
	t.Helper()
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now, Buckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{t: t, ledger: books, stock: memory.NewStock(time.Now, memory.NewQueue(time.Minute, time.Now))}
	h.supplier = &supply.Supplier{Ledger: books, Sales: books, Stock: h.stock, Log: slog.New(slog.DiscardHandler)}
	h.publish(document(units))
	return h
}

func document(units int64) shop.Sale {
	return shop.Sale{
		ID: sale, Title: "Retro", OpensAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Hold: time.Minute,
		LimitPerBuyer: 2, Challenge: "never", Early: "normal",
		Items: []shop.Item{
			{SKU: "a", Title: "A", Stock: units, Price: shop.Money{Amount: 100, Currency: "EUR"}},
			{SKU: "b", Title: "B", Stock: units, Price: shop.Money{Amount: 100, Currency: "EUR"}},
		},
	}
}

func (h *house) publish(doc shop.Sale) {
	h.t.Helper()
	if _, err := h.supplier.Publish(h.t.Context(), doc); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) tend() {
	h.t.Helper()
	if err := h.supplier.Tend(h.t.Context(), sale); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stand() ledger.Stand {
	h.t.Helper()
	stand, err := h.ledger.Stand(h.t.Context(), sale)
	if err != nil {
		h.t.Fatal(err)
	}
	return stand
}

func (h *house) shelf(number int) stock.Shelf {
	h.t.Helper()
	shelf, err := h.stock.Shelf(h.t.Context(), shop.Bucket{Sale: sale, Number: number})
	if err != nil {
		h.t.Fatal(err)
	}
	return shelf
}

// covered checks I5 for every bucket: what the ledger granted is in the stock.
func (h *house) covered() {
	h.t.Helper()
	for _, row := range h.stand().Buckets {
		shelf := h.shelf(row.Number)
		for sku, granted := range row.Granted {
			if has := shelf.Free[sku] + shelf.Undecided[sku]; has < granted {
				h.t.Errorf("bucket %d has %d of %d granted units of %s", row.Number, has, granted, sku)
			}
		}
	}
}

func TestASingleBucketGetsEveryUnit(t *testing.T) {
	h := open(t, 1, 500)
	h.tend()
	if got := h.shelf(0).Free["a"]; got != 500 {
		t.Errorf("got %d free units, want 500", got)
	}
	h.covered()
}

func TestAForgottenStockIsGrantedAgainInANewEpoch(t *testing.T) {
	h := open(t, 1, 500)
	h.tend()
	before := h.shelf(0).Epoch
	h.stock.Forget(shop.Bucket{Sale: sale})
	h.tend()
	if got := h.shelf(0); got.Epoch != before+1 || got.Free["a"] != 500 || got.Free["b"] != 500 {
		t.Errorf("got epoch %d with %v, want epoch %d with all units", got.Epoch, got.Free, before+1)
	}
	h.covered()
}

func TestAGrantThatWasNotAppliedIsFinished(t *testing.T) {
	h := open(t, 3, 90)
	h.tend()
	row := h.stand().Buckets[1]
	bucket := shop.Bucket{Sale: sale, Number: 1}
	before := h.shelf(1).Free["a"]
	if _, err := h.ledger.Grant(t.Context(), bucket, row.Epoch, ledger.Grant{SKU: "a", Quantity: 7}); err != nil {
		t.Fatal(err)
	}
	h.tend()
	if got := h.shelf(1).Free["a"]; got < before+7 {
		t.Errorf("got %d free units, want %d or more", got, before+7)
	}
	h.covered()
}

func TestAReclaimThatTheLedgerMissedIsFinished(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	shelf := h.shelf(0)
	back, err := h.stock.Reclaim(t.Context(), shop.Bucket{Sale: sale}, shelf.Epoch, stock.Reclaim{Number: 1, SKU: "a", Quantity: 20})
	if err != nil || back.Units != 20 {
		t.Fatalf("got %+v, %v", back, err)
	}
	h.tend()
	if got := h.shelf(0); got.Free["a"] != 50 || got.Epoch != shelf.Epoch {
		t.Errorf("got %d units in epoch %d, want 50 in %d", got.Free["a"], got.Epoch, shelf.Epoch)
	}
	h.covered()
}

func TestUnitsThatLeakedAreFoundAndGrantedAgain(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	row := h.stand().Buckets[0]
	h.publish(document(60))
	grant, err := h.ledger.Grant(t.Context(), shop.Bucket{Sale: sale}, row.Epoch, ledger.Grant{SKU: "a", Quantity: 10})
	if err != nil {
		t.Fatal(err)
	}
	short := stock.Grant{Number: grant.Number, SKU: "a", Quantity: 4} // six of the ten never arrive
	if err := h.stock.ApplyGrant(t.Context(), shop.Bucket{Sale: sale}, row.Epoch, short); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		h.tend()
	}
	if got := h.shelf(0).Free["a"]; got != 60 {
		t.Errorf("got %d free units, want 60", got)
	}
	if _, leaks := h.supplier.Bumps(); leaks != 1 {
		t.Errorf("got %d alarms, want 1", leaks)
	}
	h.covered()
}

func TestALedgerOlderThanItsStockHaltsTheSale(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	shelf := h.shelf(0)
	ahead := stock.Grant{Number: shelf.LastGrant + 1, SKU: "a", Quantity: 5}
	if err := h.stock.ApplyGrant(t.Context(), shop.Bucket{Sale: sale}, shelf.Epoch, ahead); err != nil {
		t.Fatal(err)
	}
	if err := h.supplier.Tend(t.Context(), sale); !errors.Is(err, ledger.ErrBehind) {
		t.Errorf("got %v, want ErrBehind", err)
	}
}

func TestLoweringStockTakesUnitsBackFromTheBuckets(t *testing.T) {
	for _, buckets := range []int{1, 3} {
		h := open(t, buckets, 90)
		for range 10 {
			h.tend()
		}
		h.publish(document(30))
		stand := h.stand()
		if got := stand.Items["a"]; got.Withdrawn != 60 || got.Total != 90 {
			t.Errorf("%d buckets: got %+v, want 60 withdrawn of 90", buckets, got)
		}
		h.tend()
		h.covered()
	}
}

func TestABucketWhoseBuyersWereTurnedAwayGetsUnitsOfTheFullest(t *testing.T) {
	h := open(t, 2, 3)
	for range 10 {
		h.tend()
	}
	poor, rich := 0, 1
	if h.shelf(0).Free["a"] > h.shelf(1).Free["a"] {
		poor, rich = 1, 0
	}
	want := h.shelf(poor).Free["a"] + 1
	if h.shelf(rich).Free["a"] == 0 {
		t.Fatal("no bucket has units")
	}
	h.supplier.Want(shop.Bucket{Sale: sale, Number: poor}, "a", want)
	h.tend()
	h.tend()
	if got := h.shelf(poor).Free["a"]; got < want {
		t.Errorf("got %d free units, want %d", got, want)
	}
	h.covered()
}

func TestEveryUnitReachesSomeBucket(t *testing.T) {
	h := open(t, 5, 101)
	for range 200 {
		h.tend()
	}
	var free int64
	for number := range 5 {
		free += h.shelf(number).Free["a"]
	}
	if pool := h.stand().Items["a"].Pool; free+pool != 101 {
		t.Errorf("got %d free and %d in the pool, want 101 in all", free, pool)
	}
	h.covered()
}

func TestTwoSuppliersAtOnceAreSafe(t *testing.T) {
	h := open(t, 3, 300)
	other := &supply.Supplier{Ledger: h.ledger, Sales: h.ledger, Stock: h.stock, Log: slog.New(slog.DiscardHandler)}
	var both sync.WaitGroup
	for _, s := range []*supply.Supplier{h.supplier, other} {
		both.Go(func() {
			for range 20 {
				_ = s.Tend(context.WithoutCancel(t.Context()), sale) // one may find the other half done
			}
		})
	}
	both.Wait()
	for range 5 {
		h.tend()
	}
	h.covered()
	for sku, balance := range h.stand().Items {
		if sum := balance.Pool + balance.Granted + balance.Held + balance.Sold + balance.Withdrawn; sum != 300 {
			t.Errorf("%s: got %d units in all, want 300", sku, sum)
		}
	}
}
