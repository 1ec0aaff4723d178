package ledger_test

import (
	"errors"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestAFullListTakesChangesButNoNewEntry(t *testing.T) {
	next := &shop.Entry{List: shop.Block, Reason: "new"}
	for _, c := range []struct {
		name    string
		old     *shop.Entry
		entries int64
		want    ledger.Published
		err     error
	}{
		{"the last place", nil, shop.EntriesMax - 1, ledger.Created, nil},
		{"no place", nil, shop.EntriesMax, ledger.Same, ledger.ErrCrowded},
		{"a change", &shop.Entry{Reason: "old"}, shop.EntriesMax, ledger.Changed, nil},
		{"the same", &shop.Entry{Reason: "new"}, shop.EntriesMax, ledger.Same, nil},
	} {
		if got, err := ledger.Enter(c.old, next, c.entries); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, err, c.want, c.err)
		}
	}
}
