package ledger

import (
	"sync"
	"time"
)

// Steps of the wall clock.
const (
	stepMax    = 5 * time.Second  // more at once is not drift: somebody set the clock
	adoptAfter = 10 * time.Minute // a clock that stays set this long is believed
)

// Clock is the ledger's time: it never goes back, and it does not follow a
// wall clock that jumps, so that no hold ends early and no sale reopens.
type Clock struct {
	wall  func() time.Time
	ticks func() time.Duration

	mu       sync.Mutex
	anchor   time.Time     // the ledger's time …
	anchored time.Duration // … at this tick
	last     time.Time
	stepped  *time.Duration // tick at which a step was first seen; nil: none
}

// NewClock begins at the later of wall's time and floor, the latest time that
// the ledger has on disk. ticks is a monotonic count since any beginning.
func NewClock(wall func() time.Time, ticks func() time.Duration, floor time.Time) *Clock {
	start := wall().Round(0)
	if start.Before(floor) {
		start = floor
	}
	return &Clock{wall: wall, ticks: ticks, anchor: start, anchored: ticks(), last: start}
}

// Now returns the ledger's time in UTC, to the millisecond.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now(c.ticks())
}

func (c *Clock) now(tick time.Duration) time.Time {
	if t := c.anchor.Add(tick - c.anchored); t.After(c.last) {
		c.last = t
	}
	return c.last.UTC().Truncate(time.Millisecond)
}

// Step compares the wall clock with the ledger's and returns by how much it
// was set: zero while they agree. Small drift is followed; a jump is not,
// until it has lasted ten minutes, and a jump back not before a restart.
func (c *Clock) Step() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	tick := c.ticks()
	wall := c.wall().Round(0)
	step := wall.Sub(c.anchor.Add(tick - c.anchored))
	if step.Abs() <= stepMax {
		c.follow(wall, tick)
		return 0
	}
	if c.stepped == nil {
		c.stepped = &tick
	}
	if step > 0 && tick-*c.stepped >= adoptAfter {
		c.follow(wall, tick)
		return 0
	}
	return step
}

func (c *Clock) follow(wall time.Time, tick time.Duration) {
	c.anchor, c.anchored, c.stepped = wall, tick, nil
}
