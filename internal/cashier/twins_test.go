package cashier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// visitBoth plays at two nodes of one shop, in a bubble.
func visitBoth(t *testing.T, play func(t *testing.T, here, there *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		here, there := newTwins(t)
		defer here.stop()
		defer there.stop()
		play(t, here, there)
	})
}

// begin returns an order of ann's and its page, started at this node.
func (w *town) begin(t *testing.T) (shop.Order, string) {
	t.Helper()
	order := w.buy(t, "eu-42", "ann")
	address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
	if err != nil {
		t.Fatal(err)
	}
	return order, address
}

func (w *town) wantSound(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if faults := w.ledger.Broken(w.taken(t)); len(faults) > 0 {
		t.Errorf("the books: %q", faults)
	}
}

func TestABuyerPaysAtAnotherNodeThanWhereTheyBegan(t *testing.T) {
	visitBoth(t, func(t *testing.T, here, there *town) {
		order, address := here.begin(t)
		if again, err := there.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID); err != nil || again != address {
			t.Errorf("the other node leads to %q (%v), want %q", again, err, address)
		}
		back := "https://brand.example/drop#order=" + order.ID.String()
		if got := there.press(address, "pay"); got != back {
			t.Errorf("led back to %q, want %q", got, back)
		}
		if got := here.status(t, order.ID); got != shop.Paid {
			t.Errorf("the order is %s, want paid", got)
		}
		if here.count(cashier.Paid) != 0 || there.count(cashier.Paid) != 1 {
			t.Errorf("%d and %d payments counted, want the one of the node that took it", here.count(cashier.Paid), there.count(cashier.Paid))
		}
		if got := here.press(address, "pay"); got != back {
			t.Errorf("a second click elsewhere leads to %q, want %q", got, back)
		}
		if taken := here.taken(t); len(taken) != 1 {
			t.Errorf("the charges %q, want one", taken)
		}
		here.wantSound(t)
	})
}

// Both nodes take the money before the ledger has heard of either.
func TestMoneyTakenAtTwoNodesPaysOnceAndIsDueOnce(t *testing.T) {
	visitBoth(t, func(t *testing.T, here, there *town) {
		order, address := here.begin(t)
		here.turn(cut)
		there.turn(cut)
		here.press(address, "pay")
		there.press(address, "pay")
		synctest.Wait()
		here.turn(fair)
		there.turn(fair)
		time.Sleep(time.Second) // each tries again
		if got := here.status(t, order.ID); got != shop.Paid {
			t.Errorf("the order is %s, want paid", got)
		}
		if taken := here.taken(t); len(taken) != 2 {
			t.Fatalf("the charges %q, want two: else this shows nothing", taken)
		}
		if paid, refused := here.count(cashier.Paid)+there.count(cashier.Paid), here.count(cashier.Refused)+there.count(cashier.Refused); paid != 1 || refused != 1 {
			t.Errorf("%d charges pay and %d are due for refund, want one each", paid, refused)
		}
		here.wantSound(t)
	})
}

// The node that took the money dies before it could report it, and comes back
// when the order's time is over.
func TestMoneyOfANodeThatWasAwayIsALatePayment(t *testing.T) {
	visitBoth(t, func(t *testing.T, here, there *town) {
		order, address := here.begin(t)
		there.turn(cut)
		there.press(address, "pay")
		synctest.Wait()
		there.halt() // its expirer goes on, and may not ask it
		there.halt = func() {}
		time.Sleep(sale().Hold + 2*time.Second)
		if got := here.status(t, order.ID); got != shop.Expired {
			t.Fatalf("the order is %s, want expired: nobody else knows of the money", got)
		}
		there.turn(fair)
		there.reopen(t)
		if got := here.status(t, order.ID); got != shop.Paid {
			t.Errorf("the order is %s, want paid: a unit was left", got)
		}
		here.wantSound(t)
	})
}

func TestAnOrderCalledOffAtOneNodeTakesNoMoneyAtAnother(t *testing.T) {
	visitBoth(t, func(t *testing.T, here, there *town) {
		order, address := here.begin(t)
		if _, err := there.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID); err != nil {
			t.Fatal(err)
		}
		here.merchant(t, step{action: "cancel"}, &order)
		if got := there.press(address, string(paymentstest.Pay)); got != address {
			t.Errorf("paying leads to %q, want the page that says it is over", got)
		}
		if taken := here.taken(t); len(taken) != 0 {
			t.Errorf("the charges %q for an order that is cancelled", taken)
		}
	})
}
