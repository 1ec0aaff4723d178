package e2e

import (
	"strings"
	"testing"
)

// TestHistoryChecker: a check that cannot fail proves nothing. Each case is a
// history that a broken shop would leave behind.
func TestHistoryChecker(t *testing.T) {
	t.Parallel()
	s := newSale("s", 1, map[string]int64{"one": 5, "two": 5})
	first := order{ID: "1", Sale: "s", Buyer: "ann", SKU: "one", Quantity: 1, Status: "awaiting_payment", Amount: 1234, Currency: "EUR"}
	change := func(o order, with func(*order)) *order { with(&o); return &o }
	said := func(key string, status int, code string, o *order) *answer {
		return &answer{wish: wish{"s", key, "one", 1}, status: status, code: code, order: o}
	}
	won := func() *answer { return said("k", 201, "", change(first, func(o *order) { o.Buyer = "" })) }
	for name, c := range map[string]struct {
		heard []*answer // by ann, one after the other
		kept  []*order
		want  string // empty: nothing is wrong
	}{
		"a promise kept":          {[]*answer{won()}, []*order{&first}, ""},
		"a long way to a promise": {[]*answer{said("k", 0, "", nil), said("k", 202, "", change(first, func(o *order) { o.Status = "pending" })), said("k", 409, "sold_out", nil), won()}, []*order{&first}, ""},
		"paid since":              {[]*answer{won()}, []*order{change(first, func(o *order) { o.Status = "paid" })}, ""},
		"an order lost":           {[]*answer{won()}, nil, "not in the ledger"},
		"another buyer":           {[]*answer{won()}, []*order{change(first, func(o *order) { o.Buyer = "bob" })}, "the ledger has"},
		"another SKU":             {[]*answer{won()}, []*order{change(first, func(o *order) { o.SKU = "two" })}, "the ledger has"},
		"another quantity":        {[]*answer{won()}, []*order{change(first, func(o *order) { o.Quantity = 2 })}, "the ledger has"},
		"another amount":          {[]*answer{won()}, []*order{change(first, func(o *order) { o.Amount = 1 })}, "the ledger has"},
		"the wrong amount, both":  {[]*answer{said("k", 201, "", change(first, func(o *order) { o.Amount = 1 }))}, []*order{change(first, func(o *order) { o.Amount = 1 })}, "the amount is not"},
		"an order went back":      {[]*answer{said("k", 200, "", change(first, func(o *order) { o.Status = "paid" }))}, []*order{&first}, "has it as awaiting_payment"},
		"two verdicts":            {[]*answer{won(), said("k", 409, "missed", change(first, func(o *order) { o.Status = "refused" }))}, []*order{&first}, "two verdicts"},
		"no after yes":            {[]*answer{won(), said("k", 409, "sold_out", nil)}, []*order{&first}, "after the final"},
		"pending after yes":       {[]*answer{won(), said("k", 202, "", change(first, func(o *order) { o.Status = "pending" }))}, []*order{&first}, "after the final"},
		"created twice":           {[]*answer{won(), won()}, []*order{&first}, "created anew"},
		"two keys, one order":     {[]*answer{won(), said("other", 201, "", &first)}, []*order{&first}, "the same order"},
		"refused, and an order":   {[]*answer{said("k", 409, "missed", change(first, func(o *order) { o.Status, o.Reason = "refused", "missed" }))}, []*order{&first}, "refused, and the ledger has"},
		"a key for another wish":  {[]*answer{won(), {wish: wish{"s", "k", "two", 1}, status: 409, code: "sold_out"}}, []*order{&first}, "another wish under the key"},
		"more orders than claims": {[]*answer{won()}, []*order{&first, change(first, func(o *order) { o.ID = "2" })}, "2 orders, and made 1 claims"},
		"over the limit":          {[]*answer{won(), said("other", 201, "", change(first, func(o *order) { o.ID = "2" }))}, []*order{&first, change(first, func(o *order) { o.ID = "2" })}, "the limit is 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			for _, a := range c.heard {
				a.sent = h.tick()
				h.note("ann", a)
			}
			kept := map[string]*order{}
			for _, o := range c.kept {
				kept[o.ID] = o
			}
			found := strings.Join(h.faults(s, kept), "; ")
			if (found == "") != (c.want == "") || !strings.Contains(found, c.want) {
				t.Errorf("got %q, want %q", found, c.want)
			}
		})
	}
}
