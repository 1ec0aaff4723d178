// Package shop holds the nouns of a flash sale and the rules they obey. It
// does no I/O and knows no clock.
package shop

import (
	"strings"
	"time"
)

// Sale is one flash sale as its operator published it.
type Sale struct {
	ID            string
	Title         string
	Description   string
	Image         string    // address of a picture; empty: none
	PageURL       string    // where the buyer returns to; empty: /s/{id}
	PayURL        string    // of the shop's own checkout, with PayOrder in it; empty: the node's cashier
	SignInURL     string    // where a buyer without a token is sent; empty: nowhere
	OpensAt       time.Time // UTC
	ClosesAt      time.Time // UTC; zero: closed by hand
	Hold          time.Duration
	LimitPerBuyer int64 // units of this sale that a buyer may hold or own
	Guests        bool
	Challenge     string // never, suspicious, always
	Early         string // normal, strict
	Items         []Item
}

// EarlyStrict wants each order to bear the opening key (Hasher.Opening), which
// nobody outside has before the sale opens.
const EarlyStrict = "strict"

// Item is one stock-keeping unit of a sale.
type Item struct {
	SKU   string
	Title string
	Stock int64 // units published, all in all
	Price Money
}

// Money is an amount in the currency's minor units (cents), never a float.
type Money struct {
	Amount   int64
	Currency string // ISO 4217
}

// Bounds of a sale document, from the public contract.
const (
	StockMax    = 100_000_000
	LimitMax    = 1000
	HoldMin     = 30 * time.Second
	HoldMax     = 24 * time.Hour
	ItemsMax    = 2000                            // a document stays under a megabyte
	AmountMax   = 1 << 43                         // × LimitMax stays inside int64 with room to add up
	DocumentMax = 1 << 20                         // bytes of a sale document
	textMax     = 200                             // runes of a title
	longMax     = 4000                            // runes of a description
	addressMax  = 2000                            // bytes of a URL
	idMax       = 63                              // bytes of a sale id or SKU
	BuyerMax    = 128                             // bytes of a buyer's id
	KeyMax      = 64                              // bytes of an Idempotency-Key
	timeLayout  = "2006-01-02T15:04:05.999Z07:00" // RFC 3339; what a sale document writes
)

// Who has to solve a challenge before an order: what Sale.Challenge may be.
const (
	ChallengeNever      = "never"
	ChallengeSuspicious = "suspicious"
	ChallengeAlways     = "always"
)

// HasChallenge reports whether any buyer may have to solve one.
func (s *Sale) HasChallenge() bool {
	return s.Challenge == ChallengeSuspicious || s.Challenge == ChallengeAlways
}

// Item returns the item with that SKU.
func (s *Sale) Item(sku string) (Item, bool) {
	for i := range s.Items {
		if s.Items[i].SKU == sku {
			return s.Items[i], true
		}
	}
	return Item{}, false
}

// Phase is where a sale stands. Sold out is not a phase: units may come back.
type Phase uint8

// The phases of a sale. Their numbers are stored: never reorder.
const (
	Scheduled Phase = iota
	Open
	Paused
	Closed
)

func (p Phase) String() string {
	switch p {
	case Scheduled:
		return "scheduled"
	case Open:
		return "open"
	case Paused:
		return "paused"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Verb is what an operator may ask of a sale's phase.
type Verb string

// The operator's verbs.
const (
	VerbOpen   Verb = "open"
	VerbPause  Verb = "pause"
	VerbResume Verb = "resume"
	VerbClose  Verb = "close"
)

// After returns the phase that verb leads to from p, and whether it leads
// anywhere: a second call of the same verb does, and changes nothing.
func (p Phase) After(verb Verb) (Phase, bool) {
	switch verb {
	case VerbOpen:
		return Open, p == Scheduled || p == Open
	case VerbPause:
		return Paused, p == Open || p == Paused
	case VerbResume:
		return Open, p == Paused || p == Open
	case VerbClose:
		return Closed, true
	}
	return p, false
}

// DueAt returns the phase that the sale's times ask for at now. It never
// leads back: a clock that jumps cannot reopen or reschedule a sale.
func (s *Sale) DueAt(now time.Time, p Phase) Phase {
	if p == Scheduled && !now.Before(s.OpensAt) {
		p = Open
	}
	if p != Scheduled && !s.ClosesAt.IsZero() && !now.Before(s.ClosesAt) {
		p = Closed
	}
	return p
}

// PayOrder stands in a sale's PayURL where the order's id goes.
const PayOrder = "{order}"

// PayAt returns the address at which the shop's own checkout takes the money for
// an order.
func (s *Sale) PayAt(order ClaimID) string {
	return strings.ReplaceAll(s.PayURL, PayOrder, order.String())
}
