package sqlite_test

import (
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// book is a ledger with open sales whose units are all granted.
type book struct {
	*sqlite.Ledger
	t     testing.TB
	dir   string
	sales []string
	n     int64
}

// newBook opens a ledger with one sale, "s".
func newBook(t testing.TB, dir string) *book {
	b := &book{Ledger: open(t, sqlite.Options{Dir: dir, Now: time.Now}), t: t, dir: dir}
	b.add("s")
	return b
}

// add opens one more sale.
func (b *book) add(id string) {
	b.t.Helper()
	sale := shop.Sale{
		ID: id, Title: "S", OpensAt: time.Now().UTC(), Hold: time.Minute, LimitPerBuyer: 1, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: shop.StockMax, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
	if _, err := b.Publish(b.t.Context(), sale); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Bump(b.t.Context(), shop.Bucket{Sale: id}, 0); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Grant(b.t.Context(), shop.Bucket{Sale: id}, 1, ledger.Grant{SKU: "a", Quantity: shop.StockMax}); err != nil {
		b.t.Fatal(err)
	}
	b.sales = append(b.sales, id)
}

// tickets are new ones of as many buyers, of one sale after the other. Claims
// are spread as hashes are.
func (b *book) tickets(count int) []shop.Ticket {
	tickets := make([]shop.Ticket, count)
	for i := range tickets {
		b.n++
		word := uint64(b.n) * 0x9E3779B97F4A7C15
		var claim shop.ClaimID
		for at := range claim {
			claim[at] = byte(word >> (at % 8 * 8))
			word ^= word<<13 ^ uint64(at)
		}
		tickets[i] = shop.Ticket{
			Claim: claim, Bucket: shop.Bucket{Sale: b.sales[b.n%int64(len(b.sales))]}, Epoch: 1, Seq: b.n, Nonce: word, KeyPrint: word,
			Buyer: fmt.Sprintf("buyer-%016x", word), SKU: "a", Quantity: 1,
		}
	}
	return tickets
}

func (b *book) sell(count int) ([]ledger.Decision, error) {
	return b.Decide(b.t.Context(), b.tickets(count))
}

func (b *book) mustSell(count int) {
	b.t.Helper()
	decisions, err := b.sell(count)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range decisions {
		if d.Order.Status != shop.AwaitingPayment {
			b.t.Fatalf("order is %v: %s", d.Order.Status, d.Order.Reason)
		}
	}
}

func (b *book) held() int64 {
	b.t.Helper()
	stand, err := b.Stand(b.t.Context(), "s")
	if err != nil {
		b.t.Fatal(err)
	}
	return stand.Items["a"].Held
}

// sound wants the books whole.
func (b *book) sound() {
	b.t.Helper()
	if broken, err := b.Check(b.t.Context()); err != nil || len(broken) != 0 {
		b.t.Errorf("check: %v, %v", broken, err)
	}
}

// edit changes the books behind the ledger's back.
func edit(t *testing.T, dir, statement string) {
	t.Helper()
	db := rawDB(t, filepath.Join(dir, "ledger.db"))
	defer closed(t, db)
	result, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := result.RowsAffected(); n == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}

// rawDB opens a ledger's file past the ledger.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closed(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
