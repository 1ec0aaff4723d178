// Package gatetest is what every meter must do. A machine runs the whole suite:
//
//	func TestMeter(t *testing.T) { gatetest.RunMeter(t, openRedis) }
package gatetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
)

// Open returns a meter of that rate which has counted nothing.
type Open func(t *testing.T, rate gate.Rate) gate.Meter

// noon is where the suite's clock begins.
const noon = int64(1_796_126_400_000_000_000)

// RunMeter runs the suite. Each case opens a meter of its own.
func RunMeter(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		rate gate.Rate
		run  func(b *bench)
	}{
		{"a burst passes, and then one order after the other", gate.Rate{PerSecond: 2, Burst: 3}, burst},
		{"waiting as told is enough, and less is not", gate.Rate{PerSecond: 0.5, Burst: 2}, waiting},
		{"a refused order costs nothing", gate.Rate{PerSecond: 1, Burst: 1}, refused},
		{"buyers do not count for each other", gate.Rate{PerSecond: 0.1, Burst: 1}, strangers},
		{"a clock that lags a little gets no second burst", gate.Rate{PerSecond: 0.1, Burst: 5}, lagging},
		{"many at once get one burst between them", gate.Rate{PerSecond: 0.1, Burst: 50}, crowd},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&bench{T: t, meter: open(t, c.rate), now: noon}) })
	}
}

type bench struct {
	*testing.T
	meter gate.Meter
	now   int64
}

// take wants an order to pass, or to wait about so long.
func (b *bench) take(buyer string, want time.Duration) {
	b.Helper()
	wait, err := b.meter.Take(b.Context(), buyer, b.now)
	if err != nil {
		b.Fatalf("%s: %v", buyer, err)
	}
	if (wait == 0) != (want == 0) || (wait-want).Abs() > time.Millisecond {
		b.Errorf("%s waits %s, want %s", buyer, wait, want)
	}
}

func (b *bench) pass(d time.Duration) { b.now += int64(d) }

func burst(b *bench) {
	for range 3 {
		b.take("ann", 0)
	}
	b.take("ann", time.Second/2)
	b.pass(time.Second / 2)
	b.take("ann", 0)
	b.take("ann", time.Second/2)
	b.pass(time.Minute)
	for range 3 {
		b.take("ann", 0)
	}
	b.take("ann", time.Second/2)
}

func waiting(b *bench) {
	b.take("ann", 0)
	b.take("ann", 0)
	b.pass(500 * time.Millisecond)
	b.take("ann", 1500*time.Millisecond)
	b.pass(1400 * time.Millisecond)
	b.take("ann", 100*time.Millisecond)
	b.pass(101 * time.Millisecond)
	b.take("ann", 0)
}

func refused(b *bench) {
	b.take("ann", 0)
	for range 20 {
		b.take("ann", time.Second)
	}
	b.pass(time.Second + time.Millisecond)
	b.take("ann", 0)
}

func strangers(b *bench) {
	for _, buyer := range []string{"ann", "bob", "Ann", "ann ", "Zoë / '{x}'\"%", "*"} {
		b.take(buyer, 0)
		b.take(buyer, 10*time.Second)
	}
}

func lagging(b *bench) {
	for range 5 {
		b.take("ann", 0)
	}
	b.pass(-100 * time.Millisecond)
	b.take("ann", 10*time.Second+100*time.Millisecond)
	b.pass(-time.Hour) // set back: nobody is barred for an hour
	b.take("ann", 0)
}

func crowd(b *bench) {
	var passed [4]atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				who := (i + j) % len(passed)
				wait, err := b.meter.Take(b.Context(), fmt.Sprint("buyer-", who), b.now)
				if err != nil {
					b.Errorf("take: %v", err)
					return
				}
				if wait == 0 {
					passed[who].Add(1)
				}
			}
		})
	}
	all.Wait()
	for who := range passed {
		if got := passed[who].Load(); got != 50 {
			b.Errorf("%d orders of buyer %d passed, want 50", got, who)
		}
	}
}
