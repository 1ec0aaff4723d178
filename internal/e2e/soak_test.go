package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Bounds of the long run. What grows with the orders is the set of keys that
// have an answer (checkout.Known) and what the collector leaves lying about.
const (
	soakWorkers   = 16
	soakWindows   = 6                    // in which memory and latency are compared
	soakPause     = 4 * time.Millisecond // between two questions of a worker, on average
	soakRush      = 30                   // of so many, one is a rush: no pause for a while
	soakHeap      = 24 << 20             // bytes that the heap may grow by, beside
	soakPerOrder  = 200                  // bytes for each order in the ledger
	soakFiles     = 64                   // descriptors that may be more
	soakRoutines  = 2 * soakWorkers      // goroutines that may be more
	soakHistory   = 4096                 // orders that are remembered, to be paid or given back
	soakRushAsks  = 200                  // questions of a worker in a rush
	soakSoldShare = 5                    // one in so many asks for what is sold out
)

// soak is mixed load: rush and trickle, payments, orders given back and such
// that expire, and the crowd that hears "sold out".
type soak struct {
	*street
	op *operator

	mu    sync.Mutex
	past  []visit
	waits waits
	codes map[string]int
	made  int // orders
}

// sample is what a node takes after one window.
type sample struct {
	size
	files int
	made  int
	waits waits
}

// TestSoak runs mixed load for a while and wants memory, descriptors and
// goroutines to stay level; it prints latency beside them.
func TestSoak(t *testing.T) {
	minutes := number(t, "DOORBUSTER_SOAK_MINUTES", 1)
	n := serve(t, setup{})
	s := &soak{street: newStreet(t, n, soakWorkers+4), op: n.operator(), codes: map[string]int{}}
	open := newSale("open", 1, map[string]int64{"one": 50_000_000, "two": 50_000_000})
	open.Hold = "30s"
	s.op.publish(t, open)
	s.op.publish(t, newSale("gone", 1, map[string]int64{"one": 0}))
	random := seed(t)

	window := time.Duration(minutes) * time.Minute / soakWindows
	var samples []sample
	for i := range soakWindows {
		ctx, stop := context.WithTimeout(t.Context(), window)
		s.press(ctx, t, random+uint64(i))
		stop()
		samples = append(samples, s.sample(t, n))
		last := &samples[i]
		t.Logf("after %-6s heap %3d MiB, resident %3d MiB, goroutines %d, descriptors %d, %d orders in all; %s",
			time.Duration(i+1)*window, last.heap>>20, last.resident>>20, last.goroutines, last.files, last.made, last.waits)
	}
	t.Logf("answers: %v", s.codes)
	first, last := samples[1], samples[soakWindows-1] // by the end of the second, tables and pools are touched
	made := int64(last.made - first.made)
	if last.heap > first.heap+soakHeap+soakPerOrder*made {
		t.Errorf("the heap grew from %d to %d bytes with %d orders", first.heap, last.heap, made)
	}
	if last.files > first.files+soakFiles || last.goroutines > first.goroutines+soakRoutines {
		t.Errorf("descriptors %d → %d, goroutines %d → %d; want them level", first.files, last.files, first.goroutines, last.goroutines)
	}
	if made == 0 || s.codes["sold_out"] == 0 || s.codes["fault"] > 0 {
		t.Errorf("%d orders and answers %v; want orders, some that hear sold out, and no fault", made, s.codes)
	}
	s.op.client.Timeout = 10 * time.Minute // it reads all orders that there are
	s.op.audit(t, "open")
	n.stop(t)
	n.audited(t)
}

func (s *soak) sample(t *testing.T, n *node) sample {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	taken := n.size(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.waits)
	all := sample{size: taken, files: len(files), made: s.made, waits: s.waits}
	s.waits = nil
	return all
}

// press lets all workers ask until ctx ends.
func (s *soak) press(ctx context.Context, t *testing.T, random uint64) {
	t.Helper()
	var workers sync.WaitGroup
	for i := range soakWorkers {
		rng := rand.New(rand.NewPCG(random, uint64(i)))
		workers.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				asks := 1
				if rng.IntN(soakRush*soakRushAsks) == 0 {
					asks = soakRushAsks
				}
				for range asks {
					s.ask(context.WithoutCancel(ctx), t, rng, fmt.Sprintf("b-%d-%d-%d", random, i, rng.Uint64()))
				}
				rest(ctx, time.Duration(rng.Int64N(int64(2*soakPause))))
			}
		})
	}
	workers.Wait()
}

// ask does one thing that buyers do. Three in ten orders are left to expire.
func (s *soak) ask(ctx context.Context, t *testing.T, rng *rand.Rand, name string) {
	if rng.IntN(soakSoldShare) == 0 {
		s.note(s.shopper(t, name).try(ctx, wish{"gone", "k", "one", 1}), nil)
		return
	}
	if before, ok := s.recall(rng); ok && rng.IntN(2) == 0 {
		switch rng.IntN(4) {
		case 0:
			_ = s.op.paid(before.order, "till-"+before.order) // may come too late
		case 1:
			before.who.cancel(ctx, before.order)
		case 2:
			before.who.order(ctx, before.order)
		default:
			s.note(before.who.try(ctx, before.wish), nil) // again
		}
		return
	}
	who := s.shopper(t, name)
	s.note(who.try(ctx, wish{"open", "k", []string{"one", "two"}[rng.IntN(2)], 1}), who)
}

// note remembers an answer; who is nil where it is no new order.
func (s *soak) note(a *answer, who *shopper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := a.code
	if a.status == 0 || a.status >= http.StatusInternalServerError {
		code = "fault"
	}
	if code == "" {
		code = http.StatusText(a.status)
	}
	s.codes[code]++
	if a.status != http.StatusCreated || who == nil {
		return
	}
	s.made++
	s.waits = append(s.waits, a.took)
	v := visit{who: who, wish: a.wish, order: a.order.ID}
	if len(s.past) < soakHistory {
		s.past = append(s.past, v)
		return
	}
	s.past[s.made%soakHistory] = v
}

func (s *soak) recall(rng *rand.Rand) (visit, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.past) == 0 {
		return visit{}, false
	}
	return s.past[rng.IntN(len(s.past))], true
}
