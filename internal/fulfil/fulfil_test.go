package fulfil_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sale  = "retro"
	ghost = "ghost" // an SKU that the stock has and the ledger has not
	units = 200
)

//nolint:gochecknoglobals // constants of this test
var (
	bucket  = shop.Bucket{Sale: sale}
	haunted = shop.Bucket{Sale: "haunted"} // of a sale that the stock has and the ledger has not
)

// faulty is a ledger that fails when it is told to.
type faulty struct {
	ledger.Claims
	fault atomic.Pointer[func(tickets []shop.Ticket) error]
	calls atomic.Int64
}

func (f *faulty) Decide(ctx context.Context, tickets []shop.Ticket) ([]ledger.Decision, error) {
	f.calls.Add(1)
	if fault := f.fault.Load(); fault != nil {
		if err := (*fault)(tickets); err != nil {
			return nil, err
		}
	}
	return f.Claims.Decide(ctx, tickets)
}

func (f *faulty) fail(fault func(tickets []shop.Ticket) error) { f.fault.Store(&fault) }

// half is the shop's half of a sale: a stock with granted units, a queue, a
// ledger, and a worker that nobody runs yet.
type half struct {
	t       *testing.T
	ledger  *sqlite.Ledger
	faulty  *faulty
	stock   *memory.Stock
	queue   *memory.Queue
	board   *gate.Board
	worker  *fulfil.Worker
	decided chan ledger.Decision
}

func open(t *testing.T) *half {
	t.Helper()
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &half{
		t: t, ledger: books, faulty: &faulty{Claims: books}, queue: memory.NewQueue(time.Minute, time.Now),
		board: gate.NewBoard(), decided: make(chan ledger.Decision, 10*units),
	}
	h.stock = memory.NewStock(time.Now, h.queue)
	h.worker = &fulfil.Worker{
		Queue: h.queue, Ledger: h.faulty, Stock: h.stock, Board: h.board, Log: slog.New(slog.DiscardHandler),
		Decided: func(decisions []ledger.Decision) {
			for _, d := range decisions {
				h.decided <- d
			}
		},
	}
	h.supply()
	return h
}

func (h *half) supply() {
	h.t.Helper()
	doc := shop.Sale{
		ID: sale, Title: "Retro", OpensAt: time.Now().Add(-time.Hour).UTC(), Hold: time.Minute, LimitPerBuyer: 2,
		Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: units, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
	if _, err := h.ledger.Publish(h.t.Context(), doc); err != nil {
		h.t.Fatal(err)
	}
	epoch, err := h.ledger.Bump(h.t.Context(), bucket, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	grant, err := h.ledger.Grant(h.t.Context(), bucket, epoch, ledger.Grant{SKU: "a", Quantity: units})
	if err != nil {
		h.t.Fatal(err)
	}
	h.stocked(bucket, epoch, stock.Grant(grant), stock.Grant{Number: grant.Number + 1, SKU: ghost, Quantity: units})
	h.stocked(haunted, 1, stock.Grant{Number: 1, SKU: "a", Quantity: units})
}

// stocked begins a bucket of the stock.
func (h *half) stocked(bucket shop.Bucket, epoch int64, grants ...stock.Grant) {
	h.t.Helper()
	if err := h.stock.Start(h.t.Context(), bucket, epoch); err != nil {
		h.t.Fatal(err)
	}
	for _, g := range grants {
		if err := h.stock.ApplyGrant(h.t.Context(), bucket, epoch, g); err != nil {
			h.t.Fatal(err)
		}
	}
}

// take reserves one unit and returns its ticket.
func (h *half) take(buyer, sku string) shop.Ticket {
	h.t.Helper()
	return h.takeFrom(bucket, buyer, sku)
}

func (h *half) takeFrom(bucket shop.Bucket, buyer, sku string) shop.Ticket {
	h.t.Helper()
	ask := stock.Ask{Nonce: 1, Buyer: buyer, SKU: sku, Quantity: 1, Limit: 2, Live: stock.LiveUnknown}
	copy(ask.Claim[:], buyer+"--------------------------------")
	answers, err := h.stock.Reserve(h.t.Context(), bucket, []stock.Ask{ask}, nil)
	if err != nil || answers[0].Outcome != stock.Pending {
		h.t.Fatalf("reserve: %+v, %v", answers, err)
	}
	return answers[0].Ticket
}

// run runs walkers until the test ends.
func (h *half) run(walkers ...interface{ Run(context.Context) error }) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for _, w := range walkers {
		wait.Go(func() { _ = w.Run(ctx) })
	}
	h.t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
}

// buyers waits for so many decisions and returns who they are of.
func (h *half) buyers(n int) map[string]shop.Status {
	h.t.Helper()
	who := map[string]shop.Status{}
	late := time.After(20 * time.Second)
	for len(who) < n {
		select {
		case d := <-h.decided:
			who[d.Order.Buyer] = d.Order.Status
		case <-late:
			h.t.Fatalf("%d buyers have an answer, want %d", len(who), n)
		}
	}
	return who
}

// until polls for what becomes true soon.
func (h *half) until(what string, is func() bool) {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("it does not come about that %s", what)
		}
	}
}

func TestATicketThatNobodyCanDecideStopsNoOther(t *testing.T) {
	h := open(t)
	for i := range 100 {
		h.take(fmt.Sprintf("buyer %03d", i), "a")
		if i%30 == 0 {
			h.takeFrom(haunted, fmt.Sprintf("haunt %03d", i), "a")
		}
	}
	h.faulty.fail(func([]shop.Ticket) error {
		if h.board.Suspended() != nil {
			t.Error("selling is suspended for a ticket that nobody can decide")
		}
		return nil
	})
	h.run(h.worker)
	for buyer, status := range h.buyers(100) {
		if status != shop.AwaitingPayment {
			t.Errorf("%s is %s", buyer, status)
		}
	}
	h.until("the four are put aside", func() bool { return h.worker.Aside() == 4 })
	h.until("the others are settled", func() bool {
		left, err := h.stock.Undecided(t.Context(), bucket, units)
		kept, fault := h.stock.Undecided(t.Context(), haunted, units)
		return err == nil && fault == nil && len(left) == 0 && len(kept) == 4
	})
	h.until("the queue is empty", func() bool {
		depth, err := h.queue.Depth(t.Context())
		return err == nil && depth == 0
	})
	if h.board.Suspended() != nil {
		t.Error("selling is suspended")
	}
}

var errConstraint = errors.New("a constraint of the table refused it")

// The ledger has no name for what is wrong with the ticket; but it takes others.
func TestATicketThatTheLedgerChokesOnIsFoundByHalving(t *testing.T) {
	h := open(t)
	var worst []shop.ClaimID
	for i := range 64 {
		ticket := h.take(fmt.Sprintf("buyer %03d", i), "a")
		if i == 0 || i == 1 || i == 40 {
			worst = append(worst, ticket.Claim)
		}
	}
	h.faulty.fail(func(tickets []shop.Ticket) error {
		for _, ticket := range tickets {
			for _, claim := range worst {
				if ticket.Claim == claim {
					return errConstraint
				}
			}
		}
		return nil
	})
	h.run(h.worker)
	h.buyers(61)
	h.until("three are put aside", func() bool { return h.worker.Aside() == 3 })
	if got := h.faulty.calls.Load(); got > 60 {
		t.Errorf("%d calls found 3 of 64 tickets, want far fewer than one each", got)
	}
	if h.board.Suspended() != nil {
		t.Error("selling is suspended for three tickets")
	}
}

func TestTheSweeperPassesOverWhatCannotBeDecidedAndComesBackToIt(t *testing.T) {
	h := open(t)
	cursed := h.take("cursed", "a")
	h.take("patient", "a")
	h.faulty.fail(func(tickets []shop.Ticket) error {
		for _, ticket := range tickets {
			if ticket.Claim == cursed.Claim {
				return errConstraint
			}
		}
		return nil
	})
	sweeper := &fulfil.Sweeper{
		Worker: h.worker, Stock: h.stock, Log: slog.New(slog.DiscardHandler),
		Buckets: func() []shop.Bucket { return []shop.Bucket{bucket} },
		Now:     func() time.Time { return time.Now().Add(time.Hour) }, // everything is overdue
	}
	h.run(sweeper) // no worker: the queue brings nothing
	if got := h.buyers(1); got["patient"] != shop.AwaitingPayment {
		t.Fatalf("got %v, want the answer for the one behind the cursed ticket", got)
	}
	h.until("the cursed one is put aside", func() bool { return h.worker.Aside() == 1 })
	h.until("the figures show that a ticket waits", func() bool { return !sweeper.Oldest().IsZero() })
	h.faulty.fail(func([]shop.Ticket) error { return nil })
	if got := h.buyers(1); got["cursed"] != shop.AwaitingPayment {
		t.Errorf("got %v, want the cursed one decided once the ledger takes it", got)
	}
}

func TestSellingStopsWhileAnyBatchIsStuckAndGoesOnAfterTheLast(t *testing.T) {
	h := open(t)
	full := atomic.Bool{}
	full.Store(true)
	first := h.take("stuck 1", "a")
	h.faulty.fail(func(tickets []shop.Ticket) error {
		if tickets[0].Claim == first.Claim && full.Load() {
			return ledger.ErrFull
		}
		return nil
	})
	h.run(h.worker, h.worker)
	h.until("selling is suspended", func() bool { return h.board.Suspended() != nil })
	h.take("other", "a")
	h.buyers(1)
	if h.board.Suspended() == nil {
		t.Error("another worker's luck lets selling go on while a batch is still stuck")
	}
	full.Store(false)
	h.buyers(1)
	h.until("selling goes on", func() bool { return h.board.Suspended() == nil })
}

func TestAnothersSuspensionOutlivesTheWorkers(t *testing.T) {
	h := open(t)
	damage := shop.Refusal{Code: shop.Unavailable, Detail: "damaged"}
	h.board.Suspend(damage)
	h.take("ann", "a")
	h.faulty.fail(func([]shop.Ticket) error {
		if h.faulty.calls.Load() < 3 {
			return ledger.ErrFull
		}
		return nil
	})
	h.run(h.worker)
	h.buyers(1)
	if no := h.board.Suspended(); no == nil || no.Detail != "damaged" {
		t.Errorf("got %+v, want the suspension that stood before", no)
	}
}
