// Package ledger is the truth: who was promised which unit, in double entry.
//
// The rules (Book) live here, once; a machine only loads the part of the
// books that a transaction touches, applies a rule and saves what changed.
package ledger

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Errors of every machine. Any other error of a writing call means that the
// outcome is unknown or that the ledger is not there: ask again with the same
// arguments, every call may be repeated.
var (
	ErrNotFound = errors.New("ledger: no such thing")
	ErrFull     = errors.New("ledger: no room on its disk; nothing was written")
	ErrEpoch    = errors.New("ledger: the bucket has moved to another epoch")
	ErrShort    = errors.New("ledger: the pool holds fewer units than asked")
	ErrUnsound  = errors.New("ledger: a ticket of no sale in the books, which nobody can decide")
	ErrCrowded  = errors.New("ledger: the lists hold as many entries as they may; remove some, or write wider prefixes")
	ErrBehind   = errors.New("ledger: older than the stock, so it has lost history; restore the newest ledger before selling on")
)

// Claims is what checkout and fulfilment ask of the ledger.
type Claims interface {
	// Decide gives every ticket its verdict, in one transaction, and returns
	// one decision per ticket in the order given. When it returns without an
	// error all of them are on disk. A ticket may be decided any number of
	// times: its claim keeps its first answer. One of a known sale that nobody
	// could have asked for (of an SKU that the sale does not have, of an absurd
	// quantity) is refused as missed, and marked as Poison. Where a ticket is of
	// no sale in the books, ErrUnsound or ErrNotFound says so, and none is
	// decided.
	Decide(ctx context.Context, tickets []shop.Ticket) ([]Decision, error)

	// Order returns the order as it now is, or ErrNotFound.
	Order(ctx context.Context, id shop.ClaimID) (shop.Order, error)

	// Standing returns what the buyer has in the sale. A buyer unknown to the
	// sale has an empty standing.
	Standing(ctx context.Context, sale, buyer string) (Standing, error)

	// Decided yields the sale's claims that were decided after the one of that
	// row, in the order decided, so that a node can tell known keys from new
	// ones without asking again. Row 0 is before the first. An empty sale
	// stands for every sale; rows mean nothing then.
	Decided(ctx context.Context, sale string, after int64) iter.Seq2[Print, error]
}

// Decision is the ledger's answer to one ticket.
type Decision struct {
	Ticket  shop.Ticket
	Order   shop.Order
	Verdict shop.Verdict // what the stock does with this very ticket
	Live    int64        // the buyer's live units in the sale, this transaction included
	Row     int64        // of the claim, as in Print
	Nonce   uint64       // of the ticket that the claim was decided for: another one's is a repeat
	Poison  bool         // refused now because no desk writes such a ticket: an alarm; false when asked again
}

// Print is the pair of fingerprints by which nodes know a decided claim.
type Print struct {
	Claim    shop.ClaimID
	KeyPrint uint64
	Row      int64  // its place among the sale's claims; grows in the order decided, not always by one
	Nonce    uint64 // of the ticket that the claim was decided for; 0: whoever says it does not know
}

// Standing is what one buyer has in one sale.
type Standing struct {
	Live   int64        // units held or owned
	Orders []shop.Order // every one ever decided, oldest first; at most OrdersMax, the newest
}

// OrdersMax bounds how many orders of one buyer in one sale are listed.
const OrdersMax = 100

// Orders is what payments and operators ask of the ledger.
type Orders interface {
	// Pay records money for an order: HELD → SOLD, or after its end a retake,
	// or refund due. The same reference again is answered the same. An
	// order that has its money already, or none to ask, is a shop.Refusal
	// wrong_status; money that came all the same is kept as a charge to be
	// refunded (Charges).
	Pay(ctx context.Context, payment Payment) (shop.Order, error)

	// Cancel ends an order for its buyer or an operator. Repeating it changes
	// nothing; a status that does not lead there is a shop.Refusal
	// wrong_status. Somebody else's order, or one of another sale than
	// named, is ErrNotFound.
	Cancel(ctx context.Context, cancellation Cancellation) (shop.Order, error)

	// Refund records that a refund due was paid out. Idempotent.
	Refund(ctx context.Context, id shop.ClaimID, reference string) (shop.Order, error)

	// Charges returns the money that came for an order, oldest first; none, also
	// of an order that there is not.
	Charges(ctx context.Context, id shop.ClaimID) ([]Charge, error)

	// List returns a page of a sale's orders, oldest first, and the cursor of
	// the next page: empty at the end.
	List(ctx context.Context, query Query) ([]shop.Order, string, error)
}

// Payment is money reported for an order.
type Payment struct {
	Order     shop.ClaimID
	Reference string // names the charge; unique per order
	EventID   string // of the provider's event; empty where the operator reports
	Amount    int64  // minor units; with Currency "" not checked
	Currency  string
}

// Cancellation asks to end an order.
type Cancellation struct {
	Order   shop.ClaimID
	Buyer   string // empty: an operator
	Sale    string // the only one whose orders may be ended; empty: any
	Reason  string // an operator's; shown with the order
	Restock bool   // an operator's, of a paid order: the unit goes back to sale
}

// Query selects a page of orders.
type Query struct {
	Sale   string
	Status *shop.Status // nil: every status
	After  string       // cursor of the page before; empty: from the first
	Limit  int          // 1 … 1000
}

// Holds is what the expirer asks of the ledger.
type Holds interface {
	// Due returns up to limit orders awaiting payment past their PayBy by the
	// ledger's clock, longest overdue first.
	Due(ctx context.Context, limit int) ([]shop.Order, error)

	// Expire ends those of the orders that still await payment past their
	// PayBy, and returns them. Units and quota go back in the same
	// transaction.
	Expire(ctx context.Context, ids []shop.ClaimID) ([]shop.Order, error)
}

// Supply is what the supplier asks of the ledger.
type Supply interface {
	// Stand returns the sale's balances and buckets as of one moment.
	Stand(ctx context.Context, sale string) (Stand, error)

	// Grants returns the grants of the bucket's epoch whose numbers are above
	// after, in order: those that the stock may have missed.
	Grants(ctx context.Context, bucket shop.Bucket, epoch, after int64) ([]Grant, error)

	// Grant moves units from POOL to the bucket under the next number. ErrEpoch
	// and ErrShort say that nothing moved.
	Grant(ctx context.Context, bucket shop.Bucket, epoch int64, want Grant) (Grant, error)

	// Reclaim records what the stock gave back. Where the ledger's history
	// does not bear it (more than GRANT, another result under the same number,
	// a gap) it bumps instead and returns ErrEpoch; it never clamps.
	Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, back Reclaim) error

	// Bump ends the epoch: every SKU's GRANT of the bucket returns to POOL, and
	// numbers begin anew. It returns the bucket's epoch now, which is epoch + 1,
	// or a later one if somebody bumped before. Epoch 0 begins a new bucket.
	Bump(ctx context.Context, bucket shop.Bucket, epoch int64) (int64, error)
}

// Grant is units set aside for a bucket.
type Grant struct {
	Number   int64
	SKU      string
	Quantity int64
}

// Reclaim is units that a bucket gave back.
type Reclaim struct {
	Number int64
	SKU    string
	Units  int64
}

// Stand is how a sale's units are spread at one moment.
type Stand struct {
	AsOf    int64 // the ledger's seq
	Newest  int64 // Print.Row of the sale's newest claim; 0: none
	Items   map[string]Balance
	Buckets []BucketStand // by number, from 0
}

// Balance is the accounts of one SKU.
type Balance struct {
	Total, Pool, Granted, Held, Sold, Withdrawn int64
}

// Gone reports whether fewer than quantity units can ever be had again
// without a refund, a retake or new stock.
func (b Balance) Gone(quantity int64) bool { return b.Pool+b.Granted+b.Held < quantity }

// BucketStand is one bucket as the ledger has it.
type BucketStand struct {
	Number      int
	Epoch       int64 // 0: not begun
	LastGrant   int64
	LastReclaim Reclaim
	Granted     map[string]int64 // GRANT of each SKU; those with none may be absent
}

// Resting reports whether the bucket was granted nothing in this epoch: nobody
// gets a ticket from it.
func (b *BucketStand) Resting() bool { return b.LastGrant == 0 }

// Resting reports whether all buckets do.
func (s *Stand) Resting() bool {
	for i := range s.Buckets {
		if !s.Buckets[i].Resting() {
			return false
		}
	}
	return true
}

// Sales is what operators and the herald ask of the ledger.
type Sales interface {
	// Publish writes a sale or its changes. A document equal to any published
	// before for the sale changes nothing. One that breaks a promise is a
	// *Broken; one that lowers stock below what the pool can give is ErrShort.
	Publish(ctx context.Context, sale shop.Sale) (Published, error)

	// Sales returns every sale with its phase, by id.
	Sales(ctx context.Context) ([]Listing, error)

	// Move applies an operator's verb and returns the phase. A phase that does
	// not lead there is a *Broken; an unknown sale is ErrNotFound.
	Move(ctx context.Context, sale string, verb shop.Verb) (shop.Phase, error)

	// Flip moves every sale but those held back into the phase that its times
	// ask for, and returns the ids of those that moved.
	Flip(ctx context.Context, heldBack []string) ([]string, error)
}

// Published says what a publication did.
type Published uint8

// The outcomes of a publication.
const (
	Same Published = iota
	Changed
	Created
)

// Listing is a sale with its phase.
type Listing struct {
	Sale    shop.Sale
	Phase   shop.Phase
	Buckets int   // parts of its stock; fixed when the sale is created
	Version int64 // changes with every transaction that touches the sale; 0: this machine does not tell
}

// Broken is a change refused because it would break a promise already made.
type Broken struct{ Reasons []string }

func (b *Broken) Error() string {
	if len(b.Reasons) == 0 {
		return "ledger: the change would break a promise"
	}
	return "ledger: " + b.Reasons[0]
}

// Books is what the auditor reads: everything, as of one moment.
type Books interface {
	// Read calls view with a consistent view of the ledger. It takes no lock
	// that a writer waits for.
	Read(ctx context.Context, view func(View) error) error

	// Check looks for damage below the level of the books (a torn page), and
	// for balances that are not the sum of their lines, per sale; quick enough
	// for every start. It returns the broken sales with a sentence each; under
	// "" what concerns them all.
	Check(ctx context.Context) (map[string]string, error)
}

// View is a consistent view of the books. Sequences end at their first error.
type View interface {
	// Revisions yields every published document, by seq.
	Revisions(ctx context.Context) iter.Seq2[Revision, error]
	// Lines yields every line, by seq.
	Lines(ctx context.Context) iter.Seq2[Line, error]
	// Claims yields every claim with its order and charges, in the order
	// decided.
	Claims(ctx context.Context) iter.Seq2[Claim, error]
	// Quotas yields what every buyer of every sale has.
	Quotas(ctx context.Context) iter.Seq2[Quota, error]
	// Balances yields every account but Outside, which has none.
	Balances(ctx context.Context) iter.Seq2[AccountBalance, error]
}

// Revision is one published document of a sale.
type Revision struct {
	Seq    int64 // the ledger's seq when it was published
	Number int64
	Sale   shop.Sale
	At     time.Time
}

// AccountBalance is an account with its units.
type AccountBalance struct {
	Account Account
	Units   int64
}
