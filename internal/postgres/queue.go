package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// job is one caller's change of an order. It shares its transaction with
// those that wait at the same time: each transaction has the sale's turnstile
// for itself, with an fsync.
type job struct {
	order   shop.ClaimID
	event   string // a provider's; pays for one order only
	rule    func(b *ledger.Book) (shop.Order, error)
	answer  shop.Order
	refused error     // told when what came with it is on disk
	err     error     // set before turn
	turn    chan bool // true: lead, with this job among the led; false: done
}

// queue is where callers wait for a transaction. The first one that waits
// leads: it runs all that wait by then, wakes them, and hands the lead on.
type queue struct {
	mu      sync.Mutex
	waiting []*job
	leader  *job // of the waiting, where it was told and has not begun
	busy    bool // somebody leads
}

// groupMax bounds the jobs of one transaction, so that the first of them does
// not wait for a crowd behind it.
const groupMax = 128

// join queues the job and reports whether its caller leads.
func (q *queue) join(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, j)
	if q.busy {
		return false
	}
	q.busy = true
	return true
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

// take returns the jobs of the next transaction.
func (q *queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), groupMax)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.leader = nil
	return group
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

// queued runs the job, with others or alone, and returns when its outcome is
// known.
func (l *Ledger) queued(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leads := l.queue.join(j)
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

// lead runs what waits, the leader's own job among it.
func (l *Ledger) lead(ctx context.Context, own *job) {
	group := l.queue.take()
	err := l.runJobs(ctx, group)
	for _, j := range group {
		fault := err
		if j.err == nil && len(group) > 1 && (state(err) != "" || contested(err)) {
			// The database refused the whole of it: whose fault it was shows when
			// each runs alone.
			fault = l.runJobs(ctx, []*job{j})
		}
		if j.err == nil {
			j.err = fault
		}
	}
	l.queue.pass()
	for _, j := range group {
		if j != own {
			j.turn <- false
		}
	}
}
