package herald_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/supply"
)

// torn is a stock of which some buckets cannot be reached.
type torn struct {
	stock.Supply
	lost map[int]bool
}

var errLost = errors.New("nobody answers")

func (s *torn) Shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	if s.lost[bucket.Number] {
		return stock.Shelf{}, errLost
	}
	return s.Supply.Shelf(ctx, bucket)
}

func (s *torn) ApplyGrant(ctx context.Context, bucket shop.Bucket, epoch int64, grant stock.Grant) error {
	if s.lost[bucket.Number] {
		return errLost
	}
	return s.Supply.ApplyGrant(ctx, bucket, epoch, grant)
}

// openParts is a town whose stock has three parts, which may be lost.
func openParts(t *testing.T) (*town, *torn, *memory.Stock) {
	t.Helper()
	town := &town{t: t}
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: town.now, Ticks: town.ticks, Buckets: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	town.ledger, town.sales = books, &fickle{booksales: books}
	whole := memory.NewStock(town.now, memory.NewQueue(time.Minute, town.now))
	parts := &torn{Supply: whole, lost: map[int]bool{}}
	supplier := &supply.Supplier{Ledger: books, Sales: books, Stock: parts, Log: quiet()}
	town.board = gate.NewBoard()
	town.herald = &herald.Herald{
		Sales: town.sales, Supply: books, Stock: parts, Board: town.board, Clock: books.Clock(), Tend: supplier.Tend, Log: quiet(),
	}
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	for range 6 {
		town.round(true)
	}
	return town, parts, whole
}

func TestALostBucketLeavesTheOthersSelling(t *testing.T) {
	town, parts, _ := openParts(t)
	before := town.shows("whole", "")
	parts.lost[1] = true
	town.round(true)
	notice := town.shows("one of three is lost", "")
	if !notice.Supplied || notice.Items[0].Free != before.Items[0].Free || notice.Buckets != 3 {
		t.Errorf("got %+v, want what it was: the lost bucket has its grant", notice)
	}
	parts.lost[0], parts.lost[2] = true, true
	town.round(true)
	if notice := town.shows("all are lost", shop.Unavailable); notice.Supplied || notice.AsOf != before.AsOf {
		t.Errorf("got %+v, want a sale that cannot sell, as of %d", notice, before.AsOf)
	}
	clear(parts.lost)
	town.round(true)
	town.shows("all are back", "")
}

func TestABucketThatMissesAGrantWhileItIsLostIsNotSupplied(t *testing.T) {
	town, parts, _ := openParts(t)
	parts.lost[1] = true
	doc := document(noon().Add(-time.Hour), time.Time{})
	doc.Items[0].Stock = 1000
	town.publish(doc)
	stand, err := town.ledger.Stand(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	row := stand.Buckets[1]
	if _, err := town.ledger.Grant(t.Context(), shop.Bucket{Sale: sale, Number: 1}, row.Epoch, ledger.Grant{SKU: "a", Quantity: 10}); err != nil {
		t.Fatal(err)
	}
	town.herald.Touch(sale)
	town.round(true)
	if notice := town.shows("a grant waits", ""); notice.Supplied {
		t.Error("a bucket that lacks a grant counts as supplied")
	}
	clear(parts.lost)
	town.round(true)
	if notice := town.shows("the grant has come", ""); !notice.Supplied {
		t.Error("not supplied after the bucket came back")
	}
}

// Whoever supplies may die between the ledger's grant and the stock's.
func TestUnitsOnTheirWayToTheStockAreNotSoldOut(t *testing.T) {
	town, _, _ := openParts(t)
	doc := document(noon().Add(-time.Hour), time.Time{})
	doc.Items[0].Stock = 1000
	town.publish(doc)
	town.round(true)
	before := town.shows("as it was", "").Items[0].Free
	town.herald.Tend = nil
	stand, err := town.ledger.Stand(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	row, all := stand.Buckets[1], stand.Items["a"].Pool
	if _, err := town.ledger.Grant(t.Context(), shop.Bucket{Sale: sale, Number: 1}, row.Epoch, ledger.Grant{SKU: "a", Quantity: all}); err != nil || all == 0 {
		t.Fatalf("grant of %d: %v", all, err)
	}
	town.round(true)
	if notice := town.shows("a grant is on its way", ""); notice.Supplied || notice.Items[0].Free != before {
		t.Errorf("%d are free, supplied %v; want %d that are not here yet", notice.Items[0].Free, notice.Supplied, before)
	}
}

func TestALedgerBehindTheStocksMarkHaltsTheSale(t *testing.T) {
	town, _, whole := openParts(t)
	town.herald.Tend = nil // also where another node supplies
	bucket := shop.Bucket{Sale: sale, Number: 2}
	ahead := stock.Settlement{Ticket: shop.Ticket{Claim: shop.ClaimID{1}, Bucket: bucket}, Mark: 1 << 40}
	if err := whole.Settle(t.Context(), bucket, []stock.Settlement{ahead}); err != nil {
		t.Fatal(err)
	}
	town.round(true)
	notice := town.shows("the stock has heard more", shop.Unavailable)
	if !strings.Contains(notice.Halted, ledger.ErrBehind.Error()) {
		t.Errorf("halted because %q, want %q", notice.Halted, ledger.ErrBehind)
	}
}

// older is a ledger restored from a backup.
type older struct {
	ledger.Supply
	by int64
}

func (o *older) Stand(ctx context.Context, sale string) (ledger.Stand, error) {
	stand, err := o.Supply.Stand(ctx, sale)
	stand.AsOf -= o.by
	return stand, err
}

func TestALedgerThatGoesBackHaltsTheSaleUntilItIsBack(t *testing.T) {
	town, _, _ := openParts(t)
	backup := &older{Supply: town.ledger}
	town.herald.Supply = backup
	town.round(true)
	town.shows("as it was", "")
	backup.by = 1
	town.round(true)
	if notice := town.shows("restored from a backup", shop.Unavailable); !strings.Contains(notice.Halted, ledger.ErrBehind.Error()) {
		t.Errorf("halted because %q", notice.Halted)
	}
	town.round(true)
	town.shows("still", shop.Unavailable)
	backup.by = 0
	town.round(true)
	town.shows("restored from the newest", "")
}

// versioned is a ledger that tells when a sale changed.
type versioned struct {
	booksales
	version int64
}

func (v *versioned) Sales(ctx context.Context) ([]ledger.Listing, error) {
	all, err := v.booksales.Sales(ctx)
	for i := range all {
		all[i].Version = v.version
	}
	return all, err
}

func TestAChangedVersionIsLookedAtInTheRoundsThatFollow(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	told := &versioned{booksales: town.ledger, version: 1}
	looks := 0
	town.herald.Sales, town.herald.Told = told, true
	town.herald.Tend = nil
	town.herald.CatchUp = func(context.Context, string, int64) error { looks++; return nil }
	count := func(when string, want int) {
		t.Helper()
		looks = 0
		town.passed.Add(int64(time.Second))
		town.round(true)
		if looks != want {
			t.Errorf("%s: %d looks, want %d", when, looks, want)
		}
	}
	supplier := &supply.Supplier{Ledger: town.ledger, Sales: town.ledger, Stock: town.herald.Stock, Log: quiet()}
	if err := supplier.Tend(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	count("at first", 1)
	count("a moment later", 1)
	count("and once more", 1)
	count("then it rests", 0)
	told.version++
	count("another node moved units", 1)
	count("its stock hears a moment later", 1)
	count("and once more", 1)
	count("then it rests", 0)
	told.version = 0
	town.herald.Watch = 3
	count("it is the only one to be watched", 1)
}

func TestALedgerThatDoesNotAnswerIsTold(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	town.round(true)
	if why := town.herald.Deaf(); why != "" {
		t.Errorf("deaf because %q", why)
	}
	town.sales.broken.Store(true)
	town.round(true)
	if why := town.herald.Deaf(); why == "" {
		t.Error("the ledger is gone, and nobody is told")
	}
	town.sales.broken.Store(false)
	town.round(true)
	if why := town.herald.Deaf(); why != "" {
		t.Errorf("still deaf because %q", why)
	}
}

func TestSalesAreWatchedInTurn(t *testing.T) {
	town := open(t)
	looks := map[string]int{}
	for _, id := range []string{"ant", "bee", "cow", "dog"} {
		doc := document(noon().Add(-time.Hour), time.Time{})
		doc.ID = id
		town.publish(doc)
	}
	supplier := &supply.Supplier{Ledger: town.ledger, Sales: town.ledger, Stock: town.herald.Stock, Log: quiet()}
	town.herald.Told, town.herald.Watch, town.herald.Tend = true, 2, supplier.Tend
	town.round(true)
	town.herald.CatchUp = func(_ context.Context, sale string, _ int64) error { looks[sale]++; return nil }
	for range 6 {
		town.passed.Add(int64(time.Second))
		town.round(true)
	}
	for id, n := range looks {
		if n != 3 {
			t.Errorf("%s was looked at %d times in 6 rounds of 2, want 3 of all four: %v", id, n, looks)
		}
	}
	if len(looks) != 4 {
		t.Errorf("looked at %v", looks)
	}
}
