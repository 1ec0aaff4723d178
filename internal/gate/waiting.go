package gate

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Bounds of orders that wait for their decision at once.
const (
	// WaitingPerBuyer lets a buyer ask again whose line broke, and press in two
	// windows. More at once is a script.
	WaitingPerBuyer = 4
	// WaitingPerAddress is a tenth of the desk: no single line fills it, and a
	// campus behind one address finds room.
	WaitingPerAddress = 1000
	// tallySlots makes a tally of 1 MiB. With 10,000 who wait, one newcomer in a
	// hundred million shares both counters with enough of them to be refused.
	tallySlots = 1 << 17
)

// Waiting counts who waits for a decision, in tables that are made once. nil
// lets everybody in.
type Waiting struct {
	buyers, addresses tally
}

// NewWaiting bounds the orders of one buyer and of one address; 0 is no bound.
func NewWaiting(perBuyer, perAddress int32) *Waiting {
	return &Waiting{newTally(perBuyer), newTally(perAddress)}
}

// tally counts by key in two rows, at a place of its own in each. Strangers who
// share one of a key's places make it seem fuller; the emptier one is believed.
type tally struct {
	most int32 // 0: no bound
	seed maphash.Seed
	rows [2][]atomic.Int32
}

func newTally(most int32) tally {
	t := tally{most: most}
	if most > 0 {
		t.seed = maphash.MakeSeed()
		t.rows = [2][]atomic.Int32{make([]atomic.Int32, tallySlots), make([]atomic.Int32, tallySlots)}
	}
	return t
}

// places are a key's counters; nil where the tally has no bound.
type places [2]*atomic.Int32

func (t *tally) enter(key []byte) (places, bool) {
	if t.most == 0 {
		return places{}, true
	}
	hash := maphash.Bytes(t.seed, key)
	p := places{&t.rows[0][hash%tallySlots], &t.rows[1][hash>>32%tallySlots]}
	if min(p[0].Add(1), p[1].Add(1)) <= t.most {
		return p, true
	}
	p.leave()
	return places{}, false
}

func (p places) leave() {
	for _, place := range p {
		if place != nil {
			place.Add(-1)
		}
	}
}

// Seat is a place where an order waits for its decision.
type Seat struct{ buyer, address places }

// Leave gives the place up.
func (s Seat) Leave() {
	s.buyer.leave()
	s.address.leave()
}

// errWaiting answers who has too many orders under way. A decision takes well
// under a second.
var errWaiting error = shop.Refusal{
	Code:       shop.TooManyRequests,
	Detail:     "Orders of yours, or from where you are, wait for their decision. Wait as long as Retry-After says, then ask with the same Idempotency-Key.",
	RetryAfter: time.Second,
}

// Seat finds an order a place to wait in, or returns the refusal.
func (g *Gate) Seat(buyer string, client netip.Addr) (seat Seat, err error) {
	if g.Waiting == nil {
		return seat, nil
	}
	var ok bool
	if g.Lists.buyer(buyer) != shop.Allow {
		var space [shop.BuyerMax]byte
		if seat.buyer, ok = g.Waiting.buyers.enter(append(space[:0], buyer...)); !ok {
			g.Counts.add(BuyerWaiting)
			return seat, errWaiting
		}
	}
	if !g.Lists.Allows(client) {
		key := KeyOf(client)
		if seat.address, ok = g.Waiting.addresses.enter(key[:]); !ok {
			g.Counts.add(AddressWaiting)
			seat.Leave()
			return Seat{}, errWaiting
		}
	}
	return seat, nil
}
