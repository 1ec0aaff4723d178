package gate

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// tick is the limiter's resolution in nanoseconds; rates whose cost is a whole
// number of ticks compare with the model to the last one.
const tick = 1 << tickShift

// bucket is the textbook's exact limiter of one key, in ticks.
type bucket struct{ cost, depth, idleAt int64 }

func (b *bucket) allow(now int64) (bool, time.Duration) {
	after := max(b.idleAt, now) + b.cost
	if over := after - now - b.depth; over > 0 {
		return false, time.Duration(over * tick)
	}
	b.idleAt = after
	return true, 0
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func TestALimiterAllowsExactlyItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := rapid.Int64Range(1, 5_000_000).Draw(t, "cost")
		burst := rapid.Int64Range(1, 50).Draw(t, "burst")
		limiter := NewLimiter(Rate{PerSecond: ticksPerSecond / float64(cost), Burst: int(burst)}, 1<<12)
		model := map[uint64]*bucket{}
		now := rapid.Int64Range(1, 1<<60).Draw(t, "start") &^ (tick - 1)
		pause := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, cost), rapid.Int64Range(0, 2*cost*burst))
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			who := rapid.Uint64Range(0, 5).Draw(t, "key")
			if model[who] == nil {
				model[who] = &bucket{cost: cost, depth: cost * burst}
			}
			now += pause.Draw(t, "pause") * tick
			ok, wait := limiter.Allow(key(who), now)
			wantOK, wantWait := model[who].allow(now / tick)
			if ok != wantOK || wait != wantWait {
				t.Fatalf("Allow(%d, %d) = %v, %s; want %v, %s", who, now, ok, wait, wantOK, wantWait)
			}
		}
	})
}

// Whatever the clock did before: back, forward by hours, round.
func TestWaitingAsToldIsAlwaysEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{
			PerSecond: rapid.Float64Range(rateMin, rateMax).Draw(t, "rate"),
			Burst:     rapid.IntRange(1, 30).Draw(t, "burst"),
		}
		limiter := NewLimiter(rate, 8)
		now := rapid.Int64().Draw(t, "start")
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			who := key(rapid.Uint64Range(0, 20).Draw(t, "key"))
			now += rapid.OneOf(rapid.Int64Range(-1e9, 1e9), rapid.Int64Range(-1e14, 1e14)).Draw(t, "leap")
			ok, wait := limiter.Allow(who, now)
			if ok {
				continue
			}
			if wait <= 0 || wait > limiter.longest() {
				t.Fatalf("told to wait %s, want more than 0 and at most %s", wait, limiter.longest())
			}
			now += int64(wait) + tick
			if ok, again := limiter.Allow(who, now); !ok {
				t.Fatalf("refused after waiting %s as told; now %s", wait, again)
			}
		}
	})
}

func TestAKeyIsNeverBarredByAnotherOne(t *testing.T) {
	limiter := NewLimiter(Rate{PerSecond: 1, Burst: 2}, 1<<16)
	for n := range uint64(4096) {
		for range 3 {
			limiter.Allow(key(n), 1e9) // each spends its whole burst, and one more
		}
	}
	for n := uint64(4096); n < 8192; n++ {
		if ok, _ := limiter.Allow(key(n), 1e9); !ok {
			t.Fatalf("the first request of key %d was refused", n)
		}
	}
}

func TestALoudKeyStaysRefusedThroughAFlood(t *testing.T) {
	limiter := NewLimiter(Rate{PerSecond: 1, Burst: 50}, 1<<10)
	loud := []byte("loud")
	for range 50 {
		limiter.Allow(loud, 0)
	}
	for n := range uint64(1 << 16) { // 64 times what the table holds
		limiter.Allow(key(n), 0)
		if ok, _ := limiter.Allow(loud, 0); ok {
			t.Fatalf("allowed again after %d other keys", n+1)
		}
	}
}

// Security line 3: random keys by the million; the table never grows, and a
// buyer who keeps to the rate does not notice.
func TestAFloodOfRandomKeysTakesNoMemoryAndHarmsNobody(t *testing.T) {
	const perSecond = 100_000
	keys := 50_000_000
	if testing.Short() || raceEnabled {
		keys = 500_000
	}
	limiter := NewLimiter(Rate{PerSecond: 50, Burst: 100}, 1<<16)
	random := rand.New(rand.NewPCG(1, 2))
	buffer := make([]byte, 16)
	before := heapInUse()
	now := int64(1e18)
	for i := range keys {
		binary.BigEndian.PutUint64(buffer, random.Uint64())
		limiter.Allow(buffer, now)
		now += int64(time.Second) / perSecond
		if i%(perSecond/10) == 0 { // ten requests a second against fifty allowed
			if ok, _ := limiter.AllowString("a well-behaved buyer", now); !ok {
				t.Fatalf("refused after %d random keys", i)
			}
		}
	}
	if grown := heapInUse() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes over %d keys, want none", grown, keys)
	}
	runtime.KeepAlive(limiter)
}

func heapInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Keys that share a set in one limiter are scattered in the next: what was
// found out about one process is worth nothing against another.
func TestAFloodMadeForAnotherSeedDoesNothing(t *testing.T) {
	known := NewLimiter(Rate{PerSecond: 1, Burst: 2}, 1<<12)
	var colliding [][]byte
	for n := uint64(0); len(colliding) < 200; n++ {
		if known.setOf(key(n)) == 0 {
			colliding = append(colliding, key(n))
		}
	}
	other := NewLimiter(Rate{PerSecond: 1, Burst: 2}, 1<<12)
	shared := map[uint64]int{}
	for _, k := range colliding {
		shared[other.setOf(k)]++
	}
	for set, n := range shared {
		if n > setSlots { // 200 keys over 512 sets: more than 8 in one is a chance in 10 million
			t.Errorf("%d of 200 keys share set %d under another seed", n, set)
		}
	}
}

func (l *Limiter) setOf(key []byte) uint64 { return maphash.Bytes(l.seed, key) & l.sets }

func TestAClockThatLagsALittleGetsNoSecondBurst(t *testing.T) {
	limiter := NewLimiter(Rate{PerSecond: 1, Burst: 5}, 8)
	for range 5 {
		limiter.AllowString("one buyer", 1e18)
	}
	if ok, wait := limiter.AllowString("one buyer", 1e18-1e8); ok || wait < time.Second {
		t.Errorf("100 ms earlier: %v, wait %s; want refused for 1.1 s", ok, wait)
	}
	if ok, _ := limiter.AllowString("one buyer", 1e18-1e10); !ok {
		t.Error("refused after the clock was set back by 10 s: the key would be barred")
	}
}

// Two callers' clocks differ by a little: that must not hand out a second
// burst.
func TestManyAtOnceGetOneBurstBetweenThem(t *testing.T) {
	const burst = 1000
	limiter := NewLimiter(Rate{PerSecond: 0.5, Burst: burst}, 1<<10)
	var allowed atomic.Int64
	var group sync.WaitGroup
	for g := range int64(8) {
		group.Go(func() {
			for i := range int64(1000) {
				if ok, _ := limiter.AllowString("one buyer", 1e18+(i*7919+g)%1e6); ok {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if got := allowed.Load(); got != burst {
		t.Errorf("%d requests allowed, want %d", got, burst)
	}
}

func TestALimiterThatIsOffAllowsEverything(t *testing.T) {
	limiter := NewLimiter(Rate{}, LimiterSlots)
	for range 10_000 {
		if ok, wait := limiter.AllowString("x", 1); !ok || wait != 0 {
			t.Fatalf("Allow = %v, %s; want true, 0s", ok, wait)
		}
	}
	if len(limiter.slots) != 0 {
		t.Errorf("it holds %d slots, want none", len(limiter.slots))
	}
}

func TestARefusalTellsTheWaitInWholeSeconds(t *testing.T) {
	limiter := NewLimiter(Rate{PerSecond: 0.1, Burst: 1}, 8)
	for wait, want := range map[time.Duration]time.Duration{
		1:                       time.Second,
		time.Second:             time.Second,
		1001 * time.Millisecond: 2 * time.Second,
		10 * time.Second:        10 * time.Second,
		time.Hour:               11 * time.Second, // never told: the longest there is
		0:                       0,
		-time.Hour:              0, // another machine's
		math.MaxInt64:           11 * time.Second,
	} {
		no, ok := errors.AsType[shop.Refusal](limiter.refusal(wait))
		if !ok || no.Code != shop.TooManyRequests || no.RetryAfter != want {
			t.Errorf("refusal(%s) = %v after %s, want too_many_requests after %s", wait, no.Code, no.RetryAfter, want)
		}
	}
}

func TestALimiterThatIsOffStillSaysANoOfAnothers(t *testing.T) {
	var none *Limiter
	for name, limiter := range map[string]*Limiter{"off": NewLimiter(Rate{}, 8), "none": none} {
		for wait, want := range map[time.Duration]time.Duration{-time.Hour: 0, 0: 0, 1: time.Second, math.MaxInt64: time.Hour} {
			no, ok := errors.AsType[shop.Refusal](limiter.refusal(wait))
			if !ok || no.Code != shop.TooManyRequests || no.RetryAfter != want {
				t.Errorf("%s: refusal(%s) = %v after %s, want too_many_requests after %s", name, wait, no.Code, no.RetryAfter, want)
			}
		}
	}
}

func TestALimiterRoundsItsSlotsUp(t *testing.T) {
	for slots, want := range map[int]int{-1: 8, 0: 8, 1: 8, 8: 8, 9: 16, 17: 32, 1 << 12: 1 << 12} {
		if got := len(NewLimiter(Rate{PerSecond: 1, Burst: 1}, slots).slots); got != want {
			t.Errorf("NewLimiter(…, %d) holds %d slots, want %d", slots, got, want)
		}
	}
}

// BenchmarkLimiter is the row G1: a million keys in turn, most of them far
// from any cache.
func BenchmarkLimiter(b *testing.B) {
	const keys = 1 << 20
	order := rand.New(rand.NewPCG(1, 2)).Perm(keys)
	for _, c := range []struct {
		name string
		rate Rate
	}{{"allowed", Rate{PerSecond: rateMax, Burst: 1000}}, {"refused", Rate{PerSecond: 0.01, Burst: 1}}} {
		b.Run(c.name, func(b *testing.B) {
			limiter := NewLimiter(c.rate, LimiterSlots)
			var k [16]byte
			for n := range uint64(keys) {
				binary.LittleEndian.PutUint64(k[:], n)
				limiter.Allow(k[:], 1)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				binary.LittleEndian.PutUint64(k[:], uint64(order[i]))
				limiter.Allow(k[:], int64(i))
				if i++; i == keys {
					i = 0
				}
			}
			b.ReportMetric(float64(8*len(limiter.slots))/keys, "B/key")
		})
	}
}
