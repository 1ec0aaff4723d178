package supply_test

import (
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// A ledger that is down for a while leaves tickets undecided look after look.
func TestUnitsInTicketsAreNoLeakHoweverLongTheyWait(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	before := h.shelf(0)
	ask := stock.Ask{Claim: shop.ClaimID{1}, Buyer: "ann", SKU: "a", Quantity: 2, Limit: 2, Live: stock.LiveUnknown}
	if _, err := h.stock.Reserve(t.Context(), shop.Bucket{Sale: sale}, []stock.Ask{ask}, nil); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		h.tend()
	}
	if got := h.shelf(0); got.Epoch != before.Epoch || got.Free["a"] != 48 {
		t.Errorf("got epoch %d with %d free units, want %d with 48", got.Epoch, got.Free["a"], before.Epoch)
	}
}

// A settlement on its way looks like a leak for a moment.
func TestALeakIsBelievedOnlyAfterSomeLooksInARow(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	bucket, epoch := shop.Bucket{Sale: sale}, h.shelf(0).Epoch
	h.publish(document(60))
	grant, err := h.ledger.Grant(t.Context(), bucket, epoch, ledger.Grant{SKU: "a", Quantity: 10})
	if err != nil {
		t.Fatal(err)
	}
	grant.Quantity = 4
	if err := h.stock.ApplyGrant(t.Context(), bucket, epoch, stock.Grant(grant)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.tend()
	}
	if _, leaks := h.supplier.Bumps(); leaks != 0 {
		t.Errorf("%d alarms after two looks, want none yet", leaks)
	}
	h.tend()
	if _, leaks := h.supplier.Bumps(); leaks != 1 {
		t.Errorf("%d alarms after three looks, want 1", leaks)
	}
}

// The stock came back from a snapshot older than its last reclaim: its free
// units are not to be believed.
func TestAReclaimThatTheStockForgotBeginsANewEpoch(t *testing.T) {
	h := open(t, 1, 50)
	h.tend()
	before := h.shelf(0).Epoch
	back := ledger.Reclaim{Number: 1, SKU: "a", Units: 20}
	if err := h.ledger.Reclaim(t.Context(), shop.Bucket{Sale: sale}, before, back); err != nil {
		t.Fatal(err)
	}
	h.tend()
	if got := h.shelf(0); got.Epoch != before+1 || got.Free["a"] != 50 {
		t.Errorf("got epoch %d with %d free units, want %d with 50", got.Epoch, got.Free["a"], before+1)
	}
	h.covered()
}

// A ledger restored from before a payment lacks no decision, so only this mark
// tells.
func TestTheStockHearsHowFarTheLedgerHasComeWithoutATicket(t *testing.T) {
	h := open(t, 2, 50)
	h.tend()
	h.publish(document(60))
	want := h.stand().AsOf
	for number := range 2 {
		if got := h.shelf(number).Mark; got >= want {
			t.Fatalf("bucket %d has heard of %d, and the ledger is at %d: nothing is left to tell", number, got, want)
		}
	}
	h.tend()
	for number := range 2 {
		if got := h.shelf(number).Mark; got < want {
			t.Errorf("bucket %d has heard of %d, want %d", number, got, want)
		}
	}
}
