package herald_test

import (
	"context"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/supply"
)

func TestAClosedSaleIsOverWhenItsStockWasRetiredAndIsLookedAtNoMore(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), noon().Add(time.Minute)))
	supplier := &supply.Supplier{Ledger: town.ledger, Sales: town.ledger, Stock: town.herald.Stock, Log: quiet()}
	calls, reachable := 0, false
	town.herald.Tend, town.herald.Retire = supplier.Tend, func(ctx context.Context, sale string) {
		calls++
		if !reachable {
			return
		}
		if err := supplier.Retire(ctx, sale); err != nil {
			t.Error(err)
		}
	}
	looks := 0
	town.herald.CatchUp = func(context.Context, string, int64) error { looks++; return nil }
	town.round(true)
	if town.shows("it sells", "").Over {
		t.Error("an open sale is over")
	}
	town.passed.Add(int64(time.Minute))
	for range 9 {
		town.round(true)
		town.passed.Add(int64(time.Second))
	}
	if town.shows("it has just closed", shop.SaleClosed).Over || calls > 0 {
		t.Errorf("its stock was retired %d times at once", calls)
	}
	for range 3 {
		town.passed.Add(int64(time.Second))
		town.round(true)
	}
	if notice := town.shows("its stock cannot be reached", shop.SaleClosed); notice.Over || !notice.Supplied || calls == 0 {
		t.Errorf("got %+v after %d calls, want a sale that is in order, and not over", notice, calls)
	}
	reachable = true
	town.round(true)
	if !town.shows("its stock is retired", shop.SaleClosed).Over {
		t.Error("it is not over")
	}
	before := looks
	for range 20 {
		town.passed.Add(int64(time.Second))
		town.round(true)
	}
	if looks > before {
		t.Errorf("%d looks at a sale that is over", looks-before)
	}
}
