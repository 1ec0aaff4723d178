package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	// awayMax is how long PostgreSQL is away, and backMax how long what waited
	// may take afterwards.
	awayMax = 20 * time.Second
	backMax = 30 * time.Second
	// pressMax is how long buyers press before and after: more would only ask
	// the same again.
	pressMax = 3 * time.Second
	// answerMax is the longest that a buyer who does not say how long he waits
	// may have to, and some more for a busy machine.
	answerMax = 15 * time.Second
	// returnMax is how long after an outage the last of a crowd that keeps to
	// Retry-After has an answer.
	returnMax = 12 * time.Second
	crowdSize = 400
)

// TestOutages takes the stores away from two nodes while buyers press, and
// brings them back.
func TestOutages(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 2})
	r := f.rush(t)
	t.Run("half a second without an answer, and everybody comes back", func(t *testing.T) { f.comeBack(t, r) })
	t.Run("PostgreSQL away for 20 s", func(t *testing.T) { f.away(t, r) })
	f.settled(t, r)
}

// rush is a rush on the fleet's two sales, which are open when it returns.
func (f *fleet) rush(t *testing.T) *rush {
	t.Helper()
	r := newRushOn(t, newStreetAt(t, f.Nginx.URL(), crowdSize), f.operator())
	r.op.publish(t, r.deep)
	r.op.publish(t, r.scarce)
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
	return r
}

// pressed lets buyers press while do runs.
func (r *rush) pressed(t *testing.T, do func()) {
	t.Helper()
	pressing, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.press(pressing); close(done) }()
	defer func() { stop(); <-done }()
	do()
}

// polite wants every answer heard since then to be an order, a ticket, a no,
// or "ask again" with the time to wait; and none to be long in coming.
func (r *rush) polite(t *testing.T, since int64) {
	t.Helper()
	r.history.each(func(name claim, answers []*answer) {
		for _, a := range answers {
			again := a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
			switch {
			case a.heard < since, a.status == 0 && a.proxy == 0: // the buyer has left
			case a.proxy != 0, a.status >= http.StatusInternalServerError && !again:
				t.Errorf("%v: %s (proxy: %d)", name, a, a.proxy)
			case again && a.wait < time.Second:
				t.Errorf("%v: %s says not when to come back", name, a)
			case a.took > answerMax:
				t.Errorf("%v: %s took %s", name, a, a.took)
			}
		}
	})
}

// settled wants every promise kept, and every unit somewhere.
func (f *fleet) settled(t *testing.T, r *rush) {
	t.Helper()
	if t.Failed() {
		return
	}
	within(t, backMax, func() error { return f.healthy(t.Context()) })
	r.healed(t)
	r.nothingPending(t)
	for _, s := range []*sale{r.deep, r.scarce} {
		for _, fault := range r.history.faults(s, r.op.orders(t, s.ID)) {
			t.Error(fault)
		}
		r.balanced(t, s.ID)
		r.op.audit(t, s.ID)
	}
	f.audit(t)
	r.figures(t)
}

// stocked is what the one Redis has of all buckets.
type stocked struct {
	units   int64  // free and undecided
	tickets int64  // not decided, or not settled
	grants  string // the epoch and the last grant of each bucket
}

func (f *fleet) stocked(t *testing.T) stocked {
	t.Helper()
	ask := func(args ...string) []string {
		t.Helper()
		out, err := f.Single.Do(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(out, "\n") // a value may be empty
	}
	var all stocked
	buckets := ask("--scan", "--pattern", "*:s")
	slices.Sort(buckets)
	for _, bucket := range buckets {
		fields := map[string]string{}
		for pair := range slices.Chunk(ask("HGETALL", bucket), 2) {
			if len(pair) == 2 {
				fields[pair[0]] = pair[1]
			}
		}
		for name, text := range fields {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && (strings.HasPrefix(name, "f:") || strings.HasPrefix(name, "u:")) {
				all.units += n
			}
		}
		all.grants += fmt.Sprintf("%s epoch %s grant %s; ", bucket, fields["e"], fields["g"])
		for _, n := range ask("HLEN", strings.TrimSuffix(bucket, "s")+"t") {
			tickets, _ := strconv.ParseInt(n, 10, 64)
			all.tickets += tickets
		}
	}
	return all
}

// away: without the ledger nothing is promised, and what waits is bounded by
// what it has granted. With it, everything is decided soon.
func (f *fleet) away(t *testing.T, r *rush) {
	var since int64
	var before stocked
	var gone time.Time
	r.pressed(t, func() {
		rest(t.Context(), time.Second)
		if err := f.Postgres.Kill(); err != nil {
			t.Fatal(err)
		}
		gone = time.Now()
		rest(t.Context(), time.Second) // what was committed is heard and settled
		since, before = r.history.tick(), f.stocked(t)
		f.bounded(t, before, gone.Add(pressMax))
	})
	f.bounded(t, before, gone.Add(awayMax-pressMax))
	r.pressed(t, func() {
		f.bounded(t, before, gone.Add(awayMax))
		r.unpromised(t, since)
		if err := f.Postgres.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		within(t, backMax, func() error { return f.healthy(t.Context()) })
		t.Logf("ready %s after it was back", time.Since(back).Round(time.Millisecond))
	})
	began := time.Now()
	r.healed(t)
	within(t, backMax-min(backMax, time.Since(began)), func() error {
		if now := f.stocked(t); now.tickets > 0 {
			return fmt.Errorf("%d tickets still wait", now.tickets)
		}
		return nil
	})
	r.polite(t, since)
}

// bounded looks at the stock until then: nothing is granted, and no more waits
// than was.
func (f *fleet) bounded(t *testing.T, before stocked, until time.Time) {
	t.Helper()
	now := f.stocked(t)
	for ; time.Now().Before(until); now = f.stocked(t) {
		if now.grants != before.grants || now.units != before.units {
			t.Errorf("granted without the ledger: %+v, and %+v before", now, before)
		}
		if now.tickets > before.units {
			t.Errorf("%d tickets wait, %d units are granted", now.tickets, before.units)
		}
		rest(t.Context(), 500*time.Millisecond)
	}
	if now.tickets == 0 {
		t.Error("no ticket waits: nothing was tested")
	}
}

// unpromised wants nobody who asked since then to have a new order.
func (r *rush) unpromised(t *testing.T, since int64) {
	t.Helper()
	r.history.each(func(name claim, answers []*answer) {
		for _, a := range answers {
			if a.sent > since && a.status == http.StatusCreated {
				t.Errorf("%v was promised without the ledger: %s", name, a)
			}
		}
	})
}

// comeBack: a crowd whose answers all fail for half a second comes back spread
// over the time that it is told to wait, and is served.
func (f *fleet) comeBack(t *testing.T, r *rush) {
	c := &returning{rush: r}
	var crowd sync.WaitGroup
	for i := range crowdSize {
		who := r.shopper(t, fmt.Sprintf("returning-%03d", i))
		rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
		crowd.Go(func() { c.insist(t, who, time.Duration(rng.IntN(400))*time.Millisecond) })
	}
	since := r.history.tick()
	for _, link := range []*servers.Proxy{f.Database, f.Counter} {
		link.Cut()
	}
	c.began = time.Now()
	rest(t.Context(), 500*time.Millisecond)
	for _, link := range []*servers.Proxy{f.Database, f.Counter} {
		link.Heal()
	}
	crowd.Wait()
	if c.last > returnMax {
		t.Errorf("the last was answered %s after the outage began, want %s", c.last, returnMax)
	}
	c.spread(t)
	r.polite(t, since)
}

// returning is a crowd that comes back when it is told to, and what it did.
type returning struct {
	*rush
	began time.Time

	mu    sync.Mutex
	waits []time.Duration // that were asked for
	back  []time.Time     // when they came back for the first time
	last  time.Duration
}

// insist asks after a while, and then as Retry-After says.
func (c *returning) insist(t *testing.T, who *shopper, after time.Duration) {
	rest(t.Context(), after)
	w := wish{c.deep.ID, "returning", c.deep.Items[0].SKU, 1}
	for tries := 0; tries < 20; tries++ {
		a := who.buy(t.Context(), w)
		c.mu.Lock()
		if a.kind() == decided {
			c.last = max(c.last, time.Since(c.began))
			c.mu.Unlock()
			return
		}
		if tries == 0 {
			c.waits, c.back = append(c.waits, a.wait), append(c.back, time.Now().Add(a.wait))
		}
		c.mu.Unlock()
		rest(t.Context(), a.wait)
	}
	t.Errorf("%s has no order after 20 tries", who.name)
}

// spread wants the moments of coming back to lie at least as far apart as the
// waits differ, and no second to see nearly all.
func (c *returning) spread(t *testing.T) {
	if len(c.back) < crowdSize/2 {
		t.Fatalf("%d of %d were sent away: nothing was tested", len(c.back), crowdSize)
	}
	shortest, longest := slices.Min(c.waits), slices.Max(c.waits)
	slices.SortFunc(c.back, time.Time.Compare)
	width := c.back[len(c.back)-1].Sub(c.back[0])
	most := 0 // within half a second, as long as the outage
	for i, from := range c.back {
		n, _ := slices.BinarySearchFunc(c.back[i:], from.Add(500*time.Millisecond), time.Time.Compare)
		most = max(most, n)
	}
	t.Logf("%d were told to wait from %s to %s, and came back within %s; %d of them within half a second; the last order was there after %s",
		len(c.back), shortest, longest, width.Round(time.Millisecond), most, c.last.Round(time.Millisecond))
	if longest-shortest < time.Second || width < longest-shortest {
		t.Errorf("waits from %s to %s and %s between the first and the last: they come back as one", shortest, longest, width)
	}
	if most > len(c.back)*3/4 {
		t.Errorf("%d of %d come back within half a second", most, len(c.back))
	}
}
