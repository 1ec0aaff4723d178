package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// asked is a stock that counts who is asked for a ticket, with sales whose
// buckets are dead.
type asked struct {
	stock.Counter
	mu   sync.Mutex
	dead map[string]bool
	of   []string // the sales that were asked
}

func (a *asked) Ticket(ctx context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error) {
	a.mu.Lock()
	dead := a.dead[bucket.Sale]
	a.of = append(a.of, bucket.Sale)
	a.mu.Unlock()
	if dead {
		return shop.Ticket{}, false, errLost
	}
	return a.Counter.Ticket(ctx, bucket, claim)
}

func (a *asked) kill(sales ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = map[string]bool{}
	for _, sale := range sales {
		a.dead[sale] = true
	}
}

// times returns how often sales were asked since the last time.
func (a *asked) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.of)
	a.of = nil
	return n
}

const others = 500 // sales beside the one that is bought in

func other(n int) string { return fmt.Sprintf("other-%03d", n) }

// street is a road among many sales, with a pending order of ann's and a clock
// that the test moves.
type street struct {
	*road
	stock *asked
	id    shop.ClaimID
	now   time.Time
}

func openStreet(t *testing.T) *street {
	t.Helper()
	s := &street{road: open(t, document(5)), now: time.Now()}
	s.stock = &asked{Counter: s.road.stock}
	s.desk.Stock, s.desk.Now = s.stock, func() time.Time { return s.now }
	notices := make([]*gate.Notice, others)
	for i := range notices {
		notices[i] = &gate.Notice{Sale: shop.Sale{ID: other(i)}, Phase: shop.Open, Buckets: 1}
	}
	s.board.Post(notices...)
	s.decisive.open.Lock()
	hasty := wish("ann", "k", 1)
	hasty.Wait = 0
	s.id = s.buy(hasty).Order.ID
	return s
}

// elsewhere is the desk of another node, which has heard of nothing.
func (s *street) elsewhere() *checkout.Desk {
	return &checkout.Desk{
		Hasher: s.desk.Hasher, Board: s.board, Known: &checkout.Known{}, Stock: s.stock, Claims: s.reads,
		Decisions: checkout.NewDecisions(), Now: s.desk.Now,
	}
}

// read asks a desk for ann's order and returns its status, or the refusal's
// code, or "fault".
func (s *street) read(desk *checkout.Desk, id shop.ClaimID) string {
	order, err := desk.Order(s.t.Context(), gate.Identity{Buyer: "ann"}, id)
	if no, refused := errors.AsType[shop.Refusal](err); refused {
		return string(no.Code)
	}
	if err != nil {
		return "fault"
	}
	return order.Status.String()
}

func (s *street) wants(what string, got, want string, asks int) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %s, want %s", what, got, want)
	}
	if n := s.stock.times(); n != asks {
		s.t.Errorf("%s: %d sales were asked, want %d", what, n, asks)
	}
}

func TestAPendingOrderCostsOneLookAmongManySales(t *testing.T) {
	s := openStreet(t)
	defer s.decisive.open.Unlock()
	s.stock.times()
	s.stock.kill(other(0), other(others-1))
	for range 3 {
		s.wants("where it was asked for", s.read(s.desk, s.id), "pending", 1)
	}
	bound := gate.Identity{Buyer: "ann", Sale: sale}
	if order, err := s.elsewhere().Order(t.Context(), bound, s.id); err != nil || order.Status != shop.Pending {
		t.Errorf("by a token for its sale: got %+v, %v, want it pending", order, err)
	}
	s.wants("by a token for its sale", "", "", 1)
	s.stock.kill(sale)
	s.wants("its own bucket is dead", s.read(s.desk, s.id), "fault", 1)
}

func TestAnyNodeFindsAPendingOrderPastADeadBucket(t *testing.T) {
	s := openStreet(t)
	defer s.decisive.open.Unlock()
	s.stock.kill(other(0), other(others-1))
	desk := s.elsewhere()
	if got := s.read(desk, s.id); got != "pending" {
		t.Errorf("got %s, want pending", got)
	}
	s.stock.times()
	s.wants("once it was found", s.read(desk, s.id), "pending", 1)
}

func TestAnOrderThatSomeBucketMayHaveIsNotMissing(t *testing.T) {
	s := openStreet(t)
	defer s.decisive.open.Unlock()
	desk, nobodys := s.elsewhere(), shop.ClaimID{9}
	s.stock.times()
	s.wants("all answer", s.read(desk, nobodys), "not_found", others+1)
	s.stock.kill(other(7))
	s.wants("one does not", s.read(desk, nobodys), "fault", others+1)
	s.stock.kill(sale)
	s.wants("its own does not", s.read(desk, s.id), "fault", others+1)
}

// Decided while the stock was asked: the ledger has the last word, whoever is
// dead.
func TestADecidedOrderIsReadWhateverIsDead(t *testing.T) {
	s := openStreet(t)
	s.decisive.open.Unlock()
	s.settled()
	s.stock.times()
	s.stock.kill(sale)
	s.wants("decided", s.read(s.elsewhere(), s.id), "awaiting_payment", 0)
}

func TestMadeUpIdsKeepNoBucketBusy(t *testing.T) {
	s := openStreet(t)
	defer s.decisive.open.Unlock()
	desk := s.elsewhere()
	s.stock.times()
	found, busy := 0, 0
	for n := range 100 {
		switch got := s.read(desk, shop.ClaimID{1, byte(n)}); got {
		case "not_found":
			found++
		case "unavailable":
			busy++
		default:
			t.Fatalf("got %s", got)
		}
	}
	if n := s.stock.times(); found == 0 || busy == 0 || n > 10_000 {
		t.Errorf("%d not found, %d told to ask again, %d looks; want some of each and at most 10,000", found, busy, n)
	}
	s.now = s.now.Add(time.Second)
	if got := s.read(desk, s.id); got != "pending" {
		t.Errorf("a second later: got %s, want the pending order", got)
	}
}

func TestSalesThatAreOverAreNotAsked(t *testing.T) {
	s := openStreet(t)
	desk, nobodys := s.elsewhere(), shop.ClaimID{9}
	s.move(shop.VerbClose)
	s.stock.times()
	s.wants("closed", s.read(desk, nobodys), "not_found", others+1)
	if got := s.read(s.elsewhere(), s.id); got != "pending" {
		t.Errorf("the order of a closed sale: got %s, want pending", got)
	}
	s.decisive.open.Unlock()
	s.stock.times()
	past := &gate.Notice{Sale: shop.Sale{ID: other(0)}, Phase: shop.Closed, Over: true, Buckets: 1}
	s.board.Post(past)
	s.wants("one is over", s.read(desk, nobodys), "not_found", others)
}
