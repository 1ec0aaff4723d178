package herald_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// lost wants the board to have halted the sale because the ledger is old.
func (town *town) lost(when string) {
	town.t.Helper()
	notice := town.shows(when, shop.Unavailable)
	if !notice.Lost || !town.board.Lost(sale) || !town.board.Lost("") || !strings.Contains(notice.Halted, ledger.ErrBehind.Error()) {
		town.t.Errorf("%s: lost %v because %q, want %q", when, notice.Lost, notice.Halted, ledger.ErrBehind)
	}
}

func (town *town) found(when string) {
	town.t.Helper()
	if notice := town.shows(when, ""); notice.Lost || town.board.Lost(sale) || town.board.Lost("") {
		town.t.Errorf("%s: it is still taken for lost", when)
	}
}

func TestAStockOfALaterEpochOrGrantHaltsTheSaleAtEveryNode(t *testing.T) {
	town, parts, whole := openParts(t)
	town.herald.Tend = nil // another node supplies
	bucket := shop.Bucket{Sale: sale, Number: 1}
	shelf, err := whole.Shelf(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	grant := stock.Grant{Number: shelf.LastGrant + 1, SKU: "a", Quantity: 1}
	if err := whole.ApplyGrant(t.Context(), bucket, shelf.Epoch, grant); err != nil {
		t.Fatal(err)
	}
	town.round(true)
	town.lost("a grant that the ledger never made")
	if err := whole.Start(t.Context(), bucket, shelf.Epoch+1); err != nil {
		t.Fatal(err)
	}
	town.round(true)
	town.lost("an epoch that the ledger never began")
	parts.lost[1] = true
	town.round(true)
	if notice := town.shows("the bucket that knows cannot be reached", shop.Unavailable); !notice.Lost || !town.board.Lost(sale) {
		t.Error("the sale counts as found while nobody can say so")
	}
	parts.lost[0], parts.lost[2] = true, true
	town.round(true)
	if notice := town.shows("none can", shop.Unavailable); !notice.Lost {
		t.Error("the sale counts as found while nobody can say so")
	}
	clear(parts.lost)
	town.round(true)
	town.lost("all can again")
}

// without is a ledger that does not know some sale yet.
type without struct {
	booksales
	sale string
}

func (w *without) Sales(ctx context.Context) ([]ledger.Listing, error) {
	all, err := w.booksales.Sales(ctx)
	var known []ledger.Listing
	for i := range all {
		if all[i].Sale.ID != w.sale {
			known = append(known, all[i])
		}
	}
	return known, err
}

func TestASaleThatIsNoLongerInTheLedgerIsHaltedUntilItIs(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	town.round(true)
	town.found("it sells")
	backup := &without{town.ledger, sale}
	town.herald.Sales = backup
	for range 2 {
		town.passed.Add(int64(time.Second))
		town.round(true)
		town.lost("a backup from before its publication")
	}
	backup.sale = ""
	town.passed.Add(int64(time.Second))
	town.round(true)
	town.found("the newest ledger")
}

// closedEyes is a ledger that cannot say how a sale stands.
type closedEyes struct{ ledger.Supply }

func (closedEyes) Stand(context.Context, string) (ledger.Stand, error) {
	return ledger.Stand{}, errors.New("the ledger is not there")
}

func TestWhatCannotBeSeenIsWhereItWas(t *testing.T) {
	town := open(t)
	town.publish(document(noon().Add(-time.Hour), time.Time{}))
	town.round(true)
	before := town.shows("it sells", "")
	books := town.herald.Supply
	town.herald.Supply, town.herald.Tend = closedEyes{books}, nil
	town.round(true)
	notice := town.shows("the ledger is away", shop.Unavailable)
	if notice.Lost {
		t.Error("a ledger that does not answer is taken for an old one")
	}
	for i, item := range notice.Items {
		if item.State != before.Items[i].State {
			t.Errorf("%s is %s, want %s as before", item.SKU, item.State, before.Items[i].State)
		}
	}
	if notice.Items[0].State == gate.Gone {
		t.Error("all is taken, as pages show it, while nobody can know")
	}
}
