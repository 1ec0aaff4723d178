package ledger

import (
	"context"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Lists keeps what operators have written into the block and the allow list.
// No units depend on it: the lists lie in the ledger because they must outlive
// restarts, and reach nodes that hear nothing else.
type Lists interface {
	// Enlist writes an entry in the place of the one that its list has of the
	// subject. One that differs only in By and At changes nothing. ErrCrowded says
	// that there are shop.EntriesMax, and that nothing was written.
	Enlist(ctx context.Context, entry shop.Entry) (Published, error)

	// Strike takes the subject out of the list and reports whether it stood
	// there.
	Strike(ctx context.Context, list shop.List, subject shop.Subject) (bool, error)

	// Entries returns the number of the lists' last change, 0 before the first,
	// and every entry, those that have ended too, by list and subject. Where the
	// last change is the one seen already there are none: nothing is read.
	Entries(ctx context.Context, seen int64) (change int64, entries []shop.Entry, err error)
}

// Enter says what writing the entry next does to a list. old is what the list
// has of its subject (nil: nothing); entries is how many both lists have.
func Enter(old *shop.Entry, next *shop.Entry, entries int64) (Published, error) {
	switch {
	case old != nil && old.Until.Equal(next.Until) && old.Reason == next.Reason:
		return Same, nil
	case old != nil:
		return Changed, nil
	case entries >= shop.EntriesMax:
		return Same, ErrCrowded
	}
	return Created, nil
}
