package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// ErrFull says that the queue took no more tickets. They stand in the stock's
// outbox, where the sweeper finds them.
var ErrFull = errors.New("queue: full")

// depthMax bounds the queue at some 250 MB. The stock publishes a ticket
// once, so its units bound the depth already, but whoever publishes again
// what he sees undecided while the ledger is down must not fill the memory.
const depthMax = 1 << 20

// Queue is the queue of a single node. It starts no goroutine; what it holds
// is lost at a restart, as the stock is.
type Queue struct {
	redeliver time.Duration // unacknowledged for so long, a ticket comes again
	now       func() time.Time
	depthMax  int

	// wake holds a token when a receiver may find tickets waiting. Who leaves
	// some puts it back for the next.
	wake chan struct{}

	mu      sync.Mutex
	waiting list               // in the order of their publication
	out     list               // unacknowledged, in the order of delivery
	tags    map[uint64]*parcel // those of out
	lastTag uint64
}

var (
	_ queue.Queue     = (*Queue)(nil)
	_ queue.Publisher = (*Queue)(nil)
)

// NewQueue returns an empty queue that delivers again what was not
// acknowledged within redeliver.
func NewQueue(redeliver time.Duration, now func() time.Time) *Queue {
	return &Queue{
		redeliver: redeliver,
		now:       now,
		depthMax:  depthMax,
		wake:      make(chan struct{}, 1),
		tags:      map[uint64]*parcel{},
	}
}

// Publish implements queue.Publisher. It never waits; it returns ErrFull when
// not all tickets found room.
func (q *Queue) Publish(_ context.Context, tickets []shop.Ticket) error {
	q.mu.Lock()
	room := max(0, min(len(tickets), q.depthMax-q.waiting.count-q.out.count))
	for i := range tickets[:room] {
		q.waiting.push(&parcel{ticket: tickets[i]})
	}
	q.mu.Unlock()
	if room > 0 {
		q.rouse()
	}
	if room < len(tickets) {
		return fmt.Errorf("publish %d tickets, %d without room: %w", len(tickets), len(tickets)-room, ErrFull)
	}
	return nil
}

func (q *Queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default: // somebody is called already
	}
}

// Receive implements queue.Queue.
func (q *Queue) Receive(ctx context.Context, limit int, into []queue.Delivery) ([]queue.Delivery, error) {
	if limit < 1 {
		return into, fmt.Errorf("queue: cannot receive %d tickets; ask for 1 or more", limit)
	}
	for {
		if err := ctx.Err(); err != nil {
			q.rouse() // the call that ended the wait may be another's to answer
			return into, err
		}
		got, wait := q.take(limit, into)
		if len(got) > len(into) {
			return got, nil
		}
		if err := q.idle(ctx, wait); err != nil {
			return into, err
		}
	}
}

// idle waits for a call, at most for wait.
func (q *Queue) idle(ctx context.Context, wait time.Duration) error {
	due := time.NewTimer(wait)
	defer due.Stop()
	select {
	case <-q.wake:
	case <-due.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// take delivers what waits now, or says after which time to look again: what
// another receiver takes meanwhile is not due before that.
func (q *Queue) take(limit int, into []queue.Delivery) ([]queue.Delivery, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.takeBack(now)
	due := now.Add(q.redeliver)
	if q.waiting.count == 0 {
		if q.out.first != nil {
			due = q.out.first.due
		}
		return into, due.Sub(now)
	}
	for range min(limit, q.waiting.count) {
		p := q.waiting.first
		q.waiting.remove(p)
		q.lastTag++
		p.tag, p.due = q.lastTag, due
		q.tags[p.tag] = p
		q.out.push(p)
		into = append(into, queue.Delivery{Ticket: p.ticket, Tag: p.tag})
	}
	if q.waiting.count > 0 {
		q.rouse()
	}
	return into, 0
}

// takeBack puts overdue parcels at the end of the line: a ticket that nobody
// can handle must not stand before those that somebody can.
func (q *Queue) takeBack(now time.Time) {
	for p := q.out.first; p != nil && !p.due.After(now); p = q.out.first {
		delete(q.tags, p.tag)
		q.out.remove(p)
		q.waiting.push(p)
	}
}

// Ack implements queue.Queue.
func (q *Queue) Ack(_ context.Context, deliveries []queue.Delivery) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range deliveries {
		if p, ok := q.tags[deliveries[i].Tag]; ok {
			delete(q.tags, p.tag)
			q.out.remove(p)
		}
	}
	return nil
}

// Depth implements queue.Queue.
func (q *Queue) Depth(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.count + q.out.count, nil
}

// parcel is one publication of a ticket, in one of the two lists.
type parcel struct {
	ticket         shop.Ticket
	tag            uint64    // of its last delivery
	due            time.Time // when it comes again
	previous, next *parcel
}

// list is a line of parcels that one can leave from anywhere.
type list struct {
	first, last *parcel
	count       int
}

func (l *list) push(p *parcel) {
	p.previous, p.next = l.last, nil
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.count++
}

func (l *list) remove(p *parcel) {
	if p.previous == nil {
		l.first = p.next
	} else {
		p.previous.next = p.next
	}
	if p.next == nil {
		l.last = p.previous
	} else {
		p.next.previous = p.previous
	}
	p.previous, p.next = nil, nil
	l.count--
}
