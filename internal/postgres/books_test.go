package postgres_test

import (
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestABalanceThatIsNotItsLinesIsFound(t *testing.T) {
	for name, statement := range map[string]string{
		"a balance":        "UPDATE doorbuster.accounts SET units = units + 1 WHERE name = 1",
		"a line":           "UPDATE doorbuster.lines SET quantity = quantity + 1 WHERE seq = (SELECT max(seq) FROM doorbuster.lines)",
		"a claim's line":   "UPDATE doorbuster.claims SET quantity = quantity + 1 WHERE row = 2",
		"a lost line":      "DELETE FROM doorbuster.lines WHERE seq = (SELECT max(seq) FROM doorbuster.lines)",
		"a lost claim":     "DELETE FROM doorbuster.claims WHERE row = 2",
		"a lost amount":    "DELETE FROM doorbuster.accounts WHERE name = 3",
		"a line of no use": "INSERT INTO doorbuster.lines (seq, claim, quantity, at, sale, bucket, kind, source, target, sku, ref) SELECT 1000000, 0, 0, now(), sale, 0, 2, 1, 2, 'a', 'x' FROM doorbuster.lines LIMIT 1",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, server.database(t))
			b.mustSell(3)
			b.sound()
			execute(t, b.url, statement)
			broken, err := b.Check(t.Context())
			if err != nil || len(broken) != 1 || broken["s"] == "" {
				t.Errorf("%v, %v; want the sale broken", broken, err)
			}
		})
	}
}

func TestTheBooksAreReadBesideTheNodes(t *testing.T) {
	b := newBook(t, server.database(t))
	b.mustSell(5)
	books, err := postgres.OpenReadOnly(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	err = books.Read(t.Context(), func(view ledger.View) error {
		b.mustSell(5) // later than what is read
		claims, lines := 0, 0
		for claim, err := range view.Claims(t.Context()) {
			if err != nil || claim.Order.Status != shop.AwaitingPayment {
				t.Errorf("claim %+v, %v", claim, err)
			}
			claims++
		}
		for line, err := range view.Lines(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			if line.Kind == ledger.KindClaim {
				lines++
			}
		}
		if claims != 5 || lines != 5 {
			t.Errorf("%d claims and %d of their lines are read, want the 5 there were", claims, lines)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if broken, err := books.Check(t.Context()); err != nil || len(broken) != 0 {
		t.Errorf("check: %v, %v", broken, err)
	}
}

func TestADatabaseWithoutALedgerIsSaidToHaveNone(t *testing.T) {
	_, err := postgres.OpenReadOnly(t.Context(), server.URL("template1"))
	if err == nil || !strings.Contains(err.Error(), "no ledger in this database") {
		t.Errorf("error %v", err)
	}
}
