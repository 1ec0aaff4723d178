package shop

import (
	"strconv"
	"time"
)

// Bucket is one part of a sale's fast stock: what one slot of a cluster
// holds. It bears all SKUs of the sale.
type Bucket struct {
	Sale   string
	Number int
}

func (b Bucket) String() string { return b.Sale + "/" + strconv.Itoa(b.Number) }

// Ticket is a provisional claim on units that the stock took aside. Its only
// promise is that the ledger decides it, or that the buyer hears "ask again".
type Ticket struct {
	Claim    ClaimID
	Bucket   Bucket
	Epoch    int64  // of the bucket's stock when it was written
	Seq      int64  // of the bucket in that epoch, from 1
	Nonce    uint64 // chosen by the desk; tells two tickets of one seq apart
	KeyPrint uint64 // Hasher.KeyPrint of the sale and Idempotency-Key
	Buyer    string
	SKU      string
	Quantity int64
	At       time.Time // when the stock wrote it, the node's clock
}

// Same reports whether t and other are this very ticket, not merely tickets
// of one claim. Only the very same one may consume what it took.
func (t *Ticket) Same(other *Ticket) bool {
	return t.Bucket == other.Bucket && t.Epoch == other.Epoch && t.Seq == other.Seq &&
		t.Nonce == other.Nonce && t.SKU == other.SKU && t.Quantity == other.Quantity &&
		t.Buyer == other.Buyer && t.Claim == other.Claim
}

// Verdict is what becomes of the units that a ticket took from the stock.
// There is no third one.
type Verdict uint8

// The verdicts.
const (
	Consumed Verdict = iota // the ledger moved them out of the grant: they are gone from the stock
	Returned                // the ledger did not: they go back to free
)
