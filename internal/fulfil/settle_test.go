package fulfil_test

import (
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func TestUnitsOfARefusedTicketAreFreeAgainAndThoseOfAnOrderAreNot(t *testing.T) {
	h := open(t)
	beside := shop.Ticket{
		Claim: shop.ClaimID{9}, Bucket: bucket, Epoch: 1, Seq: 1 << 30, Nonce: 9, Buyer: "sated", SKU: "a", Quantity: 2,
	}
	if _, err := h.ledger.Decide(t.Context(), []shop.Ticket{beside}); err != nil {
		t.Fatal(err)
	}
	h.take("sated", "a") // the stock does not know that he has his two
	h.take("ann", "a")
	h.run(h.worker)
	if got := h.buyers(2); got["sated"] != shop.Refused || got["ann"] != shop.AwaitingPayment {
		t.Fatalf("got %v", got)
	}
	h.until("both are settled", func() bool {
		shelf, err := h.stock.Shelf(t.Context(), bucket)
		return err == nil && shelf.Tickets == 0
	})
	shelf, err := h.stock.Shelf(t.Context(), bucket)
	if err != nil || shelf.Free["a"] != units-1 || shelf.Undecided["a"] != 0 {
		t.Errorf("%d free and %d undecided, %v; want %d and none", shelf.Free["a"], shelf.Undecided["a"], err, units-1)
	}
	ask := stock.Ask{Claim: shop.ClaimID{8}, Buyer: "sated", SKU: "a", Quantity: 1, Limit: 2, Live: stock.LiveUnknown}
	answers, err := h.stock.Reserve(t.Context(), bucket, []stock.Ask{ask}, nil)
	if err != nil || answers[0].Outcome != stock.Limit {
		t.Errorf("got %+v, %v: the stock was not told what the ledger knows of the buyer", answers, err)
	}
}
