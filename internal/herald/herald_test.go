package herald_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/supply"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sale = "retro"

// town is a ledger and a stock, with a herald between them and the board.
type town struct {
	t      *testing.T
	passed atomic.Int64 // nanoseconds since noon
	ledger *sqlite.Ledger
	sales  *fickle
	board  *gate.Board
	herald *herald.Herald
}

func noon() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) }

func (town *town) now() time.Time       { return noon().Add(time.Duration(town.passed.Load())) }
func (town *town) ticks() time.Duration { return time.Duration(town.passed.Load()) }

type booksales ledger.Sales // a field of the name Sales would hide the method

// fickle is a ledger that cannot be asked for its sales when it is told so.
type fickle struct {
	booksales
	broken atomic.Bool
}

func (f *fickle) Flip(ctx context.Context, heldBack []string) ([]string, error) {
	if f.broken.Load() {
		return nil, errors.New("the ledger is not there")
	}
	return f.booksales.Flip(ctx, heldBack)
}

func open(t *testing.T) *town {
	t.Helper()
	town := &town{t: t}
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: town.now, Ticks: town.ticks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	town.ledger, town.sales = books, &fickle{booksales: books}
	town.start()
	return town
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start begins with an empty stock and an empty board, as a process does.
func (town *town) start() {
	log := quiet()
	stock := memory.NewStock(town.now, memory.NewQueue(time.Minute, town.now))
	supplier := &supply.Supplier{Ledger: town.ledger, Sales: town.ledger, Stock: stock, Log: log}
	town.board = gate.NewBoard()
	town.herald = &herald.Herald{
		Sales: town.sales, Supply: town.ledger, Stock: stock, Board: town.board, Clock: town.ledger.Clock(),
		Tend: supplier.Tend, Log: log,
	}
}

func document(opens, closes time.Time) shop.Sale {
	return shop.Sale{
		ID: sale, Title: "Retro", OpensAt: opens, ClosesAt: closes, Hold: time.Minute, LimitPerBuyer: 2,
		Challenge: "never", Early: "normal",
		Items: []shop.Item{
			{SKU: "a", Title: "A", Stock: 10, Price: shop.Money{Amount: 100, Currency: "EUR"}},
			{SKU: "none", Title: "None", Stock: 0, Price: shop.Money{Amount: 100, Currency: "EUR"}},
		},
	}
}

func (town *town) publish(doc shop.Sale) {
	town.t.Helper()
	if _, err := town.ledger.Publish(town.t.Context(), doc); err != nil {
		town.t.Fatal(err)
	}
}

func (town *town) round(full bool) { town.herald.Round(town.t.Context(), full) }

// shows wants the board to refuse every ask with the code, or none.
func (town *town) shows(when string, want shop.Code) *gate.Notice {
	town.t.Helper()
	notice, ok := town.board.Notice(sale)
	if !ok {
		town.t.Fatalf("%s: there is no notice", when)
	}
	var got shop.Code
	if notice.No != nil {
		got = notice.No.Code
	}
	if got != want {
		town.t.Errorf("%s: the board says %q, want %q", when, got, want)
	}
	return notice
}

func TestAHaltedSaleStaysHaltedWhateverHappens(t *testing.T) {
	town := open(t)
	doc := document(noon().Add(-time.Hour), time.Time{})
	town.publish(doc)
	town.round(true)
	town.shows("before", "")
	town.herald.Halt(sale, "the books do not balance")
	town.round(false)
	town.shows("halted", shop.Unavailable)
	for _, verb := range []shop.Verb{shop.VerbPause, shop.VerbResume} {
		if _, err := town.ledger.Move(t.Context(), sale, verb); err != nil {
			t.Fatal(err)
		}
		town.herald.Renew(sale)
		town.round(false)
	}
	doc.Items[0].Stock++
	town.publish(doc)
	town.herald.Touch(sale)
	town.round(false)
	town.round(true)
	if notice := town.shows("after all that", shop.Unavailable); notice.Supplied || notice.Halted == "" {
		t.Errorf("got %+v, want a notice that says why it sells nothing", notice)
	}
}

func TestAHaltedSaleDoesNotOpen(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(time.Hour), time.Time{}))
	town.herald.Halt(sale, "the books do not balance")
	town.passed.Store(int64(2 * time.Hour))
	town.round(true)
	if notice := town.shows("after its time", shop.NotOpen); notice.Phase != shop.Scheduled || notice.Supplied {
		t.Errorf("got %s, supplied %v", notice.Phase, notice.Supplied)
	}
}

// Whoever renews one sale must not leave another, flipped on the way, unseen.
func TestASaleThatFlipsInAnotherOnesRoundIsPosted(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(time.Hour), time.Time{}))
	town.round(true)
	town.shows("before", shop.NotOpen)
	town.passed.Store(int64(time.Hour))
	town.herald.Renew("another")
	town.round(false)
	town.shows("at its time", "")
}

func TestWhatCouldNotBeLookedAtIsLookedAtNextTime(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	town.round(true)
	if _, err := town.ledger.Move(t.Context(), sale, shop.VerbPause); err != nil {
		t.Fatal(err)
	}
	town.sales.broken.Store(true)
	town.herald.Renew(sale)
	town.round(false)
	town.sales.broken.Store(false)
	town.round(false)
	town.shows("after the ledger came back", shop.SalePaused)
}

func TestAPhaseIsNotLateBehindARound(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(300*time.Millisecond), time.Time{}))
	town.herald.Renew(sale)
	if next := town.herald.Round(t.Context(), false); next != 300*time.Millisecond {
		t.Errorf("the next look is due in %s, want when the sale opens", next)
	}
}

func TestOneItemSoldOutForGoodDoesNotEndTheSale(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	town.round(true)
	notice := town.shows("one item is left", "")
	if no := notice.Items[1].No; no == nil || no.Code != shop.SoldOut || no.MayReturn {
		t.Errorf("an item without stock: got %+v, want a final sold_out", no)
	}
	bucket := shop.Bucket{Sale: sale}
	for i := range 5 {
		ticket := shop.Ticket{Claim: shop.ClaimID{byte(i + 1)}, Bucket: bucket, Epoch: 1, Seq: int64(i), Buyer: string(rune('a' + i)), SKU: "a", Quantity: 2}
		if _, err := town.ledger.Decide(t.Context(), []shop.Ticket{ticket}); err != nil {
			t.Fatal(err)
		}
	}
	town.start() // the stock of before still believed in its units
	town.round(true)
	notice = town.shows("all are held of one item, and the other never had any", "")
	if no := notice.Items[0].No; no == nil || no.Code != shop.SoldOut || !no.MayReturn {
		t.Errorf("an item whose units are held: got %+v, want a sold_out that may return", no)
	}
	if no := notice.Items[1].No; no == nil || no.Code != shop.SoldOut || no.MayReturn {
		t.Errorf("an item without stock: got %+v, want a final sold_out", no)
	}
	for i := range 5 {
		if _, err := town.ledger.Pay(t.Context(), ledger.Payment{Order: shop.ClaimID{byte(i + 1)}, Reference: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	town.herald.Touch(sale)
	town.round(false)
	if notice := town.shows("all are paid", shop.SoldOut); notice.No.MayReturn || notice.No.AsOf != notice.AsOf {
		t.Errorf("got %+v, want a final sold_out", notice.No)
	}
}

// A closed sale costs a start nothing: no epoch, no grants.
func TestAClosedSaleIsNotSuppliedAgainAtAStart(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), noon().Add(time.Hour)))
	town.round(true)
	town.passed.Store(int64(2 * time.Hour))
	town.round(true)
	before := town.shows("after its time", shop.SaleClosed)
	town.start()
	town.round(true)
	after := town.shows("after a start", shop.SaleClosed)
	if after.AsOf != before.AsOf || !after.Supplied || after.Items[0].Free != 10 || after.Items[0].State != gate.Available {
		t.Errorf("got %+v, want what the board said before the start, %+v", after, before)
	}
}
