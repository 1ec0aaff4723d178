package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func TestABuyerGetsADecidedOrder(t *testing.T) {
	r := open(t, document(10))
	answer := r.buy(wish("ann", "k", 2))
	order := answer.Order
	if order.Status != shop.AwaitingPayment || order.Amount != 200 || order.Buyer != "ann" || answer.Repeat {
		t.Errorf("got %+v", answer)
	}
	stored, err := r.ledger.Order(t.Context(), order.ID)
	if err != nil || stored != order {
		t.Errorf("the ledger has %+v, %v, want %+v", stored, err, order)
	}
}

func TestTheSameKeyReturnsTheSameOrderInEveryPhase(t *testing.T) {
	r := open(t, document(1))
	first := r.buy(wish("ann", "k", 1))
	for _, verb := range []shop.Verb{shop.VerbPause, shop.VerbResume, shop.VerbClose} {
		again := r.buy(wish("ann", "k", 1))
		if again.Order != first.Order || !again.Repeat {
			t.Errorf("before %s: got %+v, want %+v again", verb, again, first.Order)
		}
		r.move(verb)
	}
	if again := r.buy(wish("ann", "k", 1)); again.Order != first.Order {
		t.Errorf("closed: got %+v, want %+v", again.Order, first.Order)
	}
}

func TestAnotherWishUnderTheSameKeyIsRefusedBeforeLimitAndStock(t *testing.T) {
	r := open(t, document(1))
	r.buy(wish("ann", "k", 1))
	for _, quantity := range []int64{2, 1000} {
		if no := r.refused(wish("ann", "k", quantity)); no.Code != shop.KeyReused {
			t.Errorf("quantity %d: got %s, want key_reused", quantity, no.Code)
		}
	}
}

func TestTheBoardsNoComesInEveryPhaseButOpen(t *testing.T) {
	doc := document(1)
	doc.OpensAt = time.Now().Add(time.Hour).UTC()
	r := open(t, doc)
	for _, step := range []struct {
		verb shop.Verb
		want shop.Code
	}{{"", shop.NotOpen}, {shop.VerbOpen, ""}, {shop.VerbPause, shop.SalePaused}, {shop.VerbClose, shop.SaleClosed}} {
		if step.verb != "" {
			r.move(step.verb)
		}
		if step.want == "" {
			continue
		}
		if no := r.refused(wish("ann", "k", 1)); no.Code != step.want {
			t.Errorf("after %q: got %s, want %s", step.verb, no.Code, step.want)
		}
	}
}

func TestWhoHasTheLimitHearsSoWithHisOrders(t *testing.T) {
	r := open(t, document(10))
	order := r.buy(wish("ann", "k", 2)).Order
	for i := range 20 {
		no := r.refused(wish("ann", fmt.Sprint("more", i), 1))
		if no.Code != shop.LimitReached || len(no.Orders) != 1 || no.Orders[0] != order.ID {
			t.Fatalf("got %+v, want limit_reached with order %s", no, order.ID)
		}
	}
	if got := r.reads.standings.Load(); got > 3 {
		t.Errorf("20 refusals read the ledger %d times, want once a second", got)
	}
	if no := r.refused(wish("bob", "k", 3)); no.Code != shop.LimitReached || len(no.Orders) != 0 {
		t.Errorf("over the limit at once: got %+v", no)
	}
}

func TestUnitsGivenBackAreSoldToWhoeverAsksNext(t *testing.T) {
	r := open(t, document(1))
	order := r.buy(wish("ann", "k", 1)).Order
	no := r.refused(wish("bob", "k", 1))
	if no.Code != shop.SoldOut || !no.MayReturn {
		t.Fatalf("got %+v, want sold_out that may return", no)
	}
	if _, err := r.desk.Cancel(t.Context(), gate.Identity{Buyer: "ann"}, order.ID); err != nil {
		t.Fatal(err)
	}
	<-r.herald.Touch(sale)
	if got := r.buy(wish("bob", "k", 1)).Order; got.Status != shop.AwaitingPayment {
		t.Errorf("got %+v", got)
	}
	if no := r.refused(wish("ann", "k2", 1)); no.Code != shop.SoldOut {
		t.Errorf("ann's hint of two units is stale: got %+v, want sold_out", no)
	}
}

func TestSoldOutForGoodSaysSoWithItsSeq(t *testing.T) {
	r := open(t, document(1))
	order := r.buy(wish("ann", "k", 1)).Order
	if _, err := r.ledger.Pay(t.Context(), ledger.Payment{Order: order.ID, Reference: "p"}); err != nil {
		t.Fatal(err)
	}
	<-r.herald.Touch(sale)
	if no := r.refused(wish("bob", "k", 1)); no.Code != shop.SoldOut || no.MayReturn || no.AsOf == 0 {
		t.Errorf("got %+v, want a final sold_out", no)
	}
}

func TestFewerFreeThanAskedIsNotSoldOut(t *testing.T) {
	r := open(t, document(3))
	r.buy(wish("ann", "k", 2))
	if no := r.refused(wish("bob", "k", 2)); no.Code != shop.NotEnough {
		t.Errorf("got %+v, want not_enough", no)
	}
	if got := r.buy(wish("bob", "k", 1)).Order.Status; got != shop.AwaitingPayment {
		t.Errorf("got %s", got)
	}
}

func TestWhoDoesNotWaitIsToldPendingAndFindsTheOrderLater(t *testing.T) {
	r := open(t, document(1))
	r.decisive.open.Lock()
	hasty := wish("ann", "k", 1)
	hasty.Wait = 0
	answer := r.buy(hasty)
	if answer.Order.Status != shop.Pending {
		t.Fatalf("got %+v, want pending", answer)
	}
	got, err := r.desk.Order(t.Context(), gate.Identity{Buyer: "ann"}, answer.Order.ID)
	if err != nil || got.Status != shop.Pending || got.Amount != 100 {
		t.Errorf("got %+v, %v, want the pending order", got, err)
	}
	if _, err := r.desk.Order(t.Context(), gate.Identity{Buyer: "bob"}, answer.Order.ID); err == nil {
		t.Error("bob sees ann's pending order")
	}
	if no := r.cancelled("ann", answer.Order.ID); no.Code != shop.WrongStatus {
		t.Errorf("cancel while pending: got %+v", no)
	}
	r.decisive.open.Unlock()
	if got := r.buy(wish("ann", "k", 1)); got.Order.Status != shop.AwaitingPayment || got.Order.ID != answer.Order.ID {
		t.Errorf("got %+v, want order %s decided", got, answer.Order.ID)
	}
}

func (r *road) cancelled(buyer string, id shop.ClaimID) shop.Refusal {
	r.t.Helper()
	_, err := r.desk.Cancel(r.t.Context(), gate.Identity{Buyer: buyer}, id)
	no, ok := errors.AsType[shop.Refusal](err)
	if !ok {
		r.t.Fatalf("got %v, want a refusal", err)
	}
	return no
}

func TestAPendingOrderThatTheStockLostIsAskedForAgain(t *testing.T) {
	r := open(t, document(1))
	r.decisive.open.Lock()
	hasty := wish("ann", "k", 1)
	hasty.Wait = 0
	id := r.buy(hasty).Order.ID
	r.stock.Forget(shop.Bucket{Sale: sale})
	if _, err := r.desk.Order(t.Context(), gate.Identity{Buyer: "ann"}, id); err == nil {
		t.Error("a lost ticket is still shown")
	}
	r.decisive.open.Unlock()
	<-r.herald.Touch(sale)
	answer, err := r.desk.Buy(t.Context(), wish("ann", "k", 1))
	if no, missed := errors.AsType[shop.Refusal](err); missed && no.Code == shop.Missed {
		// The new epoch had the unit before the queue brought the lost ticket.
		answer = r.buy(wish("ann", "k2", 1))
	} else if err != nil || answer.Order.ID != id {
		t.Errorf("got %+v, %v, want order %s", answer, err, id)
	}
	if answer.Order.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, want the unit", answer.Order)
	}
}

func TestNobodySeesAnotherBuyersOrder(t *testing.T) {
	r := open(t, document(2))
	id := r.buy(wish("ann", "k", 1)).Order.ID
	if _, err := r.desk.Order(t.Context(), gate.Identity{Buyer: "bob"}, id); err == nil {
		t.Error("bob sees ann's order")
	}
	if no := r.cancelled("bob", id); no.Code != shop.NotFound {
		t.Errorf("got %+v, want not_found", no)
	}
	orders, err := r.desk.OrdersOf(t.Context(), "ann", sale)
	if err != nil || len(orders) != 1 || orders[0].ID != id {
		t.Errorf("got %+v, %v", orders, err)
	}
}

// Security line 39.
func TestAThousandIdenticalWishesLeadToOneOrder(t *testing.T) {
	r := open(t, document(1000))
	ids := make(chan shop.ClaimID, 1000)
	var fresh atomic.Int64
	var crowd sync.WaitGroup
	for range 1000 {
		crowd.Go(func() {
			answer, err := r.desk.Buy(context.WithoutCancel(t.Context()), wish("ann", "k", 1))
			if err != nil {
				t.Error(err)
				return
			}
			if !answer.Repeat {
				fresh.Add(1)
			}
			ids <- answer.Order.ID
		})
	}
	crowd.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Fatalf("got orders %s and %s", first, id)
		}
	}
	if fresh.Load() != 1 {
		t.Errorf("%d answers say they are new, want 1", fresh.Load())
	}
	stand, err := r.ledger.Stand(t.Context(), sale)
	if err != nil || stand.Items["a"].Held != 1 {
		t.Errorf("got %+v, %v, want one unit held", stand.Items["a"], err)
	}
}

// Security line 39: of a thousand who want the last unit, one gets it.
func TestACrowdTakesExactlyWhatThereIs(t *testing.T) {
	for _, c := range []struct{ units, buyers int64 }{{50, 500}, {1, 1000}} {
		t.Run(fmt.Sprint(c.buyers, " buyers for ", c.units), func(t *testing.T) {
			r := open(t, document(c.units))
			var won, lost atomic.Int64
			var crowd sync.WaitGroup
			for i := range c.buyers {
				crowd.Go(func() {
					_, err := r.desk.Buy(context.WithoutCancel(t.Context()), wish(fmt.Sprint("buyer", i), "k", 1))
					no, refused := errors.AsType[shop.Refusal](err)
					switch {
					case err == nil:
						won.Add(1)
					case refused && no.Code == shop.SoldOut:
						lost.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			crowd.Wait()
			if won.Load() != c.units || lost.Load() != c.buyers-c.units {
				t.Errorf("%d won and %d lost, want %d and %d", won.Load(), lost.Load(), c.units, c.buyers-c.units)
			}
		})
	}
}

func TestALostReplyOfTheStockIsNotANo(t *testing.T) {
	r := open(t, document(1))
	flaky := &losing{Counter: r.stock}
	r.desk.Stock = flaky
	flaky.lose.Store(true)
	if _, err := r.desk.Buy(t.Context(), wish("ann", "k", 1)); err == nil {
		t.Fatal("the lost reply was taken for an answer")
	}
	flaky.lose.Store(false)
	r.settled() // until then the board may say that all units are held, and bind nobody
	if got := r.buy(wish("ann", "k", 1)).Order; got.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, want the order that the lost reply was about", got)
	}
	stand, err := r.ledger.Stand(t.Context(), sale)
	if err != nil || stand.Items["a"].Held != 1 {
		t.Errorf("got %+v, %v, want one unit held", stand.Items["a"], err)
	}
}

// losing is a stock whose replies get lost on the way.
type losing struct {
	stock.Counter
	lose atomic.Bool
}

var errLost = errors.New("the reply was lost")

func (l *losing) Reserve(ctx context.Context, bucket shop.Bucket, asks []stock.Ask, into []stock.Answer) ([]stock.Answer, error) {
	answers, err := l.Counter.Reserve(ctx, bucket, asks, into)
	if l.lose.Load() {
		return nil, errLost
	}
	return answers, err
}
