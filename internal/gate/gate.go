// Package gate says who may try: identity, limits, block lists, what is sold
// out. A no costs no lock and no memory that a stranger can grow.
package gate

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"sync/atomic"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Gate is what a door asks before anything dear, in this order: Client, Admit,
// Identify, AdmitBuyer, Challenges, Seat, AdmitShared. All of it is safe for many callers at
// once, and times are in Unix nanoseconds. A limit that is nil is off.
type Gate struct {
	Proxies    *Proxies
	Lists      Lists
	Addresses  *Ladder  // by address, for each Ask but AskGuest
	Guests     *Ladder  // by address, for AskGuest: each call makes a new buyer
	Buyers     *Limiter // by the buyer's id; orders and challenges only
	Sales      *Limiter // by sale and buyer; orders under new keys only, and challenges
	Waiting    *Waiting // orders at the desk
	Shared     Meter    // Buyers' rate, for all nodes together; nil: this node counts for itself
	Tokens     *Verifier
	Challenger Challenger // may be nil where no sale has a challenge
	Suspicion  *Suspicion // judges orders of sales whose challenge is for suspects; nil: nobody is one
	Counts     Counts
}

// Ask is what a request is for. Each has limits of its own: whoever looks at
// orders takes nothing from those who buy behind the same address.
type Ask uint8

// The kinds of requests that are limited by address.
const (
	AskOrder Ask = iota // buys
	AskGuest            // wants to be a buyer
	AskRead             // anything else of the API
)

// errOtherSale answers a guest of one sale who tries another.
var errOtherSale error = shop.Refusal{
	Code:   shop.Forbidden,
	Detail: "This token is good for another sale only. Ask for one of this sale.",
}

// Nobody is shut out without being told, and told who can undo it.
var (
	errBlockedAddress error = shop.Refusal{
		Code:   shop.Forbidden,
		Detail: "The shop takes no requests from your address. If that is a mistake, write to the shop: it can undo this at once. Another network may do until then.",
	}
	errBlockedBuyer error = shop.Refusal{
		Code:   shop.Forbidden,
		Detail: "The shop takes no new orders from you. If that is a mistake, write to the shop: it can undo this at once. Orders that you have stay yours.",
	}
)

// Strangers returns the refusals of Admit and Identify, for a door that
// prepares its answers: from call to call, only the time to wait differs.
func Strangers() (crowd, nobody, blocked shop.Refusal) {
	nobody, _ = errors.AsType[shop.Refusal](errUnauthorized)
	blocked, _ = errors.AsType[shop.Refusal](errBlockedAddress)
	return tooMany(0), nobody, blocked
}

// Client returns the address that counts as the buyer's.
func (g *Gate) Client(peer netip.Addr, forwarded [][]byte) netip.Addr {
	return g.Proxies.Client(peer, forwarded)
}

// Admit lets a request of the address pass, or returns the refusal.
func (g *Gate) Admit(ask Ask, client netip.Addr, now int64) error {
	switch g.Lists.address(client) {
	case shop.Allow:
		return nil
	case shop.Block:
		g.Counts.add(BlockedAddress)
		return errBlockedAddress
	}
	ladder, reasons := g.Addresses, [...]Reason{AddressLimit, NetworkLimit, NetworkLimit}
	if ask == AskGuest {
		ladder, reasons = g.Guests, [...]Reason{GuestLimit, GuestLimit, GuestLimit}
	}
	rung, err := ladder.take(ask, client, now)
	if err != nil {
		g.Counts.add(reasons[rung])
	}
	return err
}

// Identify tells whose token the Authorization header bears, or returns the
// refusal, which is the same whatever is wrong.
func (g *Gate) Identify(authorization []byte, now int64) (Identity, error) {
	who, err := g.Tokens.Bearer(authorization, now)
	if err != nil {
		g.Counts.add(BadToken)
	}
	return who, err
}

// AdmitBuyer lets an order of the buyer in the sale pass, or returns the
// refusal. repeat says that its key may have an answer already, which a blocked
// buyer may hear: whoever lets it pass asks Blocks before anything new is taken.
func (g *Gate) AdmitBuyer(who Identity, sale string, repeat bool, now int64) error {
	if who.Sale != "" && who.Sale != sale {
		g.Counts.add(OtherSale)
		return errOtherSale
	}
	listed := g.Lists.buyer(who.Buyer)
	if listed == shop.Allow {
		return nil
	}
	if ok, wait := g.Buyers.AllowString(who.Buyer, now); !ok {
		g.Counts.add(BuyerLimit)
		return g.Buyers.refusal(wait)
	}
	if repeat {
		return nil
	}
	if listed == shop.Block {
		return g.TurnAway()
	}
	var space [keyMax]byte
	key := append(append(append(space[:0], sale...), 0), who.Buyer...)
	if ok, wait := g.Sales.Allow(key, now); !ok {
		g.Counts.add(SaleLimit)
		return g.Sales.refusal(wait)
	}
	return nil
}

// Challenges reports whether an order needs a solved challenge.
func (g *Gate) Challenges(a *Attempt) bool {
	switch a.Sale.Challenge {
	case shop.ChallengeAlways:
		return true
	case shop.ChallengeSuspicious:
		return g.judge(a)
	}
	return false
}

// Solved reports whether the proof solves the task. An error is a fault: nobody
// knows.
func (g *Gate) Solved(ctx context.Context, task Task, proof []byte) (bool, error) {
	if len(proof) > 0 {
		if solved, err := g.Challenger.Solved(ctx, task, proof); solved || err != nil {
			return solved, err
		}
	}
	g.Counts.add(Unsolved)
	return false, nil
}

// Blocks reports whether a buyer may take nothing new.
func (g *Gate) Blocks(buyer string) bool { return g.Lists.buyer(buyer) == shop.Block }

// TurnAway returns what a blocked buyer hears, and counts it.
func (g *Gate) TurnAway() error {
	g.Counts.add(BlockedBuyer)
	return errBlockedBuyer
}

// keyMax has room for the longest sale id, a zero and the longest buyer id.
const keyMax = 64 + 1 + shop.BuyerMax

// Reason is why the gate refused: a closed set, fit for metric labels.
type Reason uint8

// The reasons.
const (
	AddressLimit Reason = iota
	NetworkLimit
	GuestLimit
	BuyerLimit
	SaleLimit
	SharedLimit
	BuyerWaiting
	AddressWaiting
	BlockedAddress
	BlockedBuyer
	BadToken
	OtherSale
	Unsolved
)

// reasonCount is how many reasons there are.
const reasonCount = int(Unsolved) + 1

func (r Reason) String() string {
	switch r {
	case AddressLimit:
		return "address_limit"
	case NetworkLimit:
		return "network_limit"
	case GuestLimit:
		return "guest_limit"
	case BuyerLimit:
		return "buyer_limit"
	case SaleLimit:
		return "sale_limit"
	case SharedLimit:
		return "shared_limit"
	case BuyerWaiting:
		return "buyer_waiting"
	case AddressWaiting:
		return "address_waiting"
	case BlockedAddress:
		return "blocked_address"
	case BlockedBuyer:
		return "blocked_buyer"
	case BadToken:
		return "bad_token"
	case OtherSale:
		return "other_sale"
	case Unsolved:
		return "unsolved"
	}
	return "unknown"
}

// Counts counts refusals by their reason, from the start of the process.
type Counts struct {
	byReason [reasonCount]struct {
		atomic.Uint64
		_ [56]byte // a cache line each: reasons do not slow each other down
	}
}

func (c *Counts) add(reason Reason) { c.byReason[reason].Add(1) }

// All returns every reason and how often it was given.
func (c *Counts) All() iter.Seq2[Reason, uint64] {
	return func(yield func(Reason, uint64) bool) {
		for reason := Reason(0); int(reason) < reasonCount; reason++ {
			if !yield(reason, c.byReason[reason].Load()) {
				return
			}
		}
	}
}
