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
		"a round that found nothing to look at":       {time.Second, 0, 0, 20 * time.Millisecond},
		"a quick look at one sale":                    {40 * time.Microsecond, 1, 2, 20_500 * time.Microsecond},
		"a look that took its time":                   {10 * time.Millisecond, 1, 2, 190 * time.Millisecond},
		"a look that waited for the disk":             {3 * time.Second, 1, 2, 400 * time.Millisecond},
		"a quick look at a thousand SKUs":             {2 * time.Millisecond, 1, 1000, 270 * time.Millisecond},
		"a quick look at a hundred thousand":          {10 * time.Millisecond, 1, 100_000, 500 * time.Millisecond},
		"a quick round of a thousand sales":           {8 * time.Millisecond, 1000, 2000, 500 * time.Millisecond},
		"a slow round of a thousand sales":            {time.Second, 1000, 2000, 19 * time.Second},
		"a round of ten sales that waited for a disk": {time.Minute, 10, 20, 4 * time.Second},
	} {
		if got := restAfter(c.took, c.sales, c.skus); got != c.want {
			t.Errorf("after %s: %v, want %v", name, got, c.want)
		}
	}
}
