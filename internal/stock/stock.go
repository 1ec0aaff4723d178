// Package stock is the fast counter in front of the ledger: what may still be
// handed out. It is a spending limit that the ledger has already set aside,
// and it may be lost at any moment.
package stock

import (
	"context"
	"errors"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// ErrUnknown says that the stock holds no state for the bucket: it was never
// started, or it forgot. The supplier starts it with a new epoch.
var ErrUnknown = errors.New("stock: no state for this bucket")

// LiveUnknown as Ask.Live leaves the remembered hint as it is.
const LiveUnknown = -1

// Ask is one buyer's wish for units. Its strings are kept as long as its
// ticket, so they must not be part of a bigger buffer.
type Ask struct {
	Claim    shop.ClaimID
	Nonce    uint64
	KeyPrint uint64
	Buyer    string
	SKU      string
	Quantity int64
	Limit    int64 // units of the sale that the buyer may hold or own
	Live     int64 // what the ledger says the buyer holds or owns, or LiveUnknown
}

// Outcome is the stock's answer to an ask. Only Pending makes a ticket; a no
// is never recorded and never final.
type Outcome uint8

// The outcomes of a reservation. They are judged in this order: a ticket of
// the claim, Unknown, Limit (after Ask.Live was taken over), Out.
const (
	Pending Outcome = iota // Answer.Ticket was written, now or by an earlier call of this claim
	Limit                  // undecided + live + quantity is over the limit: a hint, the ledger judges
	Out                    // fewer than asked are free in this bucket; Answer.Free says how many
	Unknown                // the bucket has no state, no grant of the SKU in this epoch, or less than one unit is asked
)

// Answer is the outcome of one ask.
type Answer struct {
	Outcome Outcome
	Ticket  shop.Ticket // of Pending; of another SKU or quantity than asked where the key was reused
	Free    int64       // of Out: units of the SKU free in this bucket
}

// Settlement ends a ticket with the ledger's verdict.
type Settlement struct {
	Ticket  shop.Ticket
	Verdict shop.Verdict
	Live    int64 // the buyer's live units as the deciding transaction left them, or LiveUnknown
	Mark    int64 // the ledger's seq in the sale when it decided; 0: not told
}

// Counter is the buyers' half of the stock, for desk and worker.
type Counter interface {
	// Reserve answers each ask as if it were alone and in order; all asks are
	// of one bucket. Answers are appended to into and returned, one per ask.
	// A claim that has a ticket, of this or an earlier epoch, gets that ticket
	// again, whatever it asks for, and nothing else changes. A new ticket goes
	// to the queue, too; where that fails it is undecided all the same. An
	// error means that the outcome of every ask is unknown: not a no.
	Reserve(ctx context.Context, bucket shop.Bucket, asks []Ask, into []Answer) ([]Answer, error)

	// Settle ends tickets of one bucket, of its current or an earlier epoch.
	// It acts only on exactly these tickets; settling twice changes nothing,
	// and neither does settling a ticket that the stock has forgotten. The
	// units of an earlier epoch's ticket never go back to free: the bump took
	// them into the pool. A bucket that has state remembers the highest mark,
	// also of a ticket that it has forgotten.
	Settle(ctx context.Context, bucket shop.Bucket, settlements []Settlement) error

	// Undecided returns up to limit tickets that are not settled, oldest
	// first, those of earlier epochs included. This is the outbox: the queue
	// is only a hint. An unknown bucket has none.
	Undecided(ctx context.Context, bucket shop.Bucket, limit int) ([]shop.Ticket, error)

	// Ticket returns the claim's undecided ticket, and false where there is
	// none.
	Ticket(ctx context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error)
}

// Grant adds units of one SKU to a bucket. Numbers are per bucket and epoch,
// one sequence for all its SKUs, from 1.
type Grant struct {
	Number   int64
	SKU      string
	Quantity int64
}

// Reclaim asks for units back. Numbers are per bucket and epoch, from 1.
type Reclaim struct {
	Number   int64
	SKU      string
	Quantity int64     // at most so many
	Previous Reclaimed // the result of Number − 1 as the ledger has it; zero for the first
}

// Reclaimed is the result of a reclaim. 0 units is a result too.
type Reclaimed struct {
	Number int64
	SKU    string
	Units  int64
}

// ErrForked says that the stock's history is not the ledger's: the supplier
// bumps the epoch.
var ErrForked = errors.New("stock: its history and the ledger's differ")

// Shelf is the state of one bucket as the supplier sees it.
type Shelf struct {
	Epoch       int64
	Free        map[string]int64 // units of each SKU that may be reserved
	Undecided   map[string]int64 // units of each SKU in tickets of this epoch; no entry is none
	Tickets     int              // of every epoch, not settled
	LastGrant   int64
	LastReclaim Reclaimed
	Mark        int64 // the highest Settlement.Mark heard of, in whichever epoch
}

// Ahead reports whether the stock has heard of an epoch, a grant or a seq that
// a ledger with these does not know. Such a ledger has lost history (an old
// backup, a failover), unless it went on since these were read.
func (s *Shelf) Ahead(epoch, lastGrant, asOf int64) bool {
	return s.Epoch > epoch || (s.Epoch == epoch && s.LastGrant > lastGrant) || s.Mark > asOf
}

// Supply is the supplier's half of the stock.
type Supply interface {
	// Shelf returns the bucket's state, or ErrUnknown.
	Shelf(ctx context.Context, bucket shop.Bucket) (Shelf, error)

	// Start begins an empty epoch of the bucket: nothing free, numbers at 0,
	// no live units known. Tickets of the epochs before it stay, to be
	// decided, and count as their buyers' undecided units until then; so does
	// the mark. It
	// changes nothing where the bucket is at that epoch or a later one.
	Start(ctx context.Context, bucket shop.Bucket, epoch int64) error

	// Remember raises the mark of a bucket that has state to the seq that the
	// ledger has come to: a settlement tells it of decisions only.
	Remember(ctx context.Context, bucket shop.Bucket, mark int64) error

	// ApplyGrant adds the grant's units where its number is the last one + 1.
	// A number already applied changes nothing; a gap, another epoch or a
	// forgotten bucket is ErrForked or ErrUnknown. A number or a quantity
	// below 1 is another error.
	ApplyGrant(ctx context.Context, bucket shop.Bucket, epoch int64, grant Grant) error

	// Reclaim takes at most Quantity free units of the SKU and remembers the
	// result. The last number again returns the stored result, whatever else
	// is asked; an earlier one, a gap, another epoch, or another Previous than
	// the stored one is ErrForked; a forgotten bucket is ErrUnknown. A number
	// or a quantity below 1 is another error.
	Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, reclaim Reclaim) (Reclaimed, error)
}
