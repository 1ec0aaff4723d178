package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The crowd of the project's first promise.
const (
	crowdBuyers      = 20_000
	crowdUnits       = 500
	crowdConnections = 2_000 // open at once, with a request on each
	crowdMax         = 4 * time.Minute
	crowdSale        = "crowd"
)

// crowd is a sale and everybody who wants something of it.
type crowd struct {
	*street
	t     *testing.T
	sale  *sale
	op    *operator
	board board
	seed  uint64

	looks  atomic.Int64 // at the ledger while the crowd pressed
	repaid atomic.Int64 // payments at the sandbox
}

// TestCrowd sells 500 units to 20,000 buyers who come at once: a tenth of them
// greedy, three tenths not paying.
func TestCrowd(t *testing.T) {
	n := prepare(t, setup{})
	n.start(t)
	n.ready(t)
	c := &crowd{
		street: newStreet(t, n, crowdConnections), t: t, op: n.operator(), seed: seed(t),
		sale: newSale(crowdSale, 2, map[string]int64{"eu-40": 60, "eu-41": 100, "eu-42": 150, "eu-43": 100, "eu-44": 70, "eu-45": 20}),
	}
	c.sale.OpensAt = time.Now().Add(4 * time.Second).Truncate(time.Millisecond)
	c.op.publish(t, c.sale)
	ctx, cancel := context.WithTimeout(t.Context(), crowdMax)
	defer cancel()
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { c.watchLedger(watching) })
	watchers.Go(func() { c.board.watch(watching, c.street, c.sale.ID) })

	began := time.Now()
	var buyers sync.WaitGroup
	for i := range crowdBuyers {
		v := c.visitor(i)
		buyers.Go(func() { v.shop(ctx) })
	}
	buyers.Wait()
	took := time.Since(began)
	stop()
	watchers.Wait()
	if ctx.Err() != nil {
		t.Errorf("buyers are still waiting after %s", crowdMax)
	}
	c.settled(n, took)
}

// watchLedger asks for the balances again and again: at every moment all
// units are somewhere.
func (c *crowd) watchLedger(ctx context.Context) {
	for rest(ctx, 20*time.Millisecond) {
		status, body, err := c.op.do(http.MethodGet, "/sales/"+c.sale.ID, nil)
		stand := &sale{}
		if err == nil && status == http.StatusOK {
			err = json.Unmarshal(body, stand)
		}
		if err != nil || status != http.StatusOK {
			c.t.Errorf("ask the ledger: %d %v %s", status, err, body)
			continue
		}
		all := stand.sum()
		if all.Total != crowdUnits || all.Sold+all.free()+all.Held != crowdUnits || all.Withdrawn != 0 {
			c.t.Errorf("units at one moment: %+v, want sold + available + held = %d", all, crowdUnits)
		}
		for _, i := range stand.Items {
			if i.leak() != 0 {
				c.t.Errorf("units of %s at one moment: %+v", i.SKU, i.accounts)
			}
		}
		c.looks.Add(1)
	}
}

// settled checks the end: everything paid, every answer kept.
func (c *crowd) settled(n *node, took time.Duration) {
	t := c.t
	stand := c.op.sale(t, c.sale.ID)
	if all := stand.sum(); all.Sold != crowdUnits || all.Held != 0 || all.free() != 0 {
		t.Errorf("at the end: %+v, want %d sold", all, crowdUnits)
	}
	orders := c.op.orders(t, c.sale.ID)
	paid := int64(0)
	for _, each := range orders {
		if each.Status == "paid" {
			paid += each.Quantity
		}
	}
	if paid != crowdUnits {
		t.Errorf("orders for %d units are paid, want %d", paid, crowdUnits)
	}
	for _, fault := range c.history.faults(c.sale, orders) {
		t.Error(fault)
	}
	c.op.audit(t, c.sale.ID)
	n.stop(t)
	n.audited(t)
	verdicts := c.history.verdicts(c.sale.ID)
	soldOutIsTrue(t, n.dir, c.sale.ID, verdicts)

	figures := c.history.figures()
	t.Logf("%d units sold to %d buyers in %s: %d questions, %d at the worst second, half answered in %s, 99 %% in %s",
		crowdUnits, crowdBuyers, took.Round(time.Second), figures.asked, figures.rush, figures.half, figures.nearlyAll)
	t.Logf("%d paid at the sandbox, %d orders in all, %d looks at the ledger, %d final “sold out” proved", c.repaid.Load(), len(orders), c.looks.Load(), len(verdicts))
	for _, name := range sorted(figures.answers) {
		t.Logf("  %8d × %s", figures.answers[name], name)
	}
}

// visitor is one buyer of the crowd and their character.
type visitor struct {
	*shopper
	*crowd
	rng    *rand.Rand
	keys   int
	greedy bool
	pays   bool
	tries  int             // how often they come back; −1: as long as units may return
	gone   map[string]bool // SKUs that are sold out for ever
	want   string
}

func (c *crowd) visitor(i int) *visitor {
	rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
	v := &visitor{
		shopper: c.shopper(c.t, fmt.Sprintf("buyer-%05d", i)), crowd: c, rng: rng,
		greedy: i%10 == 0, pays: rng.IntN(10) >= 3, tries: -1, gone: map[string]bool{},
	}
	if !v.pays {
		v.tries = 2 // who will not pay does not wait long either
	}
	v.want = c.sale.Items[rng.IntN(len(c.sale.Items))].SKU
	return v
}

func (v *visitor) key() string {
	v.keys++
	return fmt.Sprintf("key-%d", v.keys)
}

// shop is a buyer's whole way, from before the opening to an order or to
// "sold out" for ever.
func (v *visitor) shop(ctx context.Context) {
	early := time.Duration(v.rng.IntN(300)) * time.Millisecond
	if !rest(ctx, time.Until(v.sale.OpensAt.Add(-early))) {
		return
	}
	if v.greedy {
		v.grab(ctx)
	}
	key := v.key()
	for {
		got := v.try(ctx, wish{v.sale.ID, key, v.want, 1})
		if got != nil && got.kind() == refused {
			key = v.key() // the old one is bound
		}
		switch {
		case got == nil, got.code == "limit_reached":
			return
		case got.kind() == decided:
			v.settleUp(ctx, got.order)
			return
		case got.code == "missed": // a new key may win
		case got.gone() || got.kind() == refused && got.order.Reason == "sold_out":
			v.gone[v.want] = true
			if !v.elsewhere() {
				return
			}
		case got.code == "sold_out", got.code == "not_enough":
			if v.tries == 0 || !v.linger(ctx) {
				return
			}
			v.tries--
		default:
			v.t.Errorf("%s: unexpected %s", v.name, got)
			return
		}
	}
}

// try asks until there is an answer that is more than "ask again"; nil: ctx
// ended.
func (v *visitor) try(ctx context.Context, w wish) *answer {
	for {
		a := v.buy(ctx, w)
		if k := a.kind(); ctx.Err() != nil {
			return nil
		} else if k != unknown && k != pending && a.code != "not_open" {
			return a
		}
		if a.status >= http.StatusInternalServerError && a.code != "unavailable" && a.code != "overloaded" {
			v.t.Errorf("%s: %s", v.name, a)
		}
		wait := max(a.wait, 50*time.Millisecond)
		if a.code == "not_open" {
			wait = 50 * time.Millisecond // the button was pressed too early
		}
		if !rest(ctx, wait+time.Duration(v.rng.IntN(200))*time.Millisecond) {
			return nil
		}
	}
}

// grab is greed: too many at once, two tabs, the same key again, other keys.
func (v *visitor) grab(ctx context.Context) {
	over := v.try(ctx, wish{v.sale.ID, v.key(), v.want, v.sale.Limit + 1})
	if over != nil && over.code != "limit_reached" && over.code != "sold_out" {
		v.t.Errorf("%s asked for more than the limit: %s", v.name, over)
	}
	double := wish{v.sale.ID, v.key(), v.want, 2}
	var tabs sync.WaitGroup
	for range 2 {
		other := *v
		other.rng = rand.New(rand.NewPCG(v.seed, v.rng.Uint64()))
		tabs.Go(func() { other.try(ctx, double) })
	}
	tabs.Wait()
	again := v.try(ctx, double)
	if again == nil {
		return
	}
	if again.kind() != decided {
		return
	}
	more := v.try(ctx, wish{v.sale.ID, v.key(), v.want, 1})
	if more != nil && more.kind() == decided && again.order.live() {
		v.t.Errorf("%s has two units and got another: %s", v.name, more)
	}
	v.settleUp(ctx, again.order)
}

// settleUp pays, gives back, or walks away.
func (v *visitor) settleUp(ctx context.Context, o *order) {
	if o.Status == "paid" {
		return
	}
	if !v.pays {
		if v.rng.IntN(6) == 0 {
			v.insist(ctx, func() error {
				if status := v.cancel(ctx, o.ID); status != http.StatusOK {
					return fmt.Errorf("cancel: %d", status)
				}
				return nil
			})
		}
		return
	}
	if v.rng.IntN(2) == 0 {
		v.insist(ctx, func() error { return v.op.paid(o.ID, "till-"+o.ID) })
		return
	}
	v.insist(ctx, func() error { return v.checkout(ctx, o.ID) })
	v.insist(ctx, func() error {
		now, status := v.order(ctx, o.ID)
		if now == nil || now.Status != "paid" {
			return fmt.Errorf("order %s after paying: %d %+v", o.ID, status, now)
		}
		return nil
	})
	v.repaid.Add(1)
}

// insist repeats what must work in the end.
func (v *visitor) insist(ctx context.Context, do func() error) {
	for {
		err := do()
		if err == nil {
			return
		}
		if !rest(ctx, time.Duration(200+v.rng.IntN(300))*time.Millisecond) {
			v.t.Errorf("%s: %v", v.name, err)
			return
		}
	}
}

// elsewhere turns to an item that is not sold out for ever.
func (v *visitor) elsewhere() bool {
	for _, i := range v.rng.Perm(len(v.sale.Items)) {
		if sku := v.sale.Items[i].SKU; !v.gone[sku] {
			v.want = sku
			return true
		}
	}
	return false
}

// linger waits until the page shows units again, or some time has passed; and
// turns to what the page shows.
func (v *visitor) linger(ctx context.Context) bool {
	changed, shown := v.board.read()
	if len(shown) == 0 {
		timer := time.NewTimer(time.Duration(15+v.rng.IntN(10)) * time.Second)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		_, shown = v.board.read()
	}
	if len(shown) > 0 && !slices.Contains(shown, v.want) {
		v.want = shown[v.rng.IntN(len(shown))]
	}
	return rest(ctx, time.Duration(v.rng.IntN(1000))*time.Millisecond)
}

// board is the state that every page polls, fetched once for all as a CDN
// would.
type board struct {
	mu      sync.Mutex
	shown   []string // SKUs that are not sold out
	changed chan struct{}
}

func (b *board) read() (changed <-chan struct{}, shown []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed, b.shown
}

func (b *board) watch(ctx context.Context, s *street, sale string) {
	for rest(ctx, 500*time.Millisecond) {
		status, body := fetch(ctx, s.base+"/s/"+sale+"/state.json")
		var state struct {
			Items []struct{ SKU, State string } `json:"items"`
		}
		if status != http.StatusOK || json.Unmarshal([]byte(body), &state) != nil {
			continue
		}
		var shown []string
		for _, i := range state.Items {
			if i.State != "sold_out" {
				shown = append(shown, i.SKU)
			}
		}
		b.show(shown)
	}
}

func (b *board) show(shown []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil && strings.Join(shown, " ") != strings.Join(b.shown, " ") {
		close(b.changed)
		b.changed = nil
	}
	b.shown = shown
}
