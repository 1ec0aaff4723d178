package herald

import (
	"testing"
	"time"
)

func TestARoundRestsByWhatItTookAndByWhatItLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		took  time.Duration
		looks int
		want  time.Duration
	}{
		"a round that found nothing to look at":       {took: time.Second, looks: 0, want: 20 * time.Millisecond},
		"a quick look at one sale":                    {took: 40 * time.Microsecond, looks: 1, want: 20_500 * time.Microsecond},
		"a look that took its time":                   {took: 10 * time.Millisecond, looks: 1, want: 190 * time.Millisecond},
		"a look that waited for the disk":             {took: 3 * time.Second, looks: 1, want: 400 * time.Millisecond},
		"a quick round of a thousand sales":           {took: 8 * time.Millisecond, looks: 1000, want: 520 * time.Millisecond},
		"a slow round of a thousand sales":            {took: time.Second, looks: 1000, want: 19 * time.Second},
		"a round of ten sales that waited for a disk": {took: time.Minute, looks: 10, want: 4 * time.Second},
	} {
		if got := restAfter(c.took, c.looks); got != c.want {
			t.Errorf("after %s: %v, want %v", name, got, c.want)
		}
	}
}
