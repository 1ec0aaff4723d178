package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	house "github.com/doorbuster/doorbuster/internal/node"
	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	// healMax is how long the next fault waits for the last one to heal.
	healMax = 5 * time.Second
	// settleMax is the longest that a ticket may stay undecided.
	settleMax = 30 * time.Second
	// brokersMax bounds the restarts of RabbitMQ, one in ten faults: each takes
	// it some seconds.
	brokersMax = 10
	// soldMax is more units of a SKU than buyers pay for in a minute.
	soldMax = 2000
)

// TestChaos hurts three nodes behind nginx, and all that they stand on, one
// fault after another, while buyers press. In the end every unit is sold, none
// twice, and every promise stands.
func TestChaos(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 3, Masters: 3, Broker: true})
	street := newStreetAt(t, f.Nginx.URL(), rushWorkers+4)
	street.client.Timeout = 12 * time.Second
	r := newRushOn(t, street, f.operator())
	minutes := number(t, "DOORBUSTER_MINUTES", 1)
	r.deep.Limit = 200 // of one buyer: the sale must not end before the run
	for i := range r.deep.Items {
		r.deep.Items[i].Stock = deepUnits + int64(minutes)*soldMax
	}
	r.op.publish(t, r.deep)
	r.op.publish(t, r.scarce)
	within(t, readyMax, func() error { return f.healthy(t.Context()) })

	c := &chaos{fleet: f, rush: r, rng: rand.New(rand.NewPCG(r.seed, 1))}
	pressing, stop := context.WithCancel(t.Context())
	pressed := make(chan struct{})
	go func() { r.press(pressing); close(pressed) }()
	c.hurt(t, number(t, "DOORBUSTER_FAULTS", 100), time.Duration(minutes)*time.Minute)
	stop()
	<-pressed

	within(t, settleMax, func() error { return f.healthy(t.Context()) })
	r.healed(t)
	r.nothingPending(t)
	for _, s := range []*sale{r.deep, r.scarce} {
		r.sellAll(t, s)
	}
	c.verify(t, r)
	r.figures(t)
	c.figures(t)
}

// chaos is a run of faults against a fleet.
type chaos struct {
	*fleet
	rush    *rush
	rng     *rand.Rand
	brokers int // restarts of RabbitMQ
	spared  int // faults that could not be brought about
	probes  int
	counts  map[string]int
	slow    map[string]int // how often a fault had not healed in time
	worst   time.Duration
	began   time.Time
	took    time.Duration
}

// hurt brings about so many faults, and goes on for so long.
func (c *chaos) hurt(t *testing.T, faults int, least time.Duration) {
	c.counts, c.slow, c.began = map[string]int{}, map[string]int{}, time.Now()
	all := c.faults()
	for n := 0; (n < faults || time.Since(c.began) < least) && !t.Failed(); n++ {
		fault := all[c.rng.IntN(len(all))]
		if fault.broker && c.brokers >= max(brokersMax, faults/10) {
			n--
			continue
		}
		if fault.broker {
			c.brokers++
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := fault.run(ctx); err != nil { // a cluster that still heals may not take the command
			t.Logf("not brought about: %s: %v", fault.name, err)
			c.spared++
			n--
		} else {
			c.counts[fault.name]++
		}
		c.heal(ctx, t, fault.name)
		cancel()
	}
	c.took = time.Since(c.began)
	if sparedMax := faults / 20; c.spared > max(sparedMax, 5) {
		t.Errorf("%d faults could not be brought about", c.spared)
	}
}

// heal waits until the last fault has healed, or for so long that the next one
// comes on top of it.
func (c *chaos) heal(ctx context.Context, t *testing.T, name string) {
	began := time.Now()
	for time.Since(began) < healMax {
		for _, n := range c.Nodes {
			if n.Running() {
				continue
			}
			if state := n.Process().State(); state != nil && !died(state) {
				t.Errorf("a node ended by itself after %s: %s: %s", name, state, n.Process().Said())
			}
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if c.healthy(ctx) == nil && c.sells(ctx, t) {
			c.worst = max(c.worst, time.Since(began))
			return
		}
		rest(ctx, 50*time.Millisecond)
	}
	c.slow[name]++
}

// sells reports whether new buyers, wherever their buckets are, get units.
func (c *chaos) sells(ctx context.Context, t *testing.T) bool {
	const buyers = 6 // of three buckets
	won := make(chan bool, buyers)
	for range buyers {
		c.probes++
		who := c.rush.shopper(t, fmt.Sprintf("probe-%05d", c.probes))
		go func() {
			a := who.buy(ctx, wish{c.rush.deep.ID, "probe", c.rush.deep.Items[0].SKU, 1})
			won <- a.kind() == decided
		}()
	}
	all := true
	for range buyers {
		all = <-won && all
	}
	return all
}

// died reports whether a process was ended by a signal, as all that the test
// ends are.
func died(state *os.ProcessState) bool { return state.ExitCode() == -1 }

// verify checks everything that was ever promised.
func (c *chaos) verify(t *testing.T, r *rush) {
	t.Helper()
	env := c.Env()
	books, err := house.OpenBooks(t.Context(), strings.TrimPrefix(env[0], "DOORBUSTER_DATABASE_URL="), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	for _, s := range []*sale{r.deep, r.scarce} {
		orders := r.op.orders(t, s.ID)
		for _, fault := range r.history.faults(s, orders) {
			t.Error(fault)
		}
		r.balanced(t, s.ID)
		for _, n := range c.Nodes { // each of them sees it so
			one := &operator{base: "http://" + n.Operators + "/admin/api/v1", token: adminToken, client: r.op.client}
			one.audit(t, s.ID)
		}
		soldOutStands(t, books, s.ID, r.history.verdicts(s.ID))
	}
	c.audit(t)
}

// figures prints what the run has put the fleet through.
func (c *chaos) figures(t *testing.T) {
	t.Helper()
	bumps := 0.0
	for _, n := range c.Nodes {
		_, text := fetch(t.Context(), "http://"+n.Operators+"/metrics")
		for line := range strings.Lines(text) {
			var count float64
			if _, err := fmt.Sscanf(line, "doorbuster_supply_bumps_total %g", &count); err == nil {
				bumps += count
			}
		}
	}
	t.Logf("%g epochs of the stock were begun anew by the nodes that live", bumps)
	total := 0
	for _, name := range sorted(c.counts) {
		total += c.counts[name]
		t.Logf("  %4d × %s, %d not healed within %s", c.counts[name], name, c.slow[name], healMax)
	}
	t.Logf("%d faults in %s, %d more could not be brought about; those that healed in time took %s at worst", total, c.took.Round(time.Second), c.spared, c.worst.Round(time.Millisecond))
}

// nothingPending wants no ticket left undecided for as long as one may be.
func (r *rush) nothingPending(t *testing.T) {
	t.Helper()
	within(t, settleMax, func() error {
		for _, s := range []*sale{r.deep, r.scarce} {
			var report struct {
				Invariants []struct {
					ID     string `json:"id"`
					Holds  bool   `json:"holds"`
					Detail string `json:"detail"`
				} `json:"invariants"`
			}
			r.op.must(t, http.MethodGet, "/sales/"+s.ID+"/audit", nil, &report, http.StatusOK)
			for _, i := range report.Invariants {
				if !i.Holds {
					return fmt.Errorf("%s of %s: %s", i.ID, s.ID, i.Detail)
				}
			}
		}
		return nil
	})
}

// sellAll lets buyers come until every unit of the sale is sold and paid.
func (r *rush) sellAll(t *testing.T, s *sale) {
	t.Helper()
	r.op.move(t, s.ID, "open")
	deadline := time.Now().Add(4 * time.Minute) // what is held comes back after half a minute
	for round := 0; ; round++ {
		stand := r.op.sale(t, s.ID)
		all := stand.sum()
		if all.Sold == all.Total-all.Withdrawn {
			t.Logf("%d units of %s are sold and paid: all there are", all.Sold, s.ID)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("buyers could not buy all of %s: %+v", s.ID, all)
		}
		r.buyRest(t, stand, round)
		r.payAll(t, s.ID)
		rest(t.Context(), 100*time.Millisecond)
	}
}

// payAll pays for whatever is held.
func (r *rush) payAll(t *testing.T, sale string) {
	t.Helper()
	held := make(chan string)
	var tills sync.WaitGroup
	for range 8 {
		tills.Go(func() {
			for id := range held {
				_ = r.op.paid(id, "till-"+id) // it may have expired in this moment
			}
		})
	}
	for id, each := range r.op.orders(t, sale) {
		if each.Status == "awaiting_payment" {
			held <- id
		}
	}
	close(held)
	tills.Wait()
}

// buyRest sends new buyers for what is free.
func (r *rush) buyRest(t *testing.T, stand *sale, round int) {
	t.Helper()
	for _, i := range stand.Items {
		for n, free := 0, i.free(); free > 0 && n < 400; n++ {
			who := r.shopper(t, fmt.Sprintf("last-%s-%d-%s-%d", stand.ID, round, i.SKU, n))
			quantity := min(free, stand.Limit)
			a := who.buy(t.Context(), wish{stand.ID, "last", i.SKU, quantity})
			free -= quantity
			if a.kind() == no && quantity > 1 { // fewer may be in reach
				who.buy(t.Context(), wish{stand.ID, "fewer", i.SKU, 1})
			}
		}
	}
}
