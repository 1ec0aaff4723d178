package ledger_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

// hands are a wall clock that can be set, and the ticks beneath it.
type hands struct {
	wall  time.Time
	ticks time.Duration
}

func noon() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) }

func (h *hands) pass(d time.Duration) {
	h.wall = h.wall.Add(d)
	h.ticks += d
}

func clockAt(h *hands, floor time.Time) *ledger.Clock {
	return ledger.NewClock(func() time.Time { return h.wall }, func() time.Duration { return h.ticks }, floor)
}

func TestAClockBeginsAtTheLatestTimeOnDisk(t *testing.T) {
	h := &hands{wall: noon()}
	clock := clockAt(h, noon().Add(time.Hour))
	h.pass(time.Minute)
	if got, want := clock.Now(), noon().Add(time.Hour+time.Minute); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := clock.Step(); got != -time.Hour {
		t.Errorf("got a step of %v, want −1 h: the wall clock is behind the books", got)
	}
}

func TestAClockFollowsDrift(t *testing.T) {
	h := &hands{wall: noon()}
	clock := clockAt(h, time.Time{})
	for range 100 {
		h.pass(time.Minute)
		h.wall = h.wall.Add(time.Second) // a second a minute fast
		if step := clock.Step(); step != 0 {
			t.Fatalf("got a step of %v for a second of drift", step)
		}
	}
	if got := clock.Now(); !got.Equal(h.wall) {
		t.Errorf("got %v, want the wall's %v", got, h.wall)
	}
}

func TestAClockDoesNotFollowAJumpForwardUntilItHasLasted(t *testing.T) {
	h := &hands{wall: noon()}
	clock := clockAt(h, time.Time{})
	h.wall = h.wall.Add(24 * time.Hour)
	for range 10 {
		if step := clock.Step(); step != 24*time.Hour {
			t.Fatalf("got a step of %v, want a day", step)
		}
		if got := clock.Now().Sub(noon()); got > 10*time.Minute {
			t.Fatalf("the clock jumped by %v", got)
		}
		h.pass(time.Minute)
	}
	if step := clock.Step(); step != 0 || !clock.Now().Equal(h.wall) {
		t.Errorf("after ten minutes: step %v, %v; want the wall's %v", step, clock.Now(), h.wall)
	}
}

func TestAJumpThatIsTakenBackIsForgotten(t *testing.T) {
	h := &hands{wall: noon()}
	clock := clockAt(h, time.Time{})
	for range 3 { // nine minutes each, but never ten in a row
		h.wall = h.wall.Add(time.Hour)
		clock.Step()
		h.pass(9 * time.Minute)
		clock.Step()
		h.wall = h.wall.Add(-time.Hour)
		if step := clock.Step(); step != 0 {
			t.Fatalf("got a step of %v after it was taken back", step)
		}
	}
}

func TestAClockSetBackIsNotBelievedBeforeARestart(t *testing.T) {
	h := &hands{wall: noon()}
	clock := clockAt(h, time.Time{})
	h.wall = h.wall.Add(-time.Hour)
	h.pass(time.Hour)
	if step := clock.Step(); step != -time.Hour {
		t.Errorf("got a step of %v, want −1 h", step)
	}
	if got, want := clock.Now(), noon().Add(time.Hour); !got.Equal(want) {
		t.Errorf("got %v, want %v: deadlines come all the same", got, want)
	}
}

func TestAClockNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hands{wall: noon()}
		clock := clockAt(h, time.Time{})
		last := clock.Now()
		for range rapid.IntRange(1, 50).Draw(t, "events") {
			h.wall = h.wall.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "set")))
			h.pass(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "pass")))
			clock.Step()
			now := clock.Now()
			if now.Before(last) {
				t.Fatalf("from %v back to %v", last, now)
			}
			last = now
		}
	})
}
