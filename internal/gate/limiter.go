package gate

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// LimiterSlots is the usual size of a limiter: 2 M keys in 16 MiB, touched only
// as keys come. A key matters for the few seconds in which its burst fills
// up again, so this holds more keys than two cores can be sent in that time.
const LimiterSlots = 1 << 21

// GuestSlots and SaleSlots are the same for what comes less often: those who want
// to be guests, and tries under new keys.
const (
	GuestSlots = LimiterSlots / 16
	SaleSlots  = LimiterSlots / 4
)

// A slot is one word: 28 bits of the key's hash, then 36 bits of time. A
// stranger shares a slot with someone once in 30 million keys.
const (
	setSlots  = 8                       // one cache line: a look-up costs one miss
	timeBits  = 36                      // of ticks: 4.9 hours, then they come round
	timeMask  = 1<<timeBits - 1         // what is left of a word without the hash
	tickShift = 8                       // a tick is 256 ns
	vacant    = 1 << timeBits           // ranks before the oldest
	skew      = int64(time.Second) >> 8 // ticks by which clocks of two callers may differ
)

// Limiter is a GCRA (leaky bucket) per key, in a table that is made once and
// never grows. It takes no lock and allocates nothing. A slot keeps the time
// at which its key's bucket will be full again, so an idle key needs no
// sweeper: its time has simply passed.
//
// Where a set is full, the key that is nearest to a full bucket is forgotten,
// which can only favour it. A race between two first requests of one key can
// favour it by a request too. The limiter is stricter than its rate only for a
// key that returns after a multiple of 4.9 hours to within its burst: it may
// find a burst spent that it spent then.
type Limiter struct {
	seed     maphash.Seed // random: nobody can choose who shares a set
	slots    []atomic.Uint64
	sets     uint64 // mask
	cost     uint64 // ticks that one request takes; 0: off
	depth    uint64 // ticks of a whole burst
	refusals []error
}

// NewLimiter makes a limiter that holds up to slots keys (rounded up to a
// power of two), 8 bytes each. A rate of 0 lets everything pass and holds
// nothing.
func NewLimiter(rate Rate, slots int) *Limiter {
	if rate.Off() {
		return &Limiter{}
	}
	cost := max(1, uint64(math.Round(ticksPerSecond/rate.PerSecond)))
	sets := uint64(1) << bits.Len64(uint64(max(slots, 1)-1)/setSlots)
	l := &Limiter{
		seed:  maphash.MakeSeed(),
		slots: make([]atomic.Uint64, sets*setSlots),
		sets:  sets - 1,
		cost:  cost,
		depth: cost * uint64(max(rate.Burst, 1)),
	}
	l.refusals = prebuild(l.longest())
	return l
}

// Allow takes one request of key, or refuses it and says when the next one
// will pass. A refused request costs the key nothing. now is in nanoseconds
// of one clock, whatever its zero; if it leaps back, keys are forgotten.
func (l *Limiter) Allow(key []byte, now int64) (ok bool, retryAfter time.Duration) {
	if l.off() {
		return true, 0
	}
	return l.take(maphash.Bytes(l.seed, key), uint64(now)>>tickShift) //nolint:gosec // times wrap as they like
}

// AllowString is Allow for a key that is a string.
func (l *Limiter) AllowString(key string, now int64) (ok bool, retryAfter time.Duration) {
	if l.off() {
		return true, 0
	}
	return l.take(maphash.String(l.seed, key), uint64(now)>>tickShift) //nolint:gosec // times wrap as they like
}

// off reports whether everything passes, as it does where there is no limiter.
func (l *Limiter) off() bool { return l == nil || l.cost == 0 }

// giveBack gives a request that Allow took a moment ago back to key. Where the
// key was forgotten since, there is nothing to give back.
func (l *Limiter) giveBack(key []byte, now int64) {
	if l.off() {
		return
	}
	hash, tick := maphash.Bytes(l.seed, key), uint64(now)>>tickShift //nolint:gosec // times wrap as they like
	first := hash & l.sets * setSlots
	set := l.slots[first : first+setSlots]
	print := printOf(hash)
	for {
		slot, word := l.find(set, print, tick)
		if word>>timeBits != print || slot.CompareAndSwap(word, print<<timeBits|(word-l.cost)&timeMask) {
			return
		}
	}
}

func (l *Limiter) take(hash, now uint64) (bool, time.Duration) {
	first := hash & l.sets * setSlots
	set := l.slots[first : first+setSlots]
	print := printOf(hash)
	for { // a lost race means that another request got on
		slot, word := l.find(set, print, now)
		debt := uint64(0)
		if word>>timeBits == print {
			debt = l.debt(word, now)
		}
		after := debt + l.cost
		if after > l.depth {
			return false, time.Duration(after-l.depth) << tickShift //nolint:gosec // under an hour
		}
		if slot.CompareAndSwap(word, print<<timeBits|(now+after)&timeMask) {
			return true, 0
		}
	}
}

// printOf is what a slot keeps of a key's hash. A word of 0 is a vacant slot.
func printOf(hash uint64) uint64 { return max(1, hash>>timeBits) }

// find returns the slot of the key, else the one that can best be spared:
// a vacant one, else the one whose key was or will be idle first.
func (l *Limiter) find(set []atomic.Uint64, print, now uint64) (spare *atomic.Uint64, word uint64) {
	furthest := now + l.depth + uint64(skew)
	best := uint64(0)
	for i := range set {
		w := set[i].Load()
		if w>>timeBits == print {
			return &set[i], w
		}
		rank := uint64(vacant)
		if w != 0 {
			rank = (furthest - w) & timeMask
		}
		if spare == nil || rank > best {
			spare, word, best = &set[i], w, rank
		}
	}
	return spare, word
}

// debt returns how many ticks after now the word's key will be idle. A time
// further ahead than any that is ever written is one that has passed, or was
// written before the clock was set back.
func (l *Limiter) debt(word, now uint64) uint64 {
	ahead := (word - now) & timeMask
	if ahead > l.depth+uint64(skew) {
		return 0
	}
	return ahead
}

// longest returns the longest wait that Allow ever tells.
func (l *Limiter) longest() time.Duration {
	return time.Duration(l.cost+uint64(skew)) << tickShift //nolint:gosec // ParseRate bounds it
}

// refusal returns the refusal that tells to wait so long, in whole seconds. The
// wait may be another machine's word, which may be anything, and the limiter off.
func (l *Limiter) refusal(wait time.Duration) error {
	wait = min(max(0, wait), refillMax)
	if l.off() {
		return tooMany(time.Duration(seconds(wait)) * time.Second)
	}
	return l.refusals[min(int(seconds(wait)), len(l.refusals)-1)]
}

// prebuild makes a refusal for each whole second up to longest, so that
// refusing allocates nothing.
func prebuild(longest time.Duration) []error {
	refusals := make([]error, seconds(longest)+1)
	for s := range refusals {
		refusals[s] = tooMany(time.Duration(s) * time.Second)
	}
	return refusals
}

func tooMany(wait time.Duration) shop.Refusal {
	return shop.Refusal{
		Code:       shop.TooManyRequests,
		Detail:     "Too many requests. Wait as long as Retry-After says, then try once.",
		RetryAfter: wait,
	}
}

// seconds rounds up: a wait that is told too short is a wasted request.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
