package ledger

import "sync/atomic"

// LooksFor is for how many batches claims, or buyers, are looked up after one of
// them was not new: repeated tickets come in swarms, and where buyers come back,
// some do in each batch.
const LooksFor = 256

// Looks is what a store looks up before it decides a batch. Nearly every claim
// is new, and in many sales so is every buyer; looking one up by a random id is
// dear. So both may be taken for new, which costs nothing where they are: each
// new claim writes its own row and its buyer's. Where one of these rows exists
// already, its table refuses the batch, which is then decided again, with a
// look at each.
type Looks struct {
	For int64 // batches

	claims, buyers atomic.Int64 // batches left
}

// Next reports what to look up for the next batch: where claims, their buyers
// too. A claim that was decided before writes nothing, so no table would say that
// its buyer is known, and what he has is part of the answer.
func (l *Looks) Next() (claims, buyers bool) {
	claims, buyers = l.claims.Add(-1) >= 0, l.buyers.Add(-1) >= 0
	return claims, claims || buyers
}

// Known says that a table refused a batch: a buyer's row was there, or else a
// claim's.
func (l *Looks) Known(buyer bool) {
	if buyer {
		l.buyers.Store(l.For)
	} else {
		l.claims.Store(l.For)
	}
}
