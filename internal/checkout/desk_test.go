package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/supply"
)

const sale = "retro"

// road is everything between a buyer and the ledger, without doors.
type road struct {
	t        *testing.T
	desk     *checkout.Desk
	ledger   *sqlite.Ledger
	stock    *memory.Stock
	herald   *herald.Herald
	decisive *gated // lets the worker decide, or holds it
	reads    *counting
}

// gated holds decisions back while it is closed.
type gated struct {
	ledger.Claims
	open sync.RWMutex
}

func (g *gated) Decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	g.open.RLock()
	defer g.open.RUnlock()
	return g.Claims.Decide(ctx, tickets)
}

// counting counts what buyers cost the ledger.
type counting struct {
	ledger.Claims
	standings, orders atomic.Int64
}

func (c *counting) Standing(ctx context.Context, sale, buyer string) (ledger.Standing, error) {
	c.standings.Add(1)
	return c.Claims.Standing(ctx, sale, buyer)
}

func (c *counting) Order(ctx context.Context, id shop.ClaimID) (shop.Order, error) {
	c.orders.Add(1)
	return c.Claims.Order(ctx, id)
}

// open builds the road for a sale, with a worker and a herald on it.
func open(t *testing.T, doc shop.Sale) *road {
	t.Helper()
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := shop.NewHasher(make([]byte, shop.RootKeyMin))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	queue := memory.NewQueue(time.Minute, time.Now)
	counter := memory.NewStock(time.Now, queue)
	board := gate.NewBoard()
	supplier := &supply.Supplier{Ledger: books, Sales: books, Stock: counter, Log: log}
	crier := &herald.Herald{Sales: books, Supply: books, Stock: counter, Board: board, Clock: books.Clock(), Tend: supplier.Tend, Log: log}
	r := &road{t: t, ledger: books, stock: counter, herald: crier, decisive: &gated{Claims: books}, reads: &counting{Claims: books}}
	var nonces atomic.Uint64
	r.desk = &checkout.Desk{
		Hasher: hasher, Board: board, Known: &checkout.Known{}, Stock: counter, Claims: r.reads,
		Decisions: checkout.NewDecisions(), Standings: checkout.NewStandings(r.reads, time.Now), Buckets: 1,
		Nonce: func() uint64 { return nonces.Add(1) }, GiveBack: books.Cancel,
		Want: func(bucket shop.Bucket, sku string, quantity int64) <-chan struct{} {
			supplier.Want(bucket, sku, quantity)
			return crier.Touch(bucket.Sale)
		},
	}
	worker := &fulfil.Worker{
		Queue: queue, Ledger: r.decisive, Stock: counter, Board: board, Log: log,
		Decided: func(decisions []ledger.Decision) {
			r.desk.Decisions.Announce(decisions)
			crier.Touch(sale)
		},
	}
	if _, err := supplier.Publish(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	crier.Round(t.Context(), true)
	r.run(worker, crier)
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *road) run(walkers ...interface{ Run(context.Context) error }) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for _, w := range walkers {
		wait.Go(func() { _ = w.Run(ctx) })
	}
	r.t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
}

func document(units int64) shop.Sale {
	return shop.Sale{
		ID: sale, Title: "Retro", OpensAt: time.Now().Add(-time.Hour).UTC(), Hold: time.Minute,
		LimitPerBuyer: 2, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: units, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
}

func wish(buyer, key string, quantity int64) checkout.Wish {
	return checkout.Wish{Sale: sale, Buyer: buyer, Key: key, SKU: "a", Quantity: quantity, Wait: 5 * time.Second}
}

func (r *road) buy(w checkout.Wish) checkout.Answer {
	r.t.Helper()
	answer, err := r.desk.Buy(r.t.Context(), w)
	if err != nil {
		r.t.Fatalf("%s wants %d: %v", w.Buyer, w.Quantity, err)
	}
	return answer
}

// refused returns the refusal that a wish meets.
func (r *road) refused(w checkout.Wish) shop.Refusal {
	r.t.Helper()
	answer, err := r.desk.Buy(r.t.Context(), w)
	no, ok := errors.AsType[shop.Refusal](err)
	if !ok {
		r.t.Fatalf("%s wants %d: got %+v, %v, want a refusal", w.Buyer, w.Quantity, answer, err)
	}
	return no
}

func (r *road) move(verb shop.Verb) {
	r.t.Helper()
	if _, err := r.ledger.Move(r.t.Context(), sale, verb); err != nil {
		r.t.Fatal(err)
	}
	<-r.herald.Renew(sale)
}

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
	if _, err := r.desk.Cancel(t.Context(), "ann", order.ID); err != nil {
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
	got, err := r.desk.Order(t.Context(), "ann", answer.Order.ID)
	if err != nil || got.Status != shop.Pending || got.Amount != 100 {
		t.Errorf("got %+v, %v, want the pending order", got, err)
	}
	if _, err := r.desk.Order(t.Context(), "bob", answer.Order.ID); err == nil {
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
	_, err := r.desk.Cancel(r.t.Context(), buyer, id)
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
	if _, err := r.desk.Order(t.Context(), "ann", id); err == nil {
		t.Error("a lost ticket is still shown")
	}
	r.decisive.open.Unlock()
	<-r.herald.Touch(sale)
	if got := r.buy(wish("ann", "k", 1)).Order; got.ID != id || got.Status != shop.AwaitingPayment {
		t.Errorf("got %+v, want order %s", got, id)
	}
}

func TestNobodySeesAnotherBuyersOrder(t *testing.T) {
	r := open(t, document(2))
	id := r.buy(wish("ann", "k", 1)).Order.ID
	if _, err := r.desk.Order(t.Context(), "bob", id); err == nil {
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

func TestACrowdTakesExactlyWhatThereIs(t *testing.T) {
	const units, buyers = 50, 500
	r := open(t, document(units))
	var won, lost atomic.Int64
	var crowd sync.WaitGroup
	for i := range buyers {
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
	if won.Load() != units || lost.Load() != buyers-units {
		t.Errorf("%d won and %d lost, want %d and %d", won.Load(), lost.Load(), units, buyers-units)
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
