package web

import (
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Counts counts answers, from the start of the process: a closed set, fit for
// metrics. Counters are looked up once where a refusal is written beforehand.
type Counts struct {
	Decided    atomic.Uint64 // 201
	Pending    atomic.Uint64 // 202
	Repeated   atomic.Uint64 // 200 for an order that was there already
	States     atomic.Uint64 // state.json
	Pages      atomic.Uint64 // buyer pages, those not modified included
	Guests     atomic.Uint64 // tokens given to guests
	Challenges atomic.Uint64 // challenges posed
	Faults     atomic.Uint64 // refusals that are our own failure
	Panics     atomic.Uint64
	// Connections that found no place at all, or none for their address.
	NoPlace, NoPlaceForAddress atomic.Uint64
	// Latency is how long the desk took for an order, the wait for its
	// decision included.
	Latency Histogram

	codes [codesMax]atomic.Uint64 // by place in shop.Codes
}

// codesMax is room for every code; the last place counts what has no code.
const codesMax = 32

// Refusals returns how often the code at that place in shop.Codes was the
// answer.
func (c *Counts) Refusals(place int) uint64 { return c.codes[place].Load() }

// placesOf indexes the codes, once.
func placesOf() map[shop.Code]int {
	places := map[shop.Code]int{}
	for place, code := range shop.Codes() {
		places[code] = place
	}
	return places
}

// refused returns the counter of a code.
func (d *Door) refused(code shop.Code) *atomic.Uint64 {
	place, ok := d.places[code]
	if !ok {
		place = codesMax - 1
	}
	return &d.Counts.codes[place]
}

// bucketsMax is how many buckets a Histogram has, besides the last, unbounded
// one.
const bucketsMax = 13

// bounds are the upper ends of a Histogram's buckets. A promise of the
// product lies at 5, 25 and 60 ms.
func bounds() [bucketsMax]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{
		ms, 2 * ms, 5 * ms, 10 * ms, 25 * ms, 60 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 2500 * ms, 10 * time.Second, 30 * time.Second,
	}
}

// Histogram counts durations in fixed buckets. The zero Histogram is empty.
type Histogram struct {
	buckets [bucketsMax + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	at := 0
	for _, bound := range bounds() {
		if d <= bound {
			break
		}
		at++
	}
	h.buckets[at].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot returns how many durations were counted, their sum in seconds, and
// how many were at most each bound in seconds: what a Prometheus histogram is
// made of.
func (h *Histogram) Snapshot() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, bucketsMax)
	for i, bound := range bounds() {
		count += h.buckets[i].Load()
		upTo[bound.Seconds()] = count
	}
	count += h.buckets[bucketsMax].Load()
	return count, time.Duration(h.sum.Load()).Seconds(), upTo
}
