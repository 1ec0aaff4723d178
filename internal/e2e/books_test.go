package e2e

import (
	"cmp"
	"slices"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// verdict is a "sold out" that called itself final.
type verdict struct {
	asOf     int64
	sku      string
	quantity int64
}

// verdicts returns every final "sold out" that buyers heard in a sale.
func (h *history) verdicts(sale string) []verdict {
	seen := map[verdict]bool{}
	h.each(func(name claim, answers []*answer) {
		if name.sale != sale {
			return
		}
		for _, a := range answers {
			switch {
			case a.kind() == refused && a.order.Reason == "sold_out":
				seen[verdict{a.order.AsOf, a.wish.sku, a.wish.quantity}] = true
			case a.kind() == no && a.gone():
				seen[verdict{a.asOf, a.wish.sku, a.wish.quantity}] = true
			}
		}
	})
	all := make([]verdict, 0, len(seen))
	for v := range seen {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b verdict) int { return cmp.Compare(a.asOf, b.asOf) })
	return all
}

// soldOutIsTrue reads the ledger's lines and wants, at each moment that a
// final "sold out" names, fewer units to be had than were asked for.
func soldOutIsTrue(t *testing.T, dir, sale string, verdicts []verdict) {
	t.Helper()
	books, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	soldOutStands(t, books, sale, verdicts)
}

func soldOutStands(t *testing.T, books ledger.Books, sale string, verdicts []verdict) {
	t.Helper()
	had := map[string]int64{} // POOL + GRANT + HELD
	err := books.Read(t.Context(), func(view ledger.View) error {
		for line, err := range view.Lines(t.Context()) {
			if err != nil {
				return err
			}
			for len(verdicts) > 0 && verdicts[0].asOf < line.Seq {
				v := verdicts[0]
				verdicts = verdicts[1:]
				if had[v.sku] >= v.quantity {
					t.Errorf("false sold out at %d: %d of %s were to be had, %d were asked for", v.asOf, had[v.sku], v.sku, v.quantity)
				}
			}
			if line.Sale == sale {
				had[line.SKU] += line.Quantity * (weight(line.To) - weight(line.From))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if had[v.sku] >= v.quantity {
			t.Errorf("false sold out at %d: %d of %s are to be had, %d were asked for", v.asOf, had[v.sku], v.sku, v.quantity)
		}
	}
}

// weight is 1 for accounts whose units may still be had.
func weight(name ledger.Name) int64 {
	switch name {
	case ledger.Pool, ledger.Granted, ledger.Held:
		return 1
	default:
		return 0
	}
}
