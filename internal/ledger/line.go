package ledger

import (
	"cmp"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Name is the kind of an account. Numbers are stored: never reorder.
type Name uint8

// The accounts of a SKU, each in units and never below zero. Outside is where
// units come from and has no balance.
const (
	Outside Name = iota
	Pool
	Granted
	Held
	Sold
	Withdrawn
)

func (n Name) String() string {
	switch n {
	case Outside:
		return "OUTSIDE"
	case Pool:
		return "POOL"
	case Granted:
		return "GRANT"
	case Held:
		return "HELD"
	case Sold:
		return "SOLD"
	case Withdrawn:
		return "WITHDRAWN"
	}
	return "UNKNOWN"
}

// Account is one balance of one SKU. Bucket counts only for Granted.
type Account struct {
	Sale   string
	SKU    string
	Name   Name
	Bucket int
}

func (a Account) compare(b Account) int {
	return cmp.Or(strings.Compare(a.Sale, b.Sale), strings.Compare(a.SKU, b.SKU),
		int(a.Name)-int(b.Name), a.Bucket-b.Bucket)
}

// Kind is what a ledger line records. Numbers are stored: never reorder.
type Kind uint8

// The kinds of lines; beside each, the accounts and what Line.Ref names.
const (
	KindSeed     Kind = iota + 1 // outside → POOL; sale, sku, revision
	KindGrant                    // POOL → GRANT[b]; sale, b, epoch, number
	KindClaim                    // GRANT[b] or POOL → HELD; claim id
	KindPay                      // HELD → SOLD; order, reference
	KindRelease                  // HELD → POOL; order
	KindRetake                   // POOL → SOLD; order, reference
	KindReturn                   // SOLD → POOL; order and why it came back
	KindReclaim                  // GRANT[b] → POOL; sale, b, epoch, number
	KindBump                     // GRANT[b] → POOL; sale, b, new epoch, sku
	KindWithdraw                 // POOL → WITHDRAWN; sale, sku, revision, or a called-off order
)

func (k Kind) String() string {
	names := [...]string{
		"unknown", "seed", "grant", "claim", "pay", "release", "retake", "return",
		"reclaim", "bump", "withdraw",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// SeqBlock is where a line's seq may begin anew: a machine with several
// writers gives each transaction a block of so many numbers of its own, and
// leaves those that it does not need. Within a block none is missing.
const SeqBlock = 4096

// Line is one move of units. Lines are only ever appended, and no two of a
// kind bear the same ref.
type Line struct {
	Seq      int64
	Sale     string
	SKU      string
	Kind     Kind
	From, To Name
	Bucket   int // of the GRANT side, where there is one
	Quantity int64
	Claim    *shop.ClaimID // of the kinds that concern an order
	Buyer    string        // of that order; the machine fills it in when it reads lines
	Ref      string        // what makes the move unique beside Claim
	At       time.Time     // the ledger's clock
}
