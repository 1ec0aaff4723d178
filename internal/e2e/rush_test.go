package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Bounds of a rush: enough at once that a kill always finds something half
// done, and little enough that every promise can be checked after each.
const (
	rushBuyers  = 2000
	rushWorkers = 32
	rushThink   = 20 // milliseconds at most between two questions of a worker
	rushMemory  = 4096
	deepUnits   = 20_000 // of each SKU of the deep sale
)

// rush is load of every kind on two sales: one so deep that it never ends,
// one so scarce that its last units change hands all the time.
type rush struct {
	*street
	node         *node // nil: several
	op           *operator
	deep, scarce *sale
	shoppers     []*shopper
	seed         uint64
	rounds       uint64

	mu     sync.Mutex
	past   []visit // the newest, at most rushMemory
	oldest int
	fresh  int // buyers who came only once
}

// visit is a question asked before, with the order it led to, if any.
type visit struct {
	who   *shopper
	wish  wish
	order string
}

func newRush(t *testing.T, n *node) *rush {
	t.Helper()
	r := newRushOn(t, newStreet(t, n, rushWorkers+4), n.operator())
	r.node = n
	return r
}

// newRushOn is a rush on a street, whoever serves it.
func newRushOn(t *testing.T, s *street, op *operator) *rush {
	t.Helper()
	r := &rush{
		street: s, op: op, seed: seed(t),
		deep:   newSale("deep", 40, map[string]int64{"a": deepUnits, "b": deepUnits, "c": deepUnits}),
		scarce: newSale("scarce", 2, map[string]int64{"x": 12, "y": 12, "z": 1}),
	}
	for i := range rushBuyers {
		r.shoppers = append(r.shoppers, r.shopper(t, fmt.Sprintf("buyer-%04d", i)))
	}
	return r
}

// press lets all workers ask until ctx ends.
func (r *rush) press(ctx context.Context) {
	r.rounds++
	var workers sync.WaitGroup
	for i := range rushWorkers {
		rng := rand.New(rand.NewPCG(r.seed+r.rounds<<16, uint64(i)))
		workers.Go(func() {
			for rest(ctx, time.Duration(rng.IntN(rushThink*1000))*time.Microsecond) {
				r.ask(ctx, rng)
			}
		})
	}
	workers.Wait()
}

// ask does one thing that buyers do.
func (r *rush) ask(ctx context.Context, rng *rand.Rand) {
	who := r.shoppers[rng.IntN(len(r.shoppers))]
	dice := rng.IntN(20)
	if dice < 9 {
		r.first(ctx, who, rng)
		return
	}
	before, ok := r.recall(rng)
	if !ok {
		return
	}
	switch {
	case dice < 12: // a repeat, also of what was never answered
		r.remember(before.who, before.who.buy(ctx, before.wish))
	case dice < 13: // the key again for something else
		other := before.wish
		other.quantity++
		before.who.buy(ctx, other)
	case before.order == "":
	case dice < 15:
		before.who.cancel(ctx, before.order)
	case dice < 17:
		_ = r.op.paid(before.order, "till-"+before.order) // may come too late
	case dice < 18:
		_ = before.who.checkout(ctx, before.order) // the same
	case dice < 19:
		before.who.order(ctx, before.order)
	default:
		_, _ = before.who.orders(ctx, before.wish.sale) // nothing to check while killed
	}
}

// first asks for something new.
func (r *rush) first(ctx context.Context, who *shopper, rng *rand.Rand) {
	target := r.deep
	if rng.IntN(3) == 0 {
		target = r.scarce
	}
	w := wish{
		sale: target.ID, key: fmt.Sprintf("k-%016x", rng.Uint64()),
		sku: target.Items[rng.IntN(len(target.Items))].SKU, quantity: 1 + rng.Int64N(2),
	}
	r.remember(who, who.buy(ctx, w))
}

func (r *rush) remember(who *shopper, a *answer) {
	v := visit{who: who, wish: a.wish}
	if a.kind() == decided {
		v.order = a.order.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.past) < rushMemory {
		r.past = append(r.past, v)
		return
	}
	r.past[r.oldest%rushMemory] = v
	r.oldest++
}

func (r *rush) recall(rng *rand.Rand) (visit, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.past) == 0 {
		return visit{}, false
	}
	return r.past[rng.IntN(len(r.past))], true
}

// verify checks everything that was ever promised, after a restart.
func (r *rush) verify(t *testing.T) {
	t.Helper()
	for _, s := range []*sale{r.deep, r.scarce} {
		orders := r.op.orders(t, s.ID)
		for _, fault := range r.history.faults(s, orders) {
			t.Error(fault)
		}
		r.balanced(t, s.ID)
		r.unbarred(t, s, orders)
		r.op.audit(t, s.ID)
	}
	r.node.audited(t)
}

// balanced wants every unit that was published to be somewhere.
func (r *rush) balanced(t *testing.T, id string) {
	t.Helper()
	for _, i := range r.op.sale(t, id).Items {
		if i.leak() != 0 || i.Total-i.Withdrawn != i.Stock {
			t.Errorf("units of %s: %+v, published are %d", i.SKU, i.accounts, i.Stock)
		}
	}
}

// unbarred wants a new buyer, and one who has been here, to get a unit while
// there is one.
func (r *rush) unbarred(t *testing.T, s *sale, orders map[string]*order) {
	t.Helper()
	r.fresh++
	live := map[string]int64{}
	for _, each := range orders {
		if each.live() {
			live[each.Buyer] += each.Quantity
		}
	}
	returning := r.shoppers[(r.fresh*37)%len(r.shoppers)]
	buyers := []*shopper{r.shopper(t, fmt.Sprintf("fresh-%05d", r.fresh))}
	if live[returning.name] < s.Limit {
		buyers = append(buyers, returning)
	}
	for _, who := range buyers {
		r.served(t, s, who)
	}
}

// served wants who to get one unit of the sale, where one is free; and gives
// it back, so that the next has one too.
func (r *rush) served(t *testing.T, s *sale, who *shopper) {
	t.Helper()
	key := fmt.Sprintf("served-%d-%s", r.fresh, s.ID)
	within(t, readyMax, func() error {
		for _, i := range r.op.sale(t, s.ID).Items {
			if i.free() == 0 {
				continue
			}
			a := who.buy(t.Context(), wish{s.ID, key, i.SKU, 1})
			switch {
			case a.kind() == decided:
				if status := who.cancel(t.Context(), a.order.ID); status != http.StatusOK {
					return fmt.Errorf("cancel: %d", status)
				}
				return nil
			case a.code == "key_reused": // pending a moment ago, under the item before
				continue
			}
			return fmt.Errorf("%s is barred from %s of %s: %s", who.name, i.SKU, s.ID, a)
		}
		return nil // nothing is free
	})
}

// healed asks once more for everything that was left without an answer, and
// wants one within the time that a ticket may take.
func (r *rush) healed(t *testing.T) {
	t.Helper()
	open := map[claim]wish{}
	r.history.each(func(name claim, answers []*answer) {
		last := answers[len(answers)-1]
		for _, a := range answers {
			if k := a.kind(); k == decided || k == refused {
				return
			}
		}
		if k := last.kind(); k == unknown || k == pending {
			open[name] = last.wish
		}
	})
	known := map[string]*shopper{}
	for _, who := range r.shoppers {
		known[who.name] = who
	}
	places := make(chan struct{}, rushWorkers)
	var asked sync.WaitGroup
	for name, w := range open {
		who := known[name.buyer]
		if who == nil {
			who = r.shopper(t, name.buyer)
		}
		places <- struct{}{}
		asked.Go(func() {
			defer func() { <-places }()
			if err := answered(t.Context(), who, w); err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	t.Logf("%d questions without an answer were asked again", len(open))
}

// answered asks until there is an answer, for as long as a ticket may take.
func answered(ctx context.Context, who *shopper, w wish) error {
	deadline := time.Now().Add(readyMax)
	for {
		a := who.buy(ctx, w)
		if a.kind() != unknown && a.kind() != pending {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s has no answer after %s: %s", who.name, readyMax, a)
		}
		rest(ctx, 50*time.Millisecond)
	}
}
