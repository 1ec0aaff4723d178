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
// Identify, AdmitBuyer, Challenges. All of it is safe for many callers at once,
// and times are in Unix nanoseconds.
type Gate struct {
	Proxies    *Proxies
	Addresses  *Limiter // by KeyOf
	Buyers     *Limiter // by the buyer's id; orders and challenges only
	Tokens     *Verifier
	Challenger Challenger // may be nil where no sale has a challenge
	// Suspect reports whether a buyer of a sale whose challenge is for suspects
	// is one; nil: nobody is.
	Suspect func(who Identity, sale string, now int64) bool
	Counts  Counts
}

// errOtherSale answers a guest of one sale who tries another.
var errOtherSale error = shop.Refusal{
	Code:   shop.Forbidden,
	Detail: "This token is good for another sale only. Ask for one of this sale.",
}

// Strangers returns what Admit and Identify refuse with, for who would write it
// beforehand: they differ from call to call in how long to wait only.
func Strangers() (crowd, nobody shop.Refusal) {
	no, _ := errors.AsType[shop.Refusal](errUnauthorized)
	return tooMany(0), no
}

// Client returns the address that counts as the buyer's.
func (g *Gate) Client(peer netip.Addr, forwarded [][]byte) netip.Addr {
	return g.Proxies.Client(peer, forwarded)
}

// Admit lets a request of the address pass, or returns the refusal.
func (g *Gate) Admit(client netip.Addr, now int64) error {
	key := KeyOf(client)
	ok, wait := g.Addresses.Allow(key[:], now)
	if ok {
		return nil
	}
	g.Counts.add(AddressLimit)
	return g.Addresses.refusal(wait)
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
// refusal.
func (g *Gate) AdmitBuyer(who Identity, sale string, now int64) error {
	if who.Sale != "" && who.Sale != sale {
		g.Counts.add(OtherSale)
		return errOtherSale
	}
	ok, wait := g.Buyers.AllowString(who.Buyer, now)
	if ok {
		return nil
	}
	g.Counts.add(BuyerLimit)
	return g.Buyers.refusal(wait)
}

// Challenges reports whether an order of the buyer in the sale needs a solved
// challenge.
func (g *Gate) Challenges(who Identity, sale *shop.Sale, now int64) bool {
	switch sale.Challenge {
	case shop.ChallengeAlways:
		return true
	case shop.ChallengeSuspicious:
		return g.Suspect != nil && g.Suspect(who, sale.ID, now)
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

// Reason is why the gate refused: a closed set, fit for metric labels.
type Reason uint8

// The reasons.
const (
	AddressLimit Reason = iota
	BuyerLimit
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
	case BuyerLimit:
		return "buyer_limit"
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
