package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// group is the consumer group of all workers.
	group = "fulfil"
	// listEvery is how often the buckets are listed again.
	listEvery = 500 * time.Millisecond
	// restFirst and restLast bound the pause between two looks at a stream that
	// was empty. What this process reserves rings a bell, so the pause is only
	// for tickets of others; their own readers are quicker. No look blocks: in
	// a cluster each stream would need a connection of its own.
	restFirst = 25 * time.Millisecond
	restLast  = 500 * time.Millisecond
	// readMax is how many entries one look brings.
	readMax = 16
	// claimsPer is how many times, within the redelivery time, a stream is
	// searched for what was not acknowledged.
	claimsPer = 4
	// retireAfter is after how long without a sign of life, and without
	// anything of its own, a name is struck off: processes that have a new one
	// after each start must not fill Redis with them.
	retireAfter = time.Hour
)

// Run reads the streams of all buckets until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ticker := time.NewTicker(listEvery)
	defer ticker.Stop()
	stops := map[shop.Bucket]context.CancelFunc{}
	for {
		wanted := map[shop.Bucket]bool{}
		for _, bucket := range q.options.Buckets() {
			wanted[bucket] = true
			if stops[bucket] == nil {
				one, stop := context.WithCancel(ctx)
				stops[bucket] = stop
				all.Go(func() { q.tend(one, q.client.shelf(bucket)) })
			}
		}
		for bucket, stop := range stops {
			if !wanted[bucket] {
				stop()
				delete(stops, bucket)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.client.news:
		case <-ticker.C:
		}
	}
}

// stream is Run's view of one bucket's stream: how far it has read.
type stream struct {
	*Queue
	shelf   *shelf
	after   string // the last entry seen of what Redis has delivered to this name before; ">": all were
	claimed time.Time
}

// tend reads one stream. It begins with what this name had before, and does
// so again after a look whose outcome is unknown.
func (q *Queue) tend(ctx context.Context, shelf *shelf) {
	shelf.tended.Add(1)
	defer shelf.tended.Add(-1)
	defer q.reads.Note(shelf.bucket, nil) // a sale that is over
	s := &stream{Queue: q, shelf: shelf, after: "0", claimed: q.client.options.Now()}
	for rest := restFirst; s.roomy(ctx) == nil; {
		got, err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.say(err)
		if got > 0 {
			rest = restFirst
			continue
		}
		rest = min(rest*3/2, restLast)
		s.claimWhenDue(ctx)
		if s.idle(ctx, rest) {
			rest = restFirst
		}
	}
}

// roomy waits until this process may hold more tickets.
func (q *Queue) roomy(ctx context.Context) error {
	for ctx.Err() == nil {
		q.mu.Lock()
		full, room := q.full(), q.room
		q.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// idle waits for the bell, at most for rest. It reports whether it rang.
func (s *stream) idle(ctx context.Context, rest time.Duration) bool {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-s.shelf.bell:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// say logs that streams cannot be read, once while any of them cannot: most
// often it is all that one server holds.
func (s *stream) say(err error) {
	log := s.client.options.Log
	switch began, ended := s.reads.Note(s.shelf.bucket, err); {
	case began:
		log.Warn("streams of tickets cannot be read", "first", s.shelf.bucket.String(), "error", err)
	case ended:
		log.Info("all streams of tickets can be read again")
	}
}

// look reads what is new, or what was delivered to this name before. It
// returns how many entries it saw.
func (s *stream) look(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	b := s.client.conn.B()
	answer, err := s.client.conn.Do(ctx, b.Xreadgroup().Group(group, s.options.Name).
		Count(readMax).Streams().Key(s.shelf.keys.stream).Id(s.after).Build()).AsXRead()
	if rueidis.IsRedisNil(err) {
		return 0, nil // nothing new
	}
	if err != nil && noGroup(err) {
		s.after = "0"
		return 0, s.found(ctx)
	}
	if err != nil {
		s.after = "0" // some may have been delivered, unheard
		return 0, explain(err)
	}
	entries := answer[s.shelf.keys.stream]
	if s.after != ">" {
		s.after = ">" // unless there is more of what was
		if len(entries) == readMax {
			s.after = entries[len(entries)-1].ID
		}
		s.accept(ctx, entries)
		return max(1, len(entries)), nil // look on at once
	}
	s.accept(ctx, entries)
	return len(entries), nil
}

func noGroup(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(answer.Error(), "NOGROUP")
}

// found makes the group, and the stream, at its beginning: a Redis that forgot
// forgot both.
func (s *stream) found(ctx context.Context) error {
	b := s.client.conn.B()
	err := s.client.conn.Do(ctx, b.XgroupCreate().Key(s.shelf.keys.stream).Group(group).Id("0").Mkstream().Build()).Error()
	if answer, ok := rueidis.IsRedisErr(err); ok && answer.IsBusyGroup() {
		return nil // another node was faster
	}
	return err
}

// accept takes entries in, except for those that are known.
func (s *stream) accept(ctx context.Context, entries []rueidis.XRangeEntry) {
	for i := range entries {
		key := entryKey{shelf: s.shelf, id: entries[i].ID}
		s.mu.Lock()
		_, known := s.entries[key]
		s.mu.Unlock()
		if known {
			continue
		}
		if entries[i].FieldValues == nil { // deleted by hand while it was delivered
			s.putAway(ctx, key.id)
			continue
		}
		tickets, err := readEntry(entries[i].FieldValues, s.shelf.bucket)
		if err == nil && len(tickets) > 1<<indexBits {
			err = errTicket
		}
		if err != nil {
			s.poison(ctx, key.id, err)
			continue
		}
		s.enter(key, tickets)
	}
}

// enter lets the tickets of a new entry wait for a receiver.
func (q *Queue) enter(key entryKey, tickets []shop.Ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	e := &entry{
		entryKey: key, number: q.last, tickets: tickets, states: make([]state, len(tickets)),
		open: len(tickets), touched: q.client.options.Now(),
	}
	q.entries[key], q.numbers[e.number] = e, e
	for i := range tickets {
		q.waiting = append(q.waiting, place{entry: e, index: i})
	}
	q.rouse()
}

// poison puts away what nobody can read, so that it is met once.
func (s *stream) poison(ctx context.Context, id string, err error) {
	s.poisoned.Add(1)
	s.client.options.Log.Error("an entry of the stream holds no tickets; the outbox has them", "bucket", s.shelf.bucket.String(), "entry", id, "error", err)
	s.putAway(ctx, id)
}

// putAway drops an entry. Where that fails it comes again, later.
func (s *stream) putAway(ctx context.Context, id string) {
	if err := s.drop(ctx, s.shelf, []string{group, id, "0"}); err != nil {
		s.say(err)
	}
}

func (s *stream) claimWhenDue(ctx context.Context) {
	now := s.client.options.Now()
	if now.Sub(s.claimed) < s.options.Redeliver/claimsPer {
		return
	}
	s.claimed = now
	if err := s.claim(ctx, s.options.Redeliver); err != nil && ctx.Err() == nil {
		s.say(err)
	}
}

// claim takes over what was delivered to anybody at least so long ago and is
// not acknowledged.
func (s *stream) claim(ctx context.Context, idle time.Duration) error {
	for start := "0-0"; ; {
		entries, next, err := s.claimSome(ctx, idle, start)
		if err != nil {
			return err
		}
		s.accept(ctx, s.again(ctx, entries, idle))
		if next == "0-0" {
			s.letGo(idle)
			return s.retire(ctx, retireAfter)
		}
		start = next
	}
}

func (s *stream) claimSome(ctx context.Context, idle time.Duration, start string) ([]rueidis.XRangeEntry, string, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	b := s.client.conn.B()
	answer, err := s.client.conn.Do(ctx, b.Xautoclaim().Key(s.shelf.keys.stream).Group(group).Consumer(s.options.Name).
		MinIdleTime(strconv.FormatInt(idle.Milliseconds(), 10)).Start(start).Count(readMax).Build()).ToArray()
	if err != nil && noGroup(err) {
		return nil, "0-0", nil
	}
	if err != nil || len(answer) < 2 {
		return nil, "", errors.Join(errAnswer, err)
	}
	next, nextErr := answer[0].ToString()
	entries, err := answer[1].AsXRange()
	return entries, next, errors.Join(nextErr, err)
}

// retire strikes names off that nobody has borne for so long.
func (s *stream) retire(ctx context.Context, idle time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	b, key := s.client.conn.B(), s.shelf.keys.stream
	names, err := s.client.conn.Do(ctx, b.XinfoConsumers().Key(key).Group(group).Build()).ToArray()
	if answer, ok := rueidis.IsRedisErr(err); ok && (noGroup(err) || strings.Contains(answer.Error(), "no such key")) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range names {
		facts, err := names[i].AsMap()
		if err != nil {
			return errors.Join(errAnswer, err)
		}
		who, pending, silent := facts["name"], facts["pending"], facts["idle"]
		name, nameErr := who.ToString()
		count, countErr := pending.AsInt64()
		since, err := silent.AsInt64()
		if err := errors.Join(nameErr, countErr, err); err != nil {
			return errors.Join(errAnswer, err)
		}
		if count > 0 || since < idle.Milliseconds() || name == s.options.Name {
			continue
		}
		if err := s.client.conn.Do(ctx, b.XgroupDelconsumer().Key(key).Group(group).Consumername(name).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

// again lets the open tickets of known entries wait once more, and returns the
// entries that are not known.
func (s *stream) again(ctx context.Context, entries []rueidis.XRangeEntry, idle time.Duration) []rueidis.XRangeEntry {
	var fresh []rueidis.XRangeEntry
	var finished []*entry
	s.mu.Lock()
	now := s.client.options.Now()
	for i := range entries {
		e, known := s.entries[entryKey{shelf: s.shelf, id: entries[i].ID}]
		switch {
		case !known:
			fresh = append(fresh, entries[i])
		case e.open == 0: // the acknowledgement was lost
			finished = append(finished, e)
		case now.Sub(e.touched) >= idle:
			s.requeue(e, now)
		}
	}
	s.mu.Unlock()
	if err := s.forget(ctx, s.shelf, finished); err != nil {
		s.say(err)
	}
	return fresh
}

func (q *Queue) requeue(e *entry, now time.Time) {
	e.touched = now
	for i := range e.states {
		if e.states[i] == stateOut {
			e.states[i] = stateWaiting
			q.waiting = append(q.waiting, place{entry: e, index: i})
		}
	}
	q.rouse()
}

// letGo forgets entries that another process must have claimed: they did not
// come again here.
func (s *stream) letGo(idle time.Duration) {
	if idle == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.options.Now()
	for _, e := range s.entries {
		if e.shelf == s.shelf && now.Sub(e.touched) > 3*idle {
			s.lose(e)
		}
	}
}
