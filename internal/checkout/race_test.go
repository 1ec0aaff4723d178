package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// hooked is a stock in front of which something happens, once.
type hooked struct {
	stock.Counter
	beforeReserve, beforeTicket atomic.Pointer[func()]
}

func (h *hooked) Reserve(ctx context.Context, bucket shop.Bucket, asks []stock.Ask, into []stock.Answer) ([]stock.Answer, error) {
	if hook := h.beforeReserve.Swap(nil); hook != nil {
		(*hook)()
	}
	return h.Counter.Reserve(ctx, bucket, asks, into)
}

func (h *hooked) Ticket(ctx context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error) {
	if hook := h.beforeTicket.Swap(nil); hook != nil {
		(*hook)()
	}
	return h.Counter.Ticket(ctx, bucket, claim)
}

// settled waits until the stock has no ticket any more.
func (r *road) settled() {
	for {
		tickets, err := r.stock.Undecided(context.Background(), shop.Bucket{Sale: sale}, 1)
		if err != nil {
			r.t.Error(err)
		}
		if len(tickets) == 0 {
			return
		}
		<-r.herald.Touch(sale) // a look takes a while
	}
}

func TestAnOrderDecidedBetweenTwoLooksIsFound(t *testing.T) {
	r := open(t, document(1))
	hooks := &hooked{Counter: r.stock}
	r.desk.Stock = hooks
	r.decisive.open.Lock()
	hasty := wish("ann", "k", 1)
	hasty.Wait = 0
	id := r.buy(hasty).Order.ID
	decide := func() {
		r.decisive.open.Unlock()
		r.settled()
	}
	hooks.beforeTicket.Store(&decide)
	if got, err := r.desk.Order(t.Context(), gate.Identity{Buyer: "ann"}, id); err != nil || got.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, %v, want the order that was decided meanwhile", got, err)
	}
}

// A double click: the second call passed the look at what is known before the
// first one had its ticket, and reaches the stock after that was settled.
func TestASecondClickHearsTheOrderNotThatNothingIsLeft(t *testing.T) {
	for name, doc := range map[string]shop.Sale{
		"sold out": document(1), "limit reached": func() shop.Sale { d := document(5); d.LimitPerBuyer = 1; return d }(),
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, doc)
			hooks := &hooked{Counter: r.stock}
			r.desk.Stock = hooks
			var first checkout.Answer
			click := func() {
				first = r.buy(wish("ann", "k", 1))
				r.settled()
				<-r.herald.Touch(sale)
			}
			hooks.beforeReserve.Store(&click)
			second := r.buy(wish("ann", "k", 1))
			if second.Order != first.Order || !second.Repeat || first.Repeat {
				t.Errorf("got %+v, want %+v again", second, first)
			}
		})
	}
}

func TestAThousandWishesForTheLastUnitUnderOneKeyHearOneOrder(t *testing.T) {
	doc := document(1)
	doc.LimitPerBuyer = 1
	r := open(t, doc)
	var crowd sync.WaitGroup
	for range 1000 {
		crowd.Go(func() {
			answer, err := r.desk.Buy(context.WithoutCancel(t.Context()), wish("ann", "k", 1))
			if err != nil || answer.Order.Status != shop.AwaitingPayment {
				t.Errorf("got %+v, %v, want the order", answer, err)
			}
		})
	}
	crowd.Wait()
}

// decideBeside has the ledger decide a ticket that this node's stock does not
// know of.
func (r *road) decideBeside(buyer string, quantity, epoch int64) shop.Order {
	r.t.Helper()
	decisions, err := r.ledger.Decide(r.t.Context(), []shop.Ticket{{
		Claim: r.desk.Hasher.Claim(sale, buyer, "beside"), Bucket: shop.Bucket{Sale: sale}, Epoch: epoch, Seq: 1 << 30,
		Nonce: 7, Buyer: buyer, SKU: "a", Quantity: quantity,
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return decisions[0].Order
}

func TestALimitThatOnlyTheLedgerKnewIsToldWithTheOrders(t *testing.T) {
	r := open(t, document(10))
	order := r.decideBeside("ann", 2, 1)
	no := r.refused(wish("ann", "k", 1))
	if no.Code != shop.LimitReached || no.Order == nil || len(no.Orders) != 1 || no.Orders[0] != order.ID {
		t.Errorf("got %+v, want limit_reached, decided, with order %s", no, order.ID)
	}
}

// The ledger says sold_out to two where one is left; that one may still come.
func TestSoldOutToTwoIsNotFinalWhileOneIsLeft(t *testing.T) {
	r := open(t, document(2))
	r.decisive.open.Lock()
	heard := make(chan error, 1)
	go func() {
		_, err := r.desk.Buy(context.WithoutCancel(t.Context()), wish("ann", "k", 2))
		heard <- err
	}()
	for tickets := 0; tickets == 0; {
		all, err := r.stock.Undecided(t.Context(), shop.Bucket{Sale: sale}, 1)
		if err != nil {
			t.Fatal(err)
		}
		tickets = len(all)
	}
	bob := r.decideBeside("bob", 1, 1)
	if _, err := r.ledger.Pay(t.Context(), ledger.Payment{Order: bob.ID, Reference: "r"}); err != nil {
		t.Fatal(err)
	}
	r.decisive.open.Unlock()
	no, ok := errors.AsType[shop.Refusal](<-heard)
	if !ok || no.Code != shop.SoldOut || no.Order == nil || !no.MayReturn {
		t.Errorf("got %+v, want sold_out by the ledger, not final while a unit is left", no)
	}
}

func TestACrowdOverFourBucketsTakesExactlyWhatThereIs(t *testing.T) {
	const units, buyers = 60, 240
	r := openBuckets(t, document(units), 4)
	var won, lost atomic.Int64
	var crowd sync.WaitGroup
	for i := range buyers {
		crowd.Go(func() {
			order, no := r.insist(fmt.Sprint("buyer", i), int64(1+i%2))
			switch no {
			case "":
				won.Add(order.Quantity)
			case shop.SoldOut:
				lost.Add(1)
			default:
				t.Errorf("buyer %d heard %s at last", i, no)
			}
		})
	}
	crowd.Wait()
	stand, err := r.ledger.Stand(t.Context(), sale)
	if err != nil || stand.Items["a"].Held != units || won.Load() != units {
		t.Errorf("%d units were won, the ledger has %+v, %v; want all %d held", won.Load(), stand.Items["a"], err, units)
	}
	if lost.Load() == 0 {
		t.Error("nobody lost, though twice as many wanted units as there are")
	}
}

// insist asks until there is an order or a no that is not for this moment. Who
// is told that fewer are free asks for one.
func (r *road) insist(buyer string, quantity int64) (shop.Order, shop.Code) {
	for range 200 {
		answer, err := r.desk.Buy(context.Background(), wish(buyer, fmt.Sprint("k", r.keys.Add(1)), quantity))
		if err == nil {
			return answer.Order, ""
		}
		no, ok := errors.AsType[shop.Refusal](err)
		if !ok {
			r.t.Error(err)
			return shop.Order{}, shop.Unavailable
		}
		switch no.Code {
		case shop.NotEnough:
			quantity = 1
		case shop.Unavailable, shop.Missed:
			<-r.herald.Touch(sale)
		default:
			return shop.Order{}, no.Code
		}
	}
	return shop.Order{}, shop.Unavailable
}

// I9, whatever bucket the unit lies in and the buyer belongs to.
func TestTheLastUnitReachesWhoeverWantsItOverFourBuckets(t *testing.T) {
	r := openBuckets(t, document(1), 4)
	for i := range 12 {
		buyer := fmt.Sprint("buyer", i)
		order, no := r.insist(buyer, 1)
		if no != "" {
			t.Fatalf("%s is barred from the only unit: %s", buyer, no)
		}
		if _, err := r.desk.Cancel(t.Context(), gate.Identity{Buyer: buyer}, order.ID); err != nil {
			t.Fatal(err)
		}
		<-r.herald.Touch(sale)
	}
}

// Two units lie apart, and two buyers of different buckets want both, again
// and again: one of them gets them.
func TestTwoWhoWantTheSameTwoUnitsDoNotKeepEachOtherOut(t *testing.T) {
	r := openBuckets(t, document(2), 4)
	names := map[int]string{}
	for i := 0; len(names) < 2; i++ {
		name := fmt.Sprint("buyer", i)
		names[r.desk.Hasher.Bucket(sale, name, 4)] = name
	}
	var won atomic.Int64
	var both sync.WaitGroup
	for _, name := range names {
		both.Go(func() {
			for try := 0; won.Load() == 0 && try < 500; try++ {
				if _, err := r.desk.Buy(context.Background(), wish(name, fmt.Sprint("k", try), 2)); err == nil {
					won.Add(1)
				}
			}
		})
	}
	both.Wait()
	if won.Load() != 1 {
		t.Errorf("%d buyers have the two units, want 1", won.Load())
	}
}

// A claim decided by another node, or before a restart, may be unknown to this
// one when its key comes back with something else.
func TestAnotherWishUnderAKeyThatIsNotKnownHereIsRefused(t *testing.T) {
	doc := document(5)
	doc.LimitPerBuyer = 3
	r := open(t, doc)
	first := r.buy(wish("ann", "k", 1))
	r.settled()
	r.desk.Known = &checkout.Known{} // another node's
	if no := r.refused(wish("ann", "k", 2)); no.Code != shop.KeyReused {
		t.Errorf("another quantity: %s, want %s", no.Code, shop.KeyReused)
	}
	if again := r.buy(wish("ann", "k", 1)); again.Order.ID != first.Order.ID {
		t.Errorf("the same wish led to %s, want %s", again.Order.ID, first.Order.ID)
	}
}

func TestAKeyOfAPendingOrderIsNotReusedWhateverTheLimitSays(t *testing.T) {
	r := open(t, document(2))
	r.decisive.open.Lock()
	defer r.decisive.open.Unlock()
	hasty := wish("ann", "k", 2)
	hasty.Wait = 0
	r.buy(hasty)
	for _, quantity := range []int64{1, 3} {
		if no := r.refused(wish("ann", "k", quantity)); no.Code != shop.KeyReused {
			t.Errorf("quantity %d: got %s, want key_reused", quantity, no.Code)
		}
	}
}

// Two devices of one buyer order at the same moment, each under a key of its own.
func TestTheSecondOfTwoOrdersAtOnceHearsWhatBecameOfTheFirst(t *testing.T) {
	for range 20 {
		r := open(t, document(5))
		var mu sync.Mutex
		var won []shop.ClaimID
		var refused []shop.Refusal
		var both sync.WaitGroup
		for _, key := range []string{"phone", "laptop"} {
			both.Go(func() {
				answer, err := r.desk.Buy(context.WithoutCancel(t.Context()), wish("ann", key, 2))
				mu.Lock()
				defer mu.Unlock()
				if no, ok := errors.AsType[shop.Refusal](err); ok {
					refused = append(refused, no)
				} else if err == nil {
					won = append(won, answer.Order.ID)
				}
			})
		}
		both.Wait()
		if len(won) != 1 || len(refused) != 1 || refused[0].Code != shop.LimitReached || !slices.Equal(refused[0].Orders, won) {
			t.Fatalf("won %v, refused %+v; want one order, and the limit with it", won, refused)
		}
	}
}

func TestWhoDoesNotWaitIsToldToAskAgainWhileHisOtherTicketIsUndecided(t *testing.T) {
	r := open(t, document(5))
	r.decisive.open.Lock()
	defer r.decisive.open.Unlock()
	hasty := wish("ann", "phone", 2)
	hasty.Wait = 0
	r.buy(hasty)
	hasty.Key = "laptop"
	if no := r.refused(hasty); no.Code != shop.Unavailable || no.RetryAfter == 0 {
		t.Errorf("got %+v, want unavailable: ask again", no)
	}
}

// The stock still remembers what she gave back; the ledger knows better.
func TestWhoGaveEverythingBackMayBuyAgain(t *testing.T) {
	r := open(t, document(5))
	order := r.buy(wish("ann", "k", 2)).Order
	r.settled()
	if _, err := r.desk.Cancel(t.Context(), gate.Identity{Buyer: "ann"}, order.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.buy(wish("ann", "k2", 2)).Order; got.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, want a second order", got)
	}
}
