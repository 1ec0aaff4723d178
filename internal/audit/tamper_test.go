package audit_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver that tampers

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

const sale = "retro"

// life is a ledger in which everything that can happen to an order has.
type life struct {
	t      *testing.T
	ledger *sqlite.Ledger
	passed time.Duration
	epoch  int64
	seq    int64
}

func (l *life) now() time.Time {
	return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC).Add(l.passed)
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// decide gives one buyer so many units, or refuses.
func (l *life) decide(buyer, sku string, quantity int64) shop.ClaimID {
	l.t.Helper()
	l.seq++
	ticket := shop.Ticket{
		Claim: shop.ClaimID{byte(l.seq), 1}, Bucket: shop.Bucket{Sale: sale}, Epoch: l.epoch, Seq: l.seq, Nonce: 1,
		Buyer: buyer, SKU: sku, Quantity: quantity,
	}
	_, err := l.ledger.Decide(l.t.Context(), []shop.Ticket{ticket})
	l.must(err)
	return ticket.Claim
}

func (l *life) pay(id shop.ClaimID, reference string) {
	l.t.Helper()
	_, err := l.ledger.Pay(l.t.Context(), ledger.Payment{Order: id, Reference: reference})
	l.must(err)
}

func (l *life) cancel(c ledger.Cancellation) {
	l.t.Helper()
	_, err := l.ledger.Cancel(l.t.Context(), c)
	l.must(err)
}

func (l *life) expire(ids ...shop.ClaimID) {
	l.t.Helper()
	l.passed += time.Hour
	expired, err := l.ledger.Expire(l.t.Context(), ids)
	l.must(err)
	if len(expired) != len(ids) {
		l.t.Fatalf("%d of %d orders expired", len(expired), len(ids))
	}
}

// live writes a ledger into a new folder.
func live(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l := &life{t: t}
	books, err := sqlite.Open(t.Context(), sqlite.Options{
		Dir: dir, Now: l.now, Ticks: func() time.Duration { return l.passed },
	})
	l.must(err)
	l.ledger = books
	money := shop.Money{Amount: 100, Currency: "EUR"}
	doc := shop.Sale{
		ID: sale, Title: "Retro", OpensAt: l.now(), Hold: time.Minute, LimitPerBuyer: 2, Challenge: "never", Early: "normal",
		Items: []shop.Item{
			{SKU: "a", Title: "A", Stock: 50, Price: money},
			{SKU: "b", Title: "B", Stock: 50, Price: money},
			{SKU: "gift", Title: "Gift", Stock: 50, Price: shop.Money{Currency: "EUR"}},
		},
	}
	_, err = books.Publish(t.Context(), doc)
	l.must(err)
	bucket := shop.Bucket{Sale: sale}
	l.epoch, err = books.Bump(t.Context(), bucket, 0)
	l.must(err)
	for _, item := range doc.Items {
		_, err = books.Grant(t.Context(), bucket, l.epoch, ledger.Grant{SKU: item.SKU, Quantity: 30})
		l.must(err)
	}
	l.must(books.Reclaim(t.Context(), bucket, l.epoch, ledger.Reclaim{Number: 1, SKU: "a", Units: 0}))
	l.must(books.Reclaim(t.Context(), bucket, l.epoch, ledger.Reclaim{Number: 2, SKU: "b", Units: 5}))
	l.orders()
	l.epoch, err = books.Bump(t.Context(), bucket, l.epoch)
	l.must(err)
	l.must(books.Close())
	return dir
}

func (l *life) orders() {
	l.pay(l.decide("payer", "a", 2), "paid")
	l.decide("greedy", "a", 3) // over the limit
	l.cancel(ledger.Cancellation{Order: l.decide("quitter", "b", 1), Buyer: "quitter"})
	late, lost := l.decide("late", "a", 1), l.decide("lost", "b", 1)
	l.expire(late, lost)
	l.pay(late, "retaken")
	gone := l.decide("gone", "b", 1)
	l.cancel(ledger.Cancellation{Order: gone, Buyer: "gone"})
	l.pay(gone, "too late")
	called := l.decide("called", "a", 1)
	l.pay(called, "called")
	l.cancel(ledger.Cancellation{Order: called, Reason: "a bot"})
	l.decide("giver", "gift", 1)
	l.decide("waiting", "a", 1)
}

// copied copies a ledger that nobody has open.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// tamper runs statements on the ledger's file that no rule would.
func tamper(t *testing.T, dir string, statements []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the ledger's file: %v, %v", files, err)
	}
	db, err := sql.Open("sqlite", files[0]+"?_pragma=ignore_check_constraints(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var rows int64
	for _, statement := range statements {
		result, err := db.ExecContext(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		n, err := result.RowsAffected()
		if err != nil || n == 0 {
			t.Fatalf("%s: changes nothing, %v", statement, err)
		}
		rows += n
	}
	t.Logf("%d rows tampered with", rows)
}

// broken audits a folder and returns the invariants that do not hold.
func broken(t *testing.T, dir string) []string {
	t.Helper()
	books, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	}()
	results, err := audit.Offline(t.Context(), books)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, result := range results {
		if result.State == audit.Broken {
			ids = append(ids, result.ID)
			t.Log(result.ID, result.Detail)
		}
	}
	return ids
}

func TestARichLedgerHoldsEveryInvariant(t *testing.T) {
	if got := broken(t, live(t)); len(got) > 0 {
		t.Errorf("%v are broken in a ledger that only rules have written", got)
	}
}

func TestEachKindOfTamperingBreaksItsInvariant(t *testing.T) {
	dir := live(t)
	for _, c := range []struct {
		name       string
		want       []string
		statements []string
	}{
		{"a line is gone", []string{"I1"}, []string{"DELETE FROM lines WHERE quantity = 0"}},
		{"units are sold before they are granted", []string{"I1"}, []string{
			"UPDATE lines SET seq = -1 WHERE seq = (SELECT min(seq) FROM lines WHERE kind = 2)",
			"UPDATE lines SET seq = (SELECT min(seq) FROM lines WHERE kind = 2 AND seq > 0) - 1 WHERE kind = 3 AND seq = (SELECT min(seq) FROM lines WHERE kind = 3)",
			"UPDATE lines SET seq = (SELECT max(l.seq) FROM lines l WHERE l.kind = 8) + 1 WHERE seq = -1",
		}},
		{"a line is of another kind", []string{"I1"}, []string{"UPDATE lines SET kind = 2 WHERE kind = 1"}},
		{"a line adds to a SKU from nowhere", []string{"I1", "I2"}, []string{"UPDATE lines SET quantity = quantity + 1 WHERE seq = 1"}},
		{"units disappear from the pool", []string{"I1", "I2"}, []string{"UPDATE accounts SET units = units - 1 WHERE name = 1 AND sku = 2"}},
		{"units wander between accounts", []string{"I2"}, []string{
			"UPDATE accounts SET units = units - 1 WHERE name = 1 AND sku = 1",
			"UPDATE accounts SET units = units + 1 WHERE name = 5 AND sku = 1",
		}},
		{"an account is gone", []string{"I1", "I2"}, []string{"DELETE FROM accounts WHERE name = 4 AND sku = 1"}},
		{"an order is paid by nobody", []string{"I2"}, []string{"UPDATE claims SET status = 2, amount = 0 WHERE status = 1"}},
		{"a buyer has room again", []string{"I3"}, []string{"UPDATE quotas SET units = 0 WHERE buyer = 'payer'"}},
		{"a quota is over its limit", []string{"I3"}, []string{"UPDATE quotas SET lim = 1 WHERE buyer = 'payer'"}},
		{"a quota is gone", []string{"I3"}, []string{"DELETE FROM quotas WHERE buyer = 'payer'"}},
		{"two buyers swap their quotas", []string{"I3"}, []string{
			"UPDATE quotas SET buyer = 'x' WHERE buyer = 'payer'", "UPDATE quotas SET buyer = 'payer' WHERE buyer = 'late'",
			"UPDATE quotas SET buyer = 'late' WHERE buyer = 'x'",
		}},
		{"the limit was lower than was sold", []string{"I3"}, []string{
			`UPDATE revisions SET document = replace(document, '"limit_per_buyer":2', '"limit_per_buyer":1')`,
		}},
		{"a refusal took units", []string{"I4"}, []string{"UPDATE claims SET taken_from = 1 WHERE status = 5"}},
		{"an accepted order is called refused", []string{"I4"}, []string{"UPDATE claims SET status = 5 WHERE status = 3"}},
		{"an expired order's claim is gone", []string{"I4"}, []string{"DELETE FROM claims WHERE status = 3"}},
		{"an ended order was for more", []string{"I4"}, []string{"UPDATE claims SET quantity = quantity + 1 WHERE status = 3"}},
		{"an ended order was for something else", []string{"I4"}, []string{"UPDATE claims SET sku = 1 WHERE status = 3"}},
		{"a line is of a claim that is not there", []string{"I3", "I4"}, []string{"UPDATE lines SET kind = 3, claim = 999 WHERE kind = 3 AND claim = (SELECT row FROM claims WHERE status = 3)"}},
		{"a charge is gone", []string{"I8"}, []string{"DELETE FROM charges WHERE reference = 'paid'"}},
		{"a kept charge goes back", []string{"I8"}, []string{"UPDATE charges SET due = 1 WHERE reference = 'retaken'"}},
		{"a charge that must go back is kept", []string{"I8"}, []string{"UPDATE charges SET due = 0 WHERE reference = 'too late'"}},
		{"a refund is owed to no charge", []string{"I8"}, []string{"DELETE FROM charges WHERE reference = 'too late'"}},
		{"a charge is of another amount", []string{"I8"}, []string{"UPDATE charges SET amount = 1 WHERE reference = 'paid'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := copied(t, dir)
			tamper(t, other, c.statements)
			if got := broken(t, other); !slices.Equal(got, c.want) {
				t.Errorf("%v are broken, want %v", got, c.want)
			}
		})
	}
}
