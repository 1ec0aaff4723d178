package e2e

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// figures are what a history shows of the server's pace.
type figures struct {
	asked, rush     int
	half, nearlyAll time.Duration
	answers         map[string]int
}

func (h *history) figures() figures {
	f := figures{answers: map[string]int{}}
	var times []time.Duration
	h.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			f.asked++
			f.answers[fmt.Sprintf("%d %s", a.status, a.code)]++
			times = append(times, a.took)
		}
	})
	if len(times) == 0 {
		return f
	}
	slices.Sort(times)
	f.half, f.nearlyAll = times[len(times)/2].Round(time.Microsecond), times[len(times)*99/100].Round(time.Microsecond)
	f.rush = slices.Max(slices.Collect(maps.Values(h.perSecond())))
	return f
}

// perSecond counts the questions by the second in which their answer came.
func (h *history) perSecond() map[int64]int {
	counts := map[int64]int{}
	h.each(func(_ claim, answers []*answer) {
		for _, a := range answers {
			counts[a.at.Unix()]++
		}
	})
	return counts
}
