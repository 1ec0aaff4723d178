package checkout

import (
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// decisionShards is how many locks those who wait are spread over.
const decisionShards = 64

// Decisions brings the ledger's answers to the buyers who wait for them. It
// holds nothing for anybody who has left.
type Decisions struct {
	shards [decisionShards]decisionShard
}

type decisionShard struct {
	sync.Mutex
	waiting map[shop.ClaimID]*Waiter
}

// NewDecisions returns an empty waiting room.
func NewDecisions() *Decisions {
	d := &Decisions{}
	for i := range d.shards {
		d.shards[i].waiting = map[shop.ClaimID]*Waiter{}
	}
	return d
}

// Waiter waits for one claim's decision, for any number of callers.
type Waiter struct {
	shard   *decisionShard
	claim   shop.ClaimID
	callers int
	done    chan struct{}
	order   shop.Order
	nonce   uint64
}

// Expect begins to wait for a claim. Call it before the ticket is written, and
// Leave once.
func (d *Decisions) Expect(claim shop.ClaimID) *Waiter {
	shard := &d.shards[claim.Short()%decisionShards]
	shard.Lock()
	defer shard.Unlock()
	waiter, ok := shard.waiting[claim]
	if !ok {
		waiter = &Waiter{shard: shard, claim: claim, done: make(chan struct{})}
		shard.waiting[claim] = waiter
	}
	waiter.callers++
	return waiter
}

// Announce wakes everybody who waits for one of the decisions.
func (d *Decisions) Announce(decisions []ledger.Decision) {
	for i := range decisions {
		claim := decisions[i].Order.ID
		shard := &d.shards[claim.Short()%decisionShards]
		shard.Lock()
		if waiter, ok := shard.waiting[claim]; ok {
			delete(shard.waiting, claim)
			waiter.order, waiter.nonce = decisions[i].Order, decisions[i].Nonce
			close(waiter.done)
		}
		shard.Unlock()
	}
}

// awaits reports whether somebody waits for the claim.
func (d *Decisions) awaits(claim shop.ClaimID) bool {
	shard := &d.shards[claim.Short()%decisionShards]
	shard.Lock()
	defer shard.Unlock()
	_, ok := shard.waiting[claim]
	return ok
}

// Done closes when the claim is decided.
func (w *Waiter) Done() <-chan struct{} { return w.done }

// Order is what was decided; to be read only after Done.
func (w *Waiter) Order() shop.Order { return w.order }

// Nonce is that of the ticket that was decided, 0 where nobody knows; to be
// read only after Done.
func (w *Waiter) Nonce() uint64 { return w.nonce }

// Leave ends one caller's wait.
func (w *Waiter) Leave() {
	w.shard.Lock()
	defer w.shard.Unlock()
	w.callers--
	if w.callers == 0 && w.shard.waiting[w.claim] == w {
		delete(w.shard.waiting, w.claim)
	}
}
