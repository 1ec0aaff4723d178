package audit_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// node is what an auditor sees of one: a ledger, a stock and a board, with ten
// units granted of which all are free.
type node struct {
	t       *testing.T
	ledger  *sqlite.Ledger
	stock   *memory.Stock
	board   *gate.Board
	notice  gate.Notice
	auditor *audit.Auditor
	halted  map[string]string
	epoch   int64
}

func start(t *testing.T) *node {
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
	n := &node{t: t, ledger: books, board: gate.NewBoard(), halted: map[string]string{}}
	n.stock = memory.NewStock(time.Now, memory.NewQueue(time.Minute, time.Now))
	n.auditor = &audit.Auditor{
		Books: books, Supply: books, Stock: n.stock, Tickets: n.stock, Board: n.board, Now: time.Now,
		Halt: func(sale, why string) { n.halted[sale] = why }, Log: slog.New(slog.DiscardHandler),
	}
	doc := shop.Sale{
		ID: sale, Title: "Retro", OpensAt: time.Now().UTC(), Hold: time.Minute, LimitPerBuyer: 2, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: 20, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
	if _, err := books.Publish(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	n.notice = gate.Notice{Sale: doc, Phase: shop.Open, Items: []gate.ItemNotice{{SKU: "a", Free: 20}}}
	n.post(func(*gate.Notice) {})
	n.epoch, err = books.Bump(t.Context(), n.bucket(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.stock.Start(t.Context(), n.bucket(), n.epoch); err != nil {
		t.Fatal(err)
	}
	n.apply(n.grant(10))
	return n
}

func (n *node) bucket() shop.Bucket { return shop.Bucket{Sale: sale} }

func (n *node) grant(units int64) ledger.Grant {
	n.t.Helper()
	grant, err := n.ledger.Grant(n.t.Context(), n.bucket(), n.epoch, ledger.Grant{SKU: "a", Quantity: units})
	if err != nil {
		n.t.Fatal(err)
	}
	return grant
}

func (n *node) apply(grant ledger.Grant) {
	n.t.Helper()
	if err := n.stock.ApplyGrant(n.t.Context(), n.bucket(), n.epoch, stock.Grant(grant)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) post(change func(*gate.Notice)) {
	next := n.notice
	next.Items = slices.Clone(next.Items)
	change(&next)
	n.board.Post(&next)
}

func (n *node) broken(want ...string) {
	n.t.Helper()
	results, err := n.auditor.Sale(n.t.Context(), sale)
	if err != nil {
		n.t.Fatal(err)
	}
	var got []string
	for _, result := range results {
		if result.State != audit.Holds {
			got = append(got, result.ID)
		}
	}
	if !slices.Equal(got, want) {
		n.t.Errorf("%v are broken, want %v: %+v", got, want, results)
	}
}

func TestGrantsAndReclaimsOnTheirWayAreNoLeak(t *testing.T) {
	n := start(t)
	n.broken()
	grant := n.grant(5)
	n.broken()
	n.apply(grant)
	n.broken()
	back, err := n.stock.Reclaim(t.Context(), n.bucket(), n.epoch, stock.Reclaim{Number: 1, SKU: "a", Quantity: 3})
	if err != nil {
		t.Fatal(err)
	}
	n.broken() // taken from the stock, not yet in the ledger
	if err := n.ledger.Reclaim(t.Context(), n.bucket(), n.epoch, ledger.Reclaim(back)); err != nil {
		t.Fatal(err)
	}
	n.broken()
}

func TestUnitsThatAreNowhereAreALeak(t *testing.T) {
	n := start(t)
	grant := n.grant(5)
	grant.Quantity = 4
	n.apply(grant)
	n.broken("I5")
}

func TestATicketThatWaitsTooLongIsFoundUnlessTheLedgerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		ask := stock.Ask{Claim: shop.ClaimID{1}, Buyer: "ann", SKU: "a", Quantity: 1, Limit: 2, Live: stock.LiveUnknown}
		if _, err := n.stock.Reserve(t.Context(), n.bucket(), []stock.Ask{ask}, nil); err != nil {
			t.Fatal(err)
		}
		n.broken()
		time.Sleep(31 * time.Second)
		n.broken("I6")
		n.board.Suspend(shop.Refusal{Code: shop.Unavailable})
		n.broken()
		n.board.Resume()
		n.post(func(notice *gate.Notice) { notice.Phase = shop.Closed })
		n.broken("I6", "I7")
	})
}

func TestUnitsThatTheBoardDeniesAreFoundWhenItGoesOnDenyingThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		deny := func(notice *gate.Notice) { notice.Items[0].No = &shop.Refusal{Code: shop.SoldOut} }
		n.post(deny)
		n.broken("I9")
		go func() {
			time.Sleep(time.Second)
			n.post(func(*gate.Notice) {})
		}()
		n.broken() // it was only late
		n.post(func(notice *gate.Notice) { deny(notice); notice.Halted = "by the operator's leave" })
		n.broken()
	})
}

func TestBooksThatDoNotBalanceHaltTheirSaleAtTheNextAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		n.auditor.Books = skewed{n.ledger}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.auditor.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n.halted[sale] == "" || n.auditor.Broken() == 0 {
			t.Errorf("halted %v with %d invariants broken, want the sale halted", n.halted, n.auditor.Broken())
		}
		if _, err := n.auditor.Sale(t.Context(), "nowhere"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound for an unknown sale", err)
		}
	})
}

// skewed is books in which no balance is the sum of its lines.
type skewed struct{ ledger.Books }

func (s skewed) Read(ctx context.Context, see func(ledger.View) error) error {
	return s.Books.Read(ctx, func(view ledger.View) error { return see(skewedView{view}) })
}

type skewedView struct{ ledger.View }

// Balances yields one unit more in every account than there is.
func (v skewedView) Balances(ctx context.Context) iter.Seq2[ledger.AccountBalance, error] {
	return func(yield func(ledger.AccountBalance, error) bool) {
		for balance, err := range v.View.Balances(ctx) {
			balance.Units++
			if !yield(balance, err) {
				return
			}
		}
	}
}
