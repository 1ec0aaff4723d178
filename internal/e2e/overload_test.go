package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	// slowBy is how long each piece takes on its way to PostgreSQL and back: a
	// transaction needs several.
	slowBy = 400 * time.Millisecond
	// slowMax is how long the ledger may be slow before new orders are shed, and
	// calmMax after how long all is as before.
	slowMax, calmMax = 30 * time.Second, 60 * time.Second
	shedMin          = 100
	// comingAtOnce is more than a node lets in while its ledger is slow.
	comingAtOnce = 1500
)

// TestASlowLedgerShedsNewOrdersFirst makes the way to PostgreSQL slow while a
// crowd keeps coming with new orders.
func TestASlowLedgerShedsNewOrdersFirst(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 1})
	node, op, s := f.Nodes[0], f.operator(), newStreetAt(t, "http://"+f.Nodes[0].Buyers, comingAtOnce+8)
	long := newSale("long", 1000, map[string]int64{"one": 50_000})
	long.Hold = "1h"
	op.publish(t, long)
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	o := &overload{street: s, sale: long.ID}
	holder := s.shopper(t, "holder")
	kept := o.must(t, holder, "kept")

	f.Database.SetDelay(slowBy)
	coming, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for i := range comingAtOnce {
		who := s.shopper(t, fmt.Sprintf("buyer-%04d", i))
		crowd.Go(func() { o.come(coming, t, who) })
	}
	within(t, slowMax, func() error {
		if n := o.shed.Load(); n < shedMin {
			return fmt.Errorf("%d new orders were shed, want %d", n, shedMin)
		}
		return nil
	})
	for range 5 {
		began := time.Now()
		if found, status := holder.order(t.Context(), kept); status != http.StatusOK || found.ID != kept {
			t.Errorf("the order of somebody who has one, while new ones are shed: %d after %s, want 200", status, time.Since(began))
		}
	}
	if again := holder.buy(t.Context(), wish{long.ID, "kept", "one", 1}); again.status != http.StatusOK {
		t.Errorf("the repeat of somebody who has an order: %s, want 200", again)
	}
	f.Database.Heal()
	rest(t.Context(), 5*time.Second) // the crowd goes on
	stop()
	crowd.Wait()
	o.settled(t, node)
	f.audit(t)
}

// overload is a crowd that comes with new orders, and what became of them.
type overload struct {
	*street
	sale string
	shed atomic.Int64

	mu   sync.Mutex
	open []attempt
}

// attempt is an order that was not decided when its buyer last heard of it.
type attempt struct {
	who *shopper
	key string
}

// must buys a unit.
func (o *overload) must(t *testing.T, who *shopper, key string) string {
	t.Helper()
	a := who.buy(t.Context(), wish{o.sale, key, "one", 1})
	if a.kind() != decided {
		t.Fatalf("%s: %s, want an order", who.name, a)
	}
	return a.order.ID
}

// come asks for one order after the other until ctx ends.
func (o *overload) come(ctx context.Context, t *testing.T, who *shopper) {
	for n := 0; ctx.Err() == nil; {
		w := wish{o.sale, fmt.Sprintf("%s-%d", who.name, n), "one", 1}
		a := who.buy(context.WithoutCancel(ctx), w)
		switch {
		case a.code == "overloaded":
			o.shed.Add(1)
			if a.status != http.StatusServiceUnavailable || a.wait < 2*time.Second || a.took > time.Second {
				t.Errorf("%s took %s and tells to wait %s; want a quick 503 with two seconds or more", a, a.took, a.wait)
			}
		case a.kind() == pending:
			o.mu.Lock()
			o.open = append(o.open, attempt{who, w.key})
			o.mu.Unlock()
			n++
			continue // with the next one, at once
		case a.kind() == decided:
			n++
		}
		rest(ctx, max(a.wait, 500*time.Millisecond))
	}
}

// settled wants every order that was pending to be there, and the limit to be
// what it was.
func (o *overload) settled(t *testing.T, n *servers.Node) {
	t.Helper()
	if len(o.open) == 0 {
		t.Error("no order was pending: nothing was slow")
	}
	for _, one := range o.open {
		within(t, calmMax, func() error {
			if a := one.who.buy(t.Context(), wish{o.sale, one.key, "one", 1}); a.kind() != decided {
				return fmt.Errorf("%s, %s: %s, want an order", one.who.name, one.key, a)
			}
			return nil
		})
	}
	within(t, calmMax, func() error {
		if limit := metric(t, n, "doorbuster_limit_orders "); limit != 10_000 {
			return fmt.Errorf("the limit is %v after all is well", limit)
		}
		return nil
	})
	if sheds := metric(t, n, `doorbuster_sheds_total{reason="slow"}`); sheds < shedMin {
		t.Errorf("%v sheds are counted as slow, want %d", sheds, shedMin)
	}
	a := o.shopper(t, "late").buy(t.Context(), wish{o.sale, "late", "one", 1})
	if a.kind() != decided {
		t.Errorf("a new order, after all is well: %s", a)
	}
	t.Logf("%d shed, %d pending for a while, all decided", o.shed.Load(), len(o.open))
}
