package postgres

import (
	"testing"
	"time"
)

func TestTheWallClockIsTheDatabasesLastSample(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	var tick time.Duration
	w := &serverWall{ticks: func() time.Duration { return tick }}
	at := func(after, trip time.Duration, said time.Time) {
		tick += after
		w.sample(said, tick-trip)
	}
	want := func(what string, want time.Time) {
		t.Helper()
		if got := w.now(); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	at(0, 30*time.Second, noon)
	want("the first sample, however slow", noon)
	tick += time.Second
	want("a second later", noon.Add(time.Second))
	at(0, time.Millisecond, noon.Add(2*time.Second))
	want("a quick sample", noon.Add(2*time.Second))
	at(time.Second, time.Second, noon)
	want("a slow sample soon after is not taken", noon.Add(3*time.Second))
	at(time.Second, time.Millisecond, noon.Add(time.Hour))
	want("a jump of the database's clock is seen", noon.Add(time.Hour))
	at(sampleMax, time.Second, noon)
	want("a slow sample after a long time is better than none", noon)
}
