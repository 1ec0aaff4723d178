package gate

import (
	"hash/maphash"
	"net/netip"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Budget is what somebody has left of one limit, as the RateLimit header fields
// tell it (draft-ietf-httpapi-ratelimit-headers). Times are whole seconds.
type Budget struct {
	Name   string
	Quota  int64 // requests at once
	Window int64 // in which a spent quota comes back
	Left   int64
	Reset  int64 // until the quota is whole again
}

// Budgets returns what an address has left of its own limit and, unless buyer
// is empty, the buyer of his. Those on the allow list have no limit to tell of.
func (g *Gate) Budgets(ask Ask, client netip.Addr, buyer string, now int64) []Budget {
	var all []Budget
	ladder, name := g.Addresses, "address"
	if ask == AskGuest {
		ladder, name = g.Guests, "guests"
	}
	if ladder != nil && !g.Lists.Allows(client) {
		key := keyFor(ask, plain(client), keyBits4, keyBits6)
		all = ladder.address.budget(all, name, key[:], now)
	}
	if buyer != "" && g.Lists.buyer(buyer) != shop.Allow {
		all = g.Buyers.budget(all, "buyer", []byte(buyer), now)
	}
	return all
}

// budget appends what key has left, and takes nothing.
func (l *Limiter) budget(to []Budget, name string, key []byte, now int64) []Budget {
	if l.off() {
		return to
	}
	hash, tick := maphash.Bytes(l.seed, key), uint64(now)>>tickShift //nolint:gosec // times wrap as they like
	first := hash & l.sets * setSlots
	print := printOf(hash)
	debt := uint64(0)
	if _, word := l.find(l.slots[first:first+setSlots], print, tick); word>>timeBits == print {
		debt = min(l.debt(word, tick), l.depth)
	}
	const perSecond = uint64(ticksPerSecond)
	return append(to, Budget{
		Name: name, Quota: int64(l.depth / l.cost), Window: int64((l.depth + perSecond - 1) / perSecond), //nolint:gosec // ParseRate bounds them
		Left: int64((l.depth - debt) / l.cost), Reset: int64((debt + perSecond - 1) / perSecond), //nolint:gosec // likewise
	})
}
