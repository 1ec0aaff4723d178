package postgres

import (
	"sync/atomic"
	"time"
)

const (
	// quietWait is what a batch waits at a turnstile that nobody else uses:
	// the statements before the database looks at its clock.
	quietWait = 500 * time.Microsecond
	// paceEase is the part of a pause that goes with each batch. Where others keep
	// the turnstile for D, the pause settles where what is still waited makes up
	// for that part, at four fifths of D; and where pausing makes no wait shorter,
	// at four times the wait.
	paceEase = 4
	// pauseMin is not worth a timer, and pauseMax bounds what a buyer may wait for a
	// larger batch.
	pauseMin = 200 * time.Microsecond
	pauseMax = 20 * time.Millisecond
)

// pace is how long a worker gathers before its next batch. A batch that stands
// at the turnstile, behind other nodes' or behind payments and expiries of this
// one, is closed; what comes in the meantime needs a batch of its own, and a batch
// costs much the same whatever it holds. So most of the wait is moved to before
// the batch is collected.
type pace struct{ pause atomic.Int64 }

// note says how long a batch stood at the turnstile. Of two at the same time
// one may not count.
func (p *pace) note(waited time.Duration) {
	before := time.Duration(p.pause.Load())
	next := before - before/paceEase + max(0, waited-quietWait)
	if next < pauseMin {
		next = 0
	}
	p.pause.Store(int64(min(next, pauseMax)))
}

// Pause returns how long tickets had better be gathered before the next call
// of Decide, 20 ms at most; 0 where nobody else uses the turnstile.
func (l *Ledger) Pause() time.Duration { return time.Duration(l.pace.pause.Load()) }
