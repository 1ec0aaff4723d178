// Package convoy lets callers who come at once share one transaction. The
// first one that waits leads: it runs all that wait by then, wakes them, and
// hands the lead on. So groups grow with the crowd, without a timer and without
// a goroutine.
package convoy

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrPanicked stops a convoy whose Lead panicked.
var ErrPanicked = errors.New("the code of a transaction panicked")

// Convoy is where callers wait for their job to be run. Max and Lead are set
// before the first call.
type Convoy[J any] struct {
	// Max bounds the jobs of one group, so that the first of them does not wait
	// for a crowd behind it.
	Max int
	// Lead runs a group. A job keeps its own outcome. ctx does not end. A panic ends
	// the convoy and goes on to whoever called Run: nobody knows how far it got.
	Lead func(ctx context.Context, group []J)
	// Alone reports whether a job shares with no other; nil: every one does.
	Alone func(job J) bool

	mu      sync.Mutex
	waiting []*caller[J]
	leader  *caller[J] // one of those waiting, who was told to lead and has not begun; nil: nobody
	busy    bool       // somebody leads
	stopped error      // what every later call returns
}

// caller is somebody who waits in the line with a job.
type caller[J any] struct {
	job  J
	err  error     // why the job did not run; set before turn
	turn chan bool // true: lead, with this job among the led; false: done
}

// Run returns when the job was run, with others or alone. An error says that it
// was not: ctx ended before its turn, or the convoy was stopped. Only if its
// own group panicked may the job have been run all the same.
func (c *Convoy[J]) Run(ctx context.Context, job J) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := &caller[J]{job: job, turn: make(chan bool, 1)}
	leads, err := c.join(own)
	if err != nil {
		return err
	}
	if !leads {
		select {
		case leads = <-own.turn:
		case <-ctx.Done():
			if c.leave(own) {
				return ctx.Err()
			}
			leads = <-own.turn // it runs already: its outcome is near, and then known
		}
	}
	if leads {
		c.lead(context.WithoutCancel(ctx), own)
	}
	return own.err
}

// Stop makes every call from now on fail with err, those that wait included,
// and returns what the convoy was stopped for before; nil: it was not.
func (c *Convoy[J]) Stop(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.stopped
	if before == nil {
		c.stopped = err
	}
	return before
}

// Err returns what stopped the convoy; nil while it goes on.
func (c *Convoy[J]) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// join puts a caller into the line and reports whether he leads.
func (c *Convoy[J]) join(p *caller[J]) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return false, c.stopped
	}
	c.waiting = append(c.waiting, p)
	if c.busy {
		return false, nil
	}
	c.busy = true
	return true, nil
}

// leave takes the caller out of the line, if nobody runs his job yet and he need
// not lead.
func (c *Convoy[J]) leave(p *caller[J]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.waiting, p)
	if at < 0 || c.leader == p {
		return false
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	return true
}

// lead runs what waits, the leader's own job among it.
func (c *Convoy[J]) lead(ctx context.Context, own *caller[J]) {
	group, err := c.take()
	// Whoever called may outlive a panic; those who wait must hear of it.
	defer func() { c.dismiss(group, own, err) }()
	if err != nil {
		return
	}
	jobs := make([]J, len(group))
	for i, p := range group {
		jobs[i] = p.job
	}
	err = ErrPanicked // until Lead returns
	c.Lead(ctx, jobs)
	err = nil
}

// dismiss hands the lead on and wakes the group. err is what kept it from being
// run to its end, and stops the convoy, unless something else did.
func (c *Convoy[J]) dismiss(group []*caller[J], own *caller[J], err error) {
	if err != nil {
		if before := c.Stop(err); before != nil {
			err = before
		}
	}
	c.pass()
	for _, p := range group {
		p.err = err
		if p != own {
			p.turn <- false
		}
	}
}

// take returns the next group, and what stopped the convoy.
func (c *Convoy[J]) take() ([]*caller[J], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	alone := func(p *caller[J]) bool { return c.Alone != nil && c.Alone(p.job) }
	n := 1
	for !alone(c.waiting[0]) && n < min(len(c.waiting), c.Max) && !alone(c.waiting[n]) {
		n++
	}
	group := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.leader = nil
	return group, c.stopped
}

// pass hands the lead to whoever waits longest.
func (c *Convoy[J]) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.busy = false
		return
	}
	c.leader = c.waiting[0]
	c.leader.turn <- true
}
