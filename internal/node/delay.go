package node

import (
	"runtime/metrics"
	"slices"
	"time"
)

// schedulingName is the runtime's histogram of how long goroutines waited for a
// core.
const schedulingName = "/sched/latencies:seconds"

// delays tells how long goroutines wait for a core.
type delays struct {
	sample []metrics.Sample
	before []uint64
}

func newDelays() *delays { return &delays{sample: []metrics.Sample{{Name: schedulingName}}} }

// median returns the median wait of the goroutines that ran since the last
// call.
func (d *delays) median() time.Duration {
	metrics.Read(d.sample)
	if d.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // a runtime that does not tell
	}
	now := d.sample[0].Value.Float64Histogram()
	before := d.before
	d.before = slices.Clone(now.Counts)
	if len(before) != len(now.Counts) {
		return 0
	}
	return middle(now, before)
}

// middle returns the lower end of the bucket that holds the median of what was
// counted since before.
func middle(now *metrics.Float64Histogram, before []uint64) time.Duration {
	var total, seen uint64
	for i, count := range now.Counts {
		total += count - before[i]
	}
	for i, count := range now.Counts {
		seen += count - before[i]
		if 2*seen > total {
			return time.Duration(max(0, now.Buckets[i]) * float64(time.Second)) // the first one begins below 0
		}
	}
	return 0
}
