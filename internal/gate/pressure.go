package gate

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

const (
	// OrdersMax is how many orders may be on their way at once while all is well:
	// 1 kB each, and a whole crowd that presses at the opening.
	OrdersMax = 10_000
	// HoldersMax is the same for those who have an order, or may. It is more than
	// OrdersMax, and leaves connections for pages.
	HoldersMax = 12_000
	// ordersFew is what a node decides at once, two batches of 512: with fewer
	// inside, a ledger that is slow but wide would have less to do than it can.
	ordersFew = 1024
	// ordersMin is how many are let in however short the processor is.
	ordersMin = 128

	lookEvery = 250 * time.Millisecond
	// window is over how many looks answers are counted: a slow ledger answers in
	// heaps, up to a buyer's two seconds apart.
	window = 8
	// patience is how many looks have to find that answers are slow. After so many,
	// all that the window holds came after the beginning of a burst; and a commit
	// that hangs once is no overload.
	patience = window + 1
	// patienceCPU is how many looks have to find that the processor is short.
	patienceCPU = 4
	// waitMax is the longest that an order should be on its way: half of what a
	// buyer waits who does not say how long.
	waitMax = time.Second
	// delayMax is for how long the middle one of all goroutines may wait for a
	// core. A full load generator on the same two cores makes it some 10 ms.
	delayMax = 250 * time.Millisecond
)

// Pressure bounds how many orders are on their way to an answer: an adaptive
// concurrency limit. By Little's law those inside, divided by how many a second
// are answered, is how long the last of them waits. Where that is too long for
// long, the limit falls to what is answered within half of it; throughput stays,
// since the stock and the ledger still have more to do than they can. Where the
// processor is short, the limit halves. When all is well, it doubles.
//
// Those who have an order are bounded apart from new ones, and hardly ever.
type Pressure struct {
	// Delay is how long goroutines wait for a core, since it was last asked; nil:
	// not at all.
	Delay func() time.Duration

	ceiling                int64
	limit, inside, holders atomic.Int64
	answered               atomic.Int64 // since the last look
	why                    atomic.Uint32
	sheds                  [shedCount]atomic.Uint64

	// Of the looks, which follow one another.
	slow, short int // looks that found it so
	looks       int
	counted     [window]int64         // answers, and
	lasted      [window]time.Duration // for how long they were counted
}

// NewPressure returns a limit that begins at its ceiling.
func NewPressure(ceiling int) *Pressure {
	p := &Pressure{ceiling: int64(ceiling)}
	p.limit.Store(p.ceiling)
	return p
}

// Full reports whether a new order would be turned away now.
func (p *Pressure) Full() bool { return p.inside.Load() >= p.limit.Load() }

// Shed counts a new order that was turned away because of Full.
func (p *Pressure) Shed() { p.sheds[p.why.Load()].Add(1) }

// Enter lets a new order in, or counts that it was turned away. Who enters
// leaves.
func (p *Pressure) Enter() bool {
	if p.inside.Add(1) <= p.limit.Load() {
		return true
	}
	p.inside.Add(-1)
	p.Shed()
	return false
}

// Leave ends an order's way. answered says that the order came to its end
// before the buyer's patience did.
func (p *Pressure) Leave(answered bool) {
	p.inside.Add(-1)
	if answered {
		p.answered.Add(1)
	}
}

// EnterHolder lets somebody in who asks for an order that is there, or may be.
func (p *Pressure) EnterHolder() bool {
	if p.holders.Add(1) <= HoldersMax {
		return true
	}
	p.holders.Add(-1)
	p.sheds[ShedHolder].Add(1)
	return false
}

// LeaveHolder ends what EnterHolder began.
func (p *Pressure) LeaveHolder() { p.holders.Add(-1) }

// Limit is how many new orders may be on their way at once now.
func (p *Pressure) Limit() int64 { return p.limit.Load() }

// Inside is how many are.
func (p *Pressure) Inside() int64 { return p.inside.Load() }

// Run looks until ctx ends.
func (p *Pressure) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			var delay time.Duration
			if p.Delay != nil {
				delay = p.Delay()
			}
			if !last.IsZero() {
				p.look(now.Sub(last), delay)
			}
			last = now
		}
	}
}

// look judges what happened since the last look, and moves the limit.
func (p *Pressure) look(since, delay time.Duration) {
	inside, rate := p.inside.Load(), p.rate(since)
	waits := func(limit time.Duration) bool { return float64(inside) > rate*limit.Seconds() }
	p.slow = again(p.slow, patience, inside > ordersFew && waits(waitMax))
	p.short = again(p.short, patienceCPU, delay > delayMax)
	switch {
	case p.short >= patienceCPU: // half of those that there are
		p.lower(max(ordersMin, min(inside, p.limit.Load())/2), ShedCPU)
	case p.slow >= patience:
		p.lower(max(ordersFew, int64(rate*waitMax.Seconds()/2)), ShedSlow)
	case p.slow == 0 && p.short == 0 && (inside <= ordersMin || !waits(waitMax/4)):
		p.raise()
	}
}

// rate is how many were answered a second, in the window that ends now.
func (p *Pressure) rate(since time.Duration) float64 {
	at := p.looks % window
	p.counted[at], p.lasted[at] = p.answered.Swap(0), since
	p.looks++
	var answers int64
	var all time.Duration
	for i := range p.counted {
		answers, all = answers+p.counted[i], all+p.lasted[i]
	}
	return float64(answers) / max(all, time.Millisecond).Seconds()
}

// again counts the looks that found it so, up to enough of them. A look that
// did not undoes two: buyers who waited two seconds in vain leave together and
// come back together.
func again(count, enough int, so bool) int {
	if !so {
		return max(0, count-2)
	}
	return min(count+1, enough)
}

func (p *Pressure) lower(to int64, why Shed) {
	if to < p.limit.Load() {
		p.limit.Store(to)
		p.why.Store(uint32(why))
	}
}

func (p *Pressure) raise() {
	to := min(2*p.limit.Load(), p.ceiling)
	if p.limit.Store(to); to == p.ceiling {
		p.why.Store(uint32(ShedCeiling))
	}
}

// Shed is why somebody was turned away: a closed set, fit for metric labels.
type Shed uint8

// The reasons.
const (
	ShedCeiling Shed = iota // more orders at once than a node bears
	ShedSlow                // the stock or the ledger answers slowly
	ShedCPU                 // the processor is short
	ShedHolder              // of those who have an order, more than a node bears
)

// shedCount is how many reasons there are.
const shedCount = int(ShedHolder) + 1

func (s Shed) String() string {
	switch s {
	case ShedCeiling:
		return "ceiling"
	case ShedSlow:
		return "slow"
	case ShedCPU:
		return "cpu"
	case ShedHolder:
		return "holder"
	}
	return "unknown"
}

// Sheds returns every reason and how often it was given.
func (p *Pressure) Sheds() iter.Seq2[Shed, uint64] {
	return func(yield func(Shed, uint64) bool) {
		for why := Shed(0); int(why) < shedCount; why++ {
			if !yield(why, p.sheds[why].Load()) {
				return
			}
		}
	}
}
