package cashier_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/expiry"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/sandbox"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func sale() shop.Sale {
	return shop.Sale{
		ID: "retro-85", Hold: 2 * time.Minute, LimitPerBuyer: 2, PageURL: "https://brand.example/drop",
		Items: []shop.Item{
			{SKU: "eu-42", Stock: 3, Price: shop.Money{Amount: 12900, Currency: "EUR"}},
			{SKU: "free", Stock: 3, Price: shop.Money{Currency: "EUR"}},
		},
	}
}

// books is a ledger that a town can live with.
type books interface {
	ledger.Claims
	ledger.Orders
	ledger.Holds
	Buy(sale, sku, buyer string) (shop.Order, error)
	Fail(err error)
	Broken(taken []string) []string
}

// town is a shop and its payment provider with a bad line between them, in a
// bubble of synctest; or one of two nodes of a shop.
type town struct {
	twin    *town  // the other node, over the same ledger; nil: there is none
	name    string // tells the references of two nodes apart
	ledger  books
	clock   *ledger.Clock
	cashier *cashier.Cashier
	expirer *expiry.Expirer
	folder  string

	mu      sync.Mutex
	chance  *rand.Rand // of changeable weather
	weather weather
	calls   []paymentstest.Call
	counted map[cashier.Outcome]int
	moved   int
	names   atomic.Int64

	atomic.Pointer[sandbox.Provider] // the one that runs now
	halt                             func()
	stop                             func()
}

// weather is what becomes of what goes over the line.
type weather int

const (
	fair    weather = iota // all arrives
	mixed                  // some is lost, some comes twice
	oneWay                 // events are lost; the provider answers when asked
	cut                    // nothing arrives
	seasons                // how many there are
)

var errLine = errors.New("the line is dead")

func (w *town) Start(ctx context.Context, order shop.Order, returnTo string) (string, error) {
	return w.Load().Start(ctx, order, returnTo)
}

func (w *town) End(ctx context.Context, id shop.ClaimID) error { return w.Load().End(ctx, id) }

func (w *town) Event(header http.Header, body []byte) (payments.Event, error) {
	return w.Load().Event(header, body)
}

// Paid fails now and then, as a provider's API does.
func (w *town) Paid(ctx context.Context, id shop.ClaimID) (payments.Charge, bool, error) {
	if w.luck(oneWay) == 0 {
		return payments.Charge{}, false, errLine
	}
	return w.Load().Paid(ctx, id)
}

// luck is 0 … 3, the best in fair weather and in one that does no harm.
func (w *town) luck(harmless weather) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.weather == fair || w.weather == harmless {
		return 3
	}
	if w.weather == mixed {
		return w.chance.IntN(4)
	}
	return 0
}

func (w *town) turn(to weather) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.weather = to
}

// RoundTrip is the line from the provider to the shop: it loses events, or
// the answers to them, or brings them twice.
func (w *town) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	call := paymentstest.Call{Header: r.Header.Clone(), Body: body}
	w.mu.Lock()
	w.calls = append(w.calls, call)
	w.mu.Unlock()
	switch w.luck(fair) {
	case 0:
		return nil, errLine
	case 1:
		w.post(call)
		return nil, errLine
	case 2:
		w.post(call)
	}
	return w.post(call).Result(), nil
}

func (w *town) post(call paymentstest.Call) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/payments/sandbox/events", strings.NewReader(string(call.Body)))
	request.Header = call.Header.Clone()
	recorder := httptest.NewRecorder()
	w.cashier.Callback().ServeHTTP(recorder, request)
	return recorder
}

// newTown builds a town over a ledger in memory.
func newTown(t *testing.T) *town {
	t.Helper()
	begin := time.Now()
	clock := ledger.NewClock(time.Now, func() time.Duration { return time.Since(begin) }, time.Time{})
	kept, err := paymentstest.NewLedger(sale(), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return townOver(t, kept, clock)
}

// newTwins builds two towns over one ledger in memory.
func newTwins(t *testing.T) (here, there *town) {
	t.Helper()
	here = newTown(t)
	there = townOver(t, here.ledger, here.clock)
	here.twin, there.twin, there.name = there, here, "there"
	return here, there
}

// at returns the node at which the n-th thing happens.
func (w *town) at(n int) *town {
	if w.twin != nil && n%2 == 1 {
		return w.twin
	}
	return w
}

// nodes are all that serve the shop.
func (w *town) nodes() []*town {
	if w.twin != nil {
		return []*town{w, w.twin}
	}
	return []*town{w}
}

func townOver(t *testing.T, kept books, clock *ledger.Clock) *town {
	t.Helper()
	w := &town{ledger: kept, clock: clock, folder: t.TempDir(), halt: func() {}, counted: map[cashier.Outcome]int{}}
	board := gate.NewBoard()
	board.Post(&gate.Notice{Sale: sale()})
	quiet := slog.New(slog.DiscardHandler)
	w.cashier = &cashier.Cashier{
		Provider: w, Orders: w.ledger, Claims: w.ledger, Board: board, Now: w.clock.Now, Log: quiet,
		Moved: func(shop.Order) { w.mu.Lock(); w.moved++; w.mu.Unlock() },
		Count: func(outcome cashier.Outcome) { w.mu.Lock(); w.counted[outcome]++; w.mu.Unlock() },
	}
	w.expirer = &expiry.Expirer{Holds: w.ledger, Orders: w.ledger, Provider: w, Clock: w.clock, Log: quiet}
	w.reopen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.expirer.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("expirer: %v", err)
		}
		w.halt()
	}
	return w
}

// reopen ends the provider and starts it again on its folder.
func (w *town) reopen(t *testing.T) {
	t.Helper()
	w.halt()
	p, err := sandbox.Open(sandbox.Config{
		Folder: w.folder, Keys: []gate.Secret{gate.NewSecret([]byte(strings.Repeat("k", 32)))},
		Callback: "http://shop.test/events", Client: &http.Client{Transport: w}, Now: w.clock.Now,
		Random: func() string { return w.name + strconv.FormatInt(w.names.Add(1), 10) },
		Order:  w.cashier.Order, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.Store(p)
	go func() { done <- p.Run(ctx) }()
	w.halt = func() {
		cancel()
		if err := errors.Join(<-done, p.Close()); err != nil {
			t.Errorf("provider: %v", err)
		}
	}
}

// press presses a button of a payment page, and returns where it leads.
func (w *town) press(address, button string) string {
	recorder := httptest.NewRecorder()
	w.Load().Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, address+"/"+button, http.NoBody))
	return recorder.Header().Get("Location")
}

// buy returns an order of the buyer.
func (w *town) buy(t *testing.T, sku, buyer string) shop.Order {
	t.Helper()
	order, err := w.ledger.Buy("retro-85", sku, buyer)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func (w *town) count(outcome cashier.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counted[outcome]
}

// status returns the order's status once nothing is under way.
func (w *town) status(t *testing.T, id shop.ClaimID) shop.Status {
	t.Helper()
	synctest.Wait()
	order, err := w.ledger.Order(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return order.Status
}

// visit plays in a bubble.
func visit(t *testing.T, play func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		defer w.stop()
		play(t, w)
	})
}
