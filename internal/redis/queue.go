package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// Redeliver is how long a ticket that was delivered may stay without an
	// acknowledgement before it comes again: longer than a worker is patient
	// with a ledger that answers.
	Redeliver = 30 * time.Second
	// bufferMax is how many tickets may wait in this process before it reads
	// more: two batches of a worker. What waits here is nobody else's.
	bufferMax = 2048
	// indexBits of a tag are the ticket's place in its entry.
	indexBits = 16
)

// QueueOptions says who reads which streams.
type QueueOptions struct {
	// Name is this process's name among those that read: no two have the same.
	// A process that comes back under its old name goes on with what it had.
	Name string
	// Buckets lists the buckets whose streams are read. It is asked again and
	// again.
	Buckets func() []shop.Bucket
	// Redeliver is the redelivery time; 0: the constant.
	Redeliver time.Duration
}

// Queue brings the tickets of many buckets' streams. Nothing comes before Run
// runs. One entry of a stream holds the tickets of one script call; it is
// forgotten when all of them are acknowledged, and by nothing else.
type Queue struct {
	client   *Client
	options  QueueOptions
	poisoned atomic.Int64
	reads    outage.Group[shop.Bucket]

	// wake holds a token when a receiver may find tickets waiting. Who leaves
	// some puts it back for the next.
	wake chan struct{}

	mu      sync.Mutex
	room    chan struct{} // closed and replaced when there is room for more
	waiting []place       // in the order in which they came
	entries map[entryKey]*entry
	numbers map[uint64]*entry
	last    uint64 // number of the last entry
}

// entryKey tells an entry from all others: its id is unique in its stream only.
type entryKey struct {
	shelf *shelf
	id    string
}

// entry is what a stream holds in one piece, from its delivery to this
// process until all of it is acknowledged.
type entry struct {
	entryKey
	number  uint64
	tickets []shop.Ticket
	states  []state   // of the tickets
	open    int       // tickets that are not acknowledged
	touched time.Time // last delivered, by Redis or by Receive
}

type state uint8

const (
	stateWaiting state = iota
	stateOut
	stateDone
)

// place is where a ticket stands: in which entry, and at which index of it.
type place struct {
	entry *entry
	index int
}

var _ queue.Queue = (*Queue)(nil)

// Queue returns the queue of this Redis as one process reads it.
func (c *Client) Queue(options QueueOptions) *Queue {
	if options.Redeliver == 0 {
		options.Redeliver = Redeliver
	}
	return &Queue{
		client: c, options: options, wake: make(chan struct{}, 1), room: make(chan struct{}),
		entries: map[entryKey]*entry{}, numbers: map[uint64]*entry{},
	}
}

// Poisoned returns how many entries held something else than tickets and were
// put away. Their tickets stand in the outbox, where the sweeper finds them.
func (q *Queue) Poisoned() int64 { return q.poisoned.Load() }

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
		if got := q.take(limit, into); len(got) > len(into) {
			return got, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return into, ctx.Err()
		}
	}
}

func (q *Queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default: // somebody is called already
	}
}

func (q *Queue) take(limit int, into []queue.Delivery) []queue.Delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, taken, wasFull := q.client.options.Now(), 0, q.full()
	for _, p := range q.waiting {
		if limit == 0 {
			break
		}
		taken++
		if p.entry.states[p.index] != stateWaiting {
			continue // acknowledged after it had come again
		}
		limit--
		p.entry.states[p.index], p.entry.touched = stateOut, now
		into = append(into, queue.Delivery{
			Ticket: p.entry.tickets[p.index],
			Tag:    p.entry.number<<indexBits | uint64(p.index), //nolint:gosec // an index
		})
	}
	q.waiting = append(q.waiting[:0], q.waiting[taken:]...)
	if len(q.waiting) > 0 {
		q.rouse()
	}
	if wasFull && !q.full() {
		close(q.room)
		q.room = make(chan struct{})
	}
	return into
}

func (q *Queue) full() bool { return len(q.waiting) >= bufferMax }

// Ack implements queue.Queue.
func (q *Queue) Ack(ctx context.Context, deliveries []queue.Delivery) error {
	finished := q.tick(deliveries)
	faults := make(chan error, len(finished))
	var all sync.WaitGroup
	for shelf, entries := range finished { // each on a server of its own, perhaps
		all.Go(func() { faults <- q.forget(ctx, shelf, entries) })
	}
	all.Wait()
	close(faults)
	var joined []error
	for err := range faults {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}

// tick notes the deliveries and returns the entries of which nothing is open.
func (q *Queue) tick(deliveries []queue.Delivery) map[*shelf][]*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	finished := map[*shelf][]*entry{}
	for i := range deliveries {
		e, ok := q.numbers[deliveries[i].Tag>>indexBits]
		index := int(deliveries[i].Tag & (1<<indexBits - 1))
		if !ok || index >= len(e.states) || e.states[index] == stateDone {
			continue
		}
		e.states[index] = stateDone
		if e.open--; e.open == 0 {
			finished[e.shelf] = append(finished[e.shelf], e)
		}
	}
	return finished
}

// forget drops entries from their stream, and then from this process. Where
// it fails they come again, and are known to be acknowledged.
func (q *Queue) forget(ctx context.Context, s *shelf, entries []*entry) error {
	for len(entries) > 0 {
		part := entries[:min(len(entries), batchMax)]
		entries = entries[len(part):]
		args := []string{group}
		for _, e := range part {
			args = append(args, e.id, decimal(int64(len(e.tickets))))
		}
		if err := q.drop(ctx, s, args); err != nil {
			return err
		}
		q.mu.Lock()
		for _, e := range part {
			q.lose(e)
		}
		q.mu.Unlock()
	}
	return nil
}

// drop runs the script that forgets entries.
func (q *Queue) drop(ctx context.Context, s *shelf, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	c := q.client
	if _, err := c.run(ctx, c.scripts.ack, []string{s.keys.stream, s.keys.depth}, args); err != nil {
		return fmt.Errorf("acknowledge %d entries of %s: %w", len(args)/2, s.bucket, err)
	}
	return nil
}

// lose forgets an entry in this process.
func (q *Queue) lose(e *entry) {
	delete(q.entries, e.entryKey)
	delete(q.numbers, e.number)
}

// Depth implements queue.Queue. After entries were trimmed by hand it is too
// high until the stream is empty.
func (q *Queue) Depth(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	c, depth := q.client, 0
	var calls rueidis.Commands
	for _, bucket := range q.options.Buckets() {
		k := c.shelf(bucket).keys
		calls = append(calls, c.conn.B().Xlen().Key(k.stream).Build(), c.conn.B().Get().Key(k.depth).Build())
	}
	answers := c.conn.DoMulti(ctx, calls...)
	for i := 0; i+1 < len(answers); i += 2 {
		entries, err := answers[i].AsInt64()
		if err != nil {
			return 0, fmt.Errorf("count what is queued: %w", err)
		}
		tickets, err := answers[i+1].AsInt64()
		if err != nil && !rueidis.IsRedisNil(err) {
			return 0, fmt.Errorf("count what is queued: %w", err)
		}
		if entries > 0 {
			depth += int(max(entries, tickets))
		}
	}
	return max(0, depth-q.ticked()), nil
}

// ticked counts the tickets that are acknowledged while others of their entry
// are not.
func (q *Queue) ticked() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := 0
	for _, e := range q.entries {
		done += len(e.tickets) - e.open
	}
	return done
}
