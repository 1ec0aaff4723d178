package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
)

var errClosed = errors.New("sqlite: the ledger is closed")

// job is one caller's transaction. It may share its commit with others'.
type job struct {
	do    func(ctx context.Context, t *tx) error
	alone bool      // it changes the catalogue, which the next one has to see
	err   error     // set before turn
	turn  chan bool // true: lead a commit, with this job in it; false: done
}

// queue is where callers wait for a commit. The first one that waits leads:
// it commits for all that wait by then, wakes them, and hands the lead on. So
// commits grow with the crowd, without a timer and without a goroutine.
type queue struct {
	mu      sync.Mutex
	waiting []*job
	leader  *job  // of the waiting, where it was told and has not begun
	busy    bool  // somebody leads
	stopped error // what every later call returns
}

// groupMax bounds the jobs of one commit, so that the first of them does not
// wait for a crowd behind it.
const groupMax = 64

// join queues the job and reports whether its caller leads.
func (q *queue) join(j *job) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped != nil {
		return false, q.stopped
	}
	q.waiting = append(q.waiting, j)
	if q.busy {
		return false, nil
	}
	q.busy = true
	return true, nil
}

// leave takes the job back, if nobody runs it yet and its caller need not
// lead.
func (q *queue) leave(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, j)
	if at < 0 || q.leader == j {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}

// take returns the jobs of the next commit.
func (q *queue) take() ([]*job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 1
	for !q.waiting[0].alone && n < min(len(q.waiting), groupMax) && !q.waiting[n].alone {
		n++
	}
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.leader = nil
	return group, q.stopped
}

// pass hands the lead to whoever waits longest.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy = false
		return
	}
	q.leader = q.waiting[0]
	q.leader.turn <- true
}

// stop makes every call from now on fail with err, and reports whether it was
// stopped for something else before.
func (q *queue) stop(err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped != nil {
		return !errors.Is(q.stopped, errClosed)
	}
	q.stopped = err
	return false
}

// err returns what stopped the ledger, nil while it goes on.
func (q *queue) err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

// write runs do in a transaction and returns when it is on disk, or not
// there at all. do may run again from the beginning; it gets a context that
// does not end, for a transaction is never broken off half-way.
func (l *Ledger) write(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return l.queued(ctx, &job{do: do, turn: make(chan bool, 1)})
}

// writeAlone is write for what changes the catalogue.
func (l *Ledger) writeAlone(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return l.queued(ctx, &job{do: do, alone: true, turn: make(chan bool, 1)})
}

func (l *Ledger) queued(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leads, err := l.queue.join(j)
	if err != nil {
		return err
	}
	if !leads {
		select {
		case leads = <-j.turn:
		case <-ctx.Done():
			if l.queue.leave(j) {
				return ctx.Err()
			}
			leads = <-j.turn // it runs already: its outcome is near, and then known
		}
	}
	if leads {
		l.lead(context.WithoutCancel(ctx), j)
	}
	return j.err
}

// lead commits what waits, the leader's own job among it.
func (l *Ledger) lead(ctx context.Context, own *job) {
	group, err := l.queue.take()
	if err == nil {
		err = l.commit(ctx, group)
	}
	for _, j := range group {
		if err != nil && j.err == nil {
			j.err = err
		}
	}
	l.queue.pass()
	for _, j := range group {
		if j != own {
			j.turn <- false
		}
	}
}
