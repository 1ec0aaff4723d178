package checkout_test

import (
	"context"
	"testing"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// elsewhere decides a wish as another node would: this one hears nothing.
func (r *road) elsewhere(w checkout.Wish) shop.Order {
	r.t.Helper()
	ctx := r.t.Context()
	bucket := shop.Bucket{Sale: sale}
	claim := r.desk.Hasher.Claim(w.Sale, w.Buyer, w.Key)
	answers, err := r.stock.Reserve(ctx, bucket, []stock.Ask{{
		Claim: claim, Nonce: 1 << 60, KeyPrint: r.desk.Hasher.KeyPrint(w.Sale, w.Key), Buyer: w.Buyer, SKU: w.SKU,
		Quantity: w.Quantity, Limit: 2, Live: stock.LiveUnknown,
	}}, nil)
	if err != nil || answers[0].Outcome != stock.Pending {
		r.t.Fatalf("got %+v, %v", answers, err)
	}
	decisions, err := r.ledger.Decide(ctx, []shop.Ticket{answers[0].Ticket})
	if err != nil {
		r.t.Fatal(err)
	}
	d := decisions[0]
	err = r.stock.Settle(ctx, bucket, []stock.Settlement{{Ticket: d.Ticket, Verdict: d.Verdict, Live: d.Live, Mark: d.Order.AsOf}})
	if err != nil {
		r.t.Fatal(err)
	}
	return d.Order
}

func (r *road) catchUp() {
	r.t.Helper()
	stand, err := r.ledger.Stand(r.t.Context(), sale)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.desk.CatchUp(r.t.Context(), sale, stand.Newest); err != nil {
		r.t.Fatal(err)
	}
}

func TestWhatAnotherNodeDecidedIsKnownBeforeTheBoardSaysSoldOut(t *testing.T) {
	r := open(t, document(1))
	r.decisive.open.Lock() // this node decides nothing
	defer r.decisive.open.Unlock()
	order := r.elsewhere(wish("ann", "k", 1))
	if r.desk.KnownKey(sale, "k") {
		t.Fatal("the key is known before anybody said so")
	}
	<-r.herald.Touch(sale)
	if no := r.refused(wish("bob", "k", 1)); no.Code != shop.SoldOut {
		t.Errorf("got %v, want sold_out for everybody else", no)
	}
	if got := r.buy(wish("ann", "k", 1)); got.Order != order || !got.Repeat || !r.desk.KnownKey(sale, "k") {
		t.Errorf("got %+v, want the order %+v again", got, order)
	}
}

func TestWhatWasHeardOfIsNotReadAgain(t *testing.T) {
	r := open(t, document(5))
	reads := &counting{Claims: r.ledger}
	other := &checkout.Desk{Known: &checkout.Known{}, Claims: reads, Decisions: checkout.NewDecisions()}
	catchUp := func(want int64) {
		t.Helper()
		stand, err := r.ledger.Stand(t.Context(), sale)
		if err == nil {
			err = other.CatchUp(t.Context(), sale, stand.Newest)
		}
		if got := reads.prints.Load(); got != want || err != nil {
			t.Errorf("%d decisions were read so far, error %v; want %d", got, err, want)
		}
	}
	r.buy(wish("ann", "k", 1))
	r.buy(wish("bob", "k", 1))
	for print, err := range r.ledger.Decided(t.Context(), sale, 0) {
		if err != nil {
			t.Fatal(err)
		}
		other.Hear([]ledger.Decision{{Order: shop.Order{ID: print.Claim, Sale: sale}, Row: print.Row}})
	}
	catchUp(0)
	r.buy(wish("cy", "k", 1))
	catchUp(1)
	catchUp(1)
}

// Of another node's buyers only prints are heard. Who waits for one of them
// here, in a second window, hears from the ledger.
func TestWhoWaitsForAnotherNodesBuyerHearsFromTheLedger(t *testing.T) {
	r := open(t, document(5))
	r.buy(wish("ann", "k", 1))
	order := r.buy(wish("bob", "k", 1)).Order
	reads := &counting{Claims: r.ledger}
	other := &checkout.Desk{Known: &checkout.Known{}, Claims: reads, Decisions: checkout.NewDecisions()}
	waiter := other.Decisions.Expect(order.ID)
	defer waiter.Leave()
	var prints []ledger.Print
	for print, err := range r.ledger.Decided(t.Context(), sale, 0) {
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, print)
	}
	if !other.HearPrints(sale, prints) {
		t.Error("nobody seems to wait")
	}
	if err := other.CatchUp(t.Context(), sale, prints[1].Row); err != nil || reads.prints.Load() != 1 {
		t.Errorf("%d decisions were read, error %v; want the one that is awaited", reads.prints.Load(), err)
	}
	select {
	case <-waiter.Done():
		if got := waiter.Order(); got != order {
			t.Errorf("heard %+v, want %+v", got, order)
		}
	default:
		t.Error("who waits has heard nothing")
	}
}

// doubtful is a ledger of a sale that is taken for lost.
type doubtful struct{ ledger.Claims }

func (doubtful) Order(context.Context, shop.ClaimID) (shop.Order, error) {
	return shop.Order{}, ledger.ErrBehind
}

// The look that finds the sale again comes by here: it must not take its own
// doubt for a proof.
func TestCatchingUpGoesOnWhileASaleIsTakenForLost(t *testing.T) {
	r := open(t, document(5))
	order := r.elsewhere(wish("ann", "k", 1))
	desk := &checkout.Desk{Known: &checkout.Known{}, Claims: doubtful{r.reads}, Decisions: checkout.NewDecisions()}
	waiter := desk.Decisions.Expect(order.ID)
	defer waiter.Leave()
	stand, err := r.ledger.Stand(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	if err := desk.CatchUp(t.Context(), sale, stand.Newest); err != nil || !desk.Known.Claim(order.ID) {
		t.Errorf("got %v, want the claim known and no error", err)
	}
}

func TestWhoWaitsHearsWhatAnotherNodeDecidedAlsoWhenItsWordIsLost(t *testing.T) {
	r := open(t, document(5))
	r.decisive.open.Lock()
	defer r.decisive.open.Unlock()
	hasty := wish("ann", "k", 1)
	hasty.Wait = 0
	id := r.buy(hasty).Order.ID
	heard := make(chan checkout.Answer, 1)
	go func() { heard <- r.buy(wish("ann", "k", 1)) }()
	ticket, ok, err := r.stock.Ticket(t.Context(), shop.Bucket{Sale: sale}, id)
	if err != nil || !ok {
		t.Fatalf("no ticket: %v", err)
	}
	if _, err := r.ledger.Decide(t.Context(), []shop.Ticket{ticket}); err != nil {
		t.Fatal(err)
	}
	r.catchUp() // before he waits, or while he does: either way he hears
	r.catchUp()
	if got := <-heard; got.Order.ID != id || got.Order.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, want the order", got)
	}
}

func TestABuyerAtTheLimitHearsTheOrderThatAnotherNodeDecidedUnderTheKey(t *testing.T) {
	r := open(t, document(5))
	order := r.elsewhere(wish("ann", "k", 2))
	if got := r.buy(wish("ann", "k", 2)); got.Order != order || !got.Repeat {
		t.Errorf("got %+v, want the order %+v", got, order)
	}
	if no := r.refused(wish("ann", "other", 1)); no.Code != shop.LimitReached || len(no.Orders) != 1 {
		t.Errorf("got %+v, want limit_reached under another key", no)
	}
}

func TestAClaimDecidedElsewhereIsARepeatHere(t *testing.T) {
	r := open(t, document(5))
	order := r.elsewhere(wish("ann", "k", 1))
	if got := r.buy(wish("ann", "k", 1)); got.Order != order || !got.Repeat {
		t.Errorf("got %+v, want %+v as a repeat", got, order)
	}
	other := wish("ann", "k", 2)
	if no := r.refused(other); no.Code != shop.KeyReused {
		t.Errorf("got %v, want key_reused", no)
	}
	if stand, err := r.ledger.Stand(t.Context(), sale); err != nil || stand.Items["a"] != (ledger.Balance{Total: 5, Granted: 4, Held: 1}) {
		t.Errorf("the sale stands at %+v, %v", stand.Items, err)
	}
}
