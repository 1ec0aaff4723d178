package herald

import (
	"testing"
	"time"
)

func TestARoundRestsByWhatItTookAndByWhatItLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		took        time.Duration
		sales, skus int
		want        time.Duration
	}{
		"a round that found nothing to look at":       {10 * time.Microsecond, 0, 0, 20 * time.Millisecond},
		"a quick look at one sale":                    {40 * time.Microsecond, 1, 2, 20_500 * time.Microsecond},
		"a look that took its time":                   {10 * time.Millisecond, 1, 2, 200 * time.Millisecond},
		"a look that waited for the disk":             {3 * time.Second, 1, 2, 400 * time.Millisecond},
		"a quick look at a thousand SKUs":             {2 * time.Millisecond, 1, 1000, 270 * time.Millisecond},
		"a quick look at a hundred thousand":          {10 * time.Millisecond, 1, 100_000, 500 * time.Millisecond},
		"a quick round of a thousand sales":           {8 * time.Millisecond, 1000, 2000, 500 * time.Millisecond},
		"a slow round of a thousand sales":            {time.Second, 1000, 2000, 20 * time.Second},
		"a round of ten sales that waited for a disk": {time.Minute, 10, 20, 400 * time.Millisecond},
		"a thousand that waited for one":              {time.Minute, 1000, 2000, 20 * time.Second},
	} {
		var empty purse
		if got := empty.spend(time.Unix(0, 0), time.Unix(0, 0).Add(c.took), extent{c.sales, c.skus}); got != c.want {
			t.Errorf("after %s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAQuietTimePaysForLooksInARow(t *testing.T) {
	const took = 15 * time.Millisecond
	var p purse
	now := time.Unix(0, 0)
	p.spend(now, now, extent{})
	now = now.Add(time.Hour)
	for look, want := range []time.Duration{
		20 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond,
		140 * time.Millisecond, // three rests of a millisecond's worth, and 50 saved, paid for all but 7 of 60
		300 * time.Millisecond, 300 * time.Millisecond,
	} {
		if got := p.spend(now, now.Add(took), extent{1, 0}); got != want {
			t.Errorf("look %d rests %v, want %v", look, got, want)
		} else {
			now = now.Add(took + got)
		}
	}
}

func TestAClockThatLeapsBackOwesNothing(t *testing.T) {
	var p purse
	noon := time.Unix(1_000_000, 0)
	p.spend(noon, noon, extent{1, 0})
	if got := p.spend(noon.Add(-time.Hour), noon.Add(-2*time.Hour), extent{1, 0}); got != restMin {
		t.Errorf("rests %v, want %v", got, restMin)
	}
}
