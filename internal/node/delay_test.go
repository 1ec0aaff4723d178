package node

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

func TestTheMiddleDelayIsOfWhatCameSince(t *testing.T) {
	buckets := []float64{math.Inf(-1), 0, 0.001, 0.1, 0.3, math.Inf(1)}
	for name, c := range map[string]struct {
		before, now []uint64
		want        time.Duration
	}{
		"nothing":           {[]uint64{0, 9, 0, 0, 0}, []uint64{0, 9, 0, 0, 0}, 0},
		"all quick":         {[]uint64{0, 9, 0, 9, 9}, []uint64{0, 99, 0, 9, 9}, 0},
		"most are slow now": {[]uint64{0, 999, 0, 0, 0}, []uint64{0, 1000, 0, 2, 0}, 100 * time.Millisecond},
		"a few are":         {[]uint64{0, 0, 0, 0, 0}, []uint64{0, 0, 60, 0, 40}, time.Millisecond},
		"all above":         {[]uint64{0, 0, 0, 0, 0}, []uint64{0, 0, 0, 0, 3}, 300 * time.Millisecond},
	} {
		if got := middle(&metrics.Float64Histogram{Counts: c.now, Buckets: buckets}, c.before); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// More goroutines than cores that all want to run wait for one another.
func TestDelaysGrowWithWhatWantsToRun(t *testing.T) {
	d := newDelays()
	d.median()
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 64 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
	}
	defer busy.Wait()
	defer close(stop)
	deadline := time.Now().Add(10 * time.Second)
	for d.median() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("no delay is seen although 64 goroutines want each core")
		}
		runtime.Gosched()
	}
}
