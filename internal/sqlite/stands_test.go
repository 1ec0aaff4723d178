//go:build !race

// Some ten thousand claims by one goroutine: the detector would only slow them.

package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// spans returns the newest claim of each sale and how many orders a list of it
// finds, page by page.
func (b *book) spans() (newest map[string]int64, listed map[string]int) {
	b.t.Helper()
	newest, listed = map[string]int64{}, map[string]int{}
	for _, sale := range b.sales {
		stand, err := b.Stand(b.t.Context(), sale)
		if err != nil {
			b.t.Fatal(err)
		}
		newest[sale] = stand.Newest
		for after, more := "", true; more; more = after != "" {
			orders, next, err := b.List(b.t.Context(), ledger.Query{Sale: sale, After: after, Limit: 1000})
			if err != nil {
				b.t.Fatal(err)
			}
			listed[sale] += len(orders)
			after = next
		}
	}
	return newest, listed
}

// Which rows are a sale's is written down once in many thousand claims, and
// found again from there.
func TestEachSalesClaimsAreFoundAgainAfterACrash(t *testing.T) {
	b := newBook(t, t.TempDir())
	b.mustSell(10) // in s alone
	b.add("late")
	b.add("empty")
	sold := map[string]int{"s": 10, "late": 0, "empty": 0}
	b.sales = []string{"s", "late"}
	for range 18 {
		b.mustSell(1000)
		sold["s"] += 500
		sold["late"] += 500
	}
	b.sales = []string{"s"}
	b.mustSell(7)
	sold["s"] += 7
	b.sales = []string{"s", "late", "empty"}
	newest, listed := b.spans()
	killed := filepath.Join(t.TempDir(), "killed")
	copyFolder(t, b.dir, killed)
	db := rawDB(t, filepath.Join(killed, "ledger.db"))
	var marked int64
	err := db.QueryRowContext(t.Context(), "SELECT max(newest) FROM sales").Scan(&marked)
	closed(t, db)
	if err != nil || marked < 16_384 || marked >= newest["s"] {
		t.Errorf("the claims to %d are marked, %v; want fewer than %d, and not none", marked, err, newest["s"])
	}
	again := &book{Ledger: open(t, sqlite.Options{Dir: killed, Now: time.Now}), t: t, sales: b.sales, n: b.n}
	newestAgain, listedAgain := again.spans()
	for sale, count := range sold {
		if newest[sale] != newestAgain[sale] || (newest[sale] == 0) != (count == 0) {
			t.Errorf("the newest claim of %s is %d, and %d after a crash", sale, newest[sale], newestAgain[sale])
		}
		if listed[sale] != count || listedAgain[sale] != count {
			t.Errorf("%d orders of %s are listed, and %d after a crash; want %d", listed[sale], sale, listedAgain[sale], count)
		}
	}
	again.mustSell(3)
	if newest, _ := again.spans(); newest["empty"] == 0 {
		t.Error("a sale's first claim after a crash is not its newest")
	}
}
