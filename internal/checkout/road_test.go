package checkout_test

import (
	"context"
	"errors"
	"iter"
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
	"github.com/doorbuster/doorbuster/internal/supply"
)

const sale = "retro"

// road is everything between a buyer and the ledger, without doors.
type road struct {
	t        *testing.T
	desk     *checkout.Desk
	ledger   *sqlite.Ledger
	stock    *memory.Stock
	board    *gate.Board
	herald   *herald.Herald
	decisive *gated // lets the worker decide, or holds it
	reads    *counting
	keys     atomic.Int64
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
	standings, orders, prints atomic.Int64
}

func (c *counting) Standing(ctx context.Context, sale, buyer string) (ledger.Standing, error) {
	c.standings.Add(1)
	return c.Claims.Standing(ctx, sale, buyer)
}

func (c *counting) Decided(ctx context.Context, sale string, after int64) iter.Seq2[ledger.Print, error] {
	return func(yield func(ledger.Print, error) bool) {
		for print, err := range c.Claims.Decided(ctx, sale, after) {
			c.prints.Add(1)
			if !yield(print, err) {
				return
			}
		}
	}
}

func (c *counting) Order(ctx context.Context, id shop.ClaimID) (shop.Order, error) {
	c.orders.Add(1)
	return c.Claims.Order(ctx, id)
}

// open builds the road for a sale of one bucket, with a worker and a herald on
// it.
func open(t *testing.T, doc shop.Sale) *road {
	t.Helper()
	return openBuckets(t, doc, 1)
}

func openBuckets(t *testing.T, doc shop.Sale, buckets int) *road {
	t.Helper()
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now, Buckets: buckets})
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
	r := &road{t: t, ledger: books, stock: counter, board: board, herald: crier, decisive: &gated{Claims: books}, reads: &counting{Claims: books}}
	var nonces atomic.Uint64
	r.desk = &checkout.Desk{
		Hasher: hasher, Board: board, Known: &checkout.Known{}, Stock: counter, Claims: r.reads,
		Decisions: checkout.NewDecisions(), Standings: checkout.NewStandings(r.reads, time.Now),
		Nonce: func() uint64 { return nonces.Add(1) }, Now: time.Now, GiveBack: books.Cancel,
		Want: func(bucket shop.Bucket, sku string, quantity int64) <-chan struct{} {
			supplier.Want(bucket, sku, quantity)
			return crier.Touch(bucket.Sale)
		},
	}
	crier.CatchUp = r.desk.CatchUp // as a node among several does: some tests decide elsewhere
	worker := &fulfil.Worker{
		Queue: queue, Ledger: r.decisive, Stock: counter, Board: board, Log: log,
		Decided: func(decisions []ledger.Decision) {
			r.desk.Hear(decisions)
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
