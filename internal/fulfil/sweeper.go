package fulfil

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// sweepEvery and sweepAfter: a ticket that the queue lost is decided within
	// seconds; one that merely waits its turn is left alone.
	sweepEvery = time.Second
	sweepAfter = 2 * time.Second
	// sweepMax bounds one look at one bucket; the oldest come first, so the
	// next look finds the rest.
	sweepMax = 4096
	// reportEvery is how often it is logged that the queue leaves tickets: while
	// the broker is away every sweep finds some.
	reportEvery = time.Minute
	// recallEvery is after how many sweeps what could not be decided is tried
	// again.
	recallEvery = 10
	// pastEvery is after how many sweeps the buckets of sales that are over are
	// looked at again. They have no tickets, unless a Redis that went back in
	// time met a node that had slept; such tickets are decided within 30
	// seconds, like any other.
	pastEvery = 20
)

// Sweeper re-reads the stock's undecided tickets, those of earlier epochs
// too: queue, pending lists and brokers are only hints.
type Sweeper struct {
	Worker  *Worker
	Stock   stock.Counter
	Buckets func() []shop.Bucket // those that may have tickets
	Over    func() []shop.Bucket // those of sales that are over; nil: none
	Now     func() time.Time
	Leads   func() bool // reports whether this node is the one that sweeps; nil: it is
	Log     *slog.Logger

	ticks    int
	oldest   atomic.Int64 // unix nanoseconds of the oldest undecided ticket; 0: none
	reads    outage.Watch
	seen     int       // tickets seen to and not reported yet
	reported time.Time // when the last were
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.tick(ctx)
		}
	}
}

func (s *Sweeper) tick(ctx context.Context) {
	// A node that does not sweep recalls as well: it put aside what its own
	// queue brought, and would not hear that another node has decided it.
	if s.ticks++; s.ticks%recallEvery == 0 {
		s.Worker.recall()
	}
	if s.Leads == nil || s.Leads() {
		s.sweep(ctx)
	} else {
		s.oldest.Store(0) // another node's figure
	}
}

// Oldest returns since when the oldest undecided ticket waits; zero: none does.
func (s *Sweeper) Oldest() time.Time {
	at := s.oldest.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at).UTC()
}

// sweep looks at every bucket that is due.
func (s *Sweeper) sweep(ctx context.Context) {
	var oldest time.Time
	var unread blanks
	for _, bucket := range s.due() {
		// What cannot be decided is the oldest: it must not hide the others.
		tickets, err := s.Stock.Undecided(ctx, bucket, sweepMax+s.Worker.Aside())
		if err != nil {
			unread.add(bucket, err)
			continue
		}
		if len(tickets) > 0 && (oldest.IsZero() || tickets[0].At.Before(oldest)) {
			oldest = tickets[0].At
			s.age(oldest)
		}
		s.fulfil(ctx, s.hopeful(overdue(tickets, s.Now().Add(-sweepAfter))))
	}
	s.tell(ctx, unread)
	s.report()
	if oldest.IsZero() {
		s.oldest.Store(0)
		return
	}
	s.oldest.Store(oldest.UnixNano())
}

// age shows an older ticket at once: the ledger that is to decide it may not
// answer for long.
func (s *Sweeper) age(at time.Time) {
	if shown := s.oldest.Load(); shown == 0 || at.UnixNano() < shown {
		s.oldest.Store(at.UnixNano())
	}
}

// blanks are the buckets of one sweep that could not be read.
type blanks struct {
	buckets int
	first   shop.Bucket
	err     error // of the first
}

func (b *blanks) add(bucket shop.Bucket, err error) {
	if b.buckets++; b.err == nil {
		b.first, b.err = bucket, err
	}
}

// tell logs that buckets cannot be read, and that all can be again. Redis holds
// them all, so a line for each would be as many as there are sales.
func (s *Sweeper) tell(ctx context.Context, unread blanks) {
	if ctx.Err() != nil {
		return // told to stop, not turned away
	}
	switch began, ended := s.reads.Note(unread.err); {
	case began:
		s.Log.Warn("undecided tickets cannot be read", "buckets", unread.buckets, "first", unread.first.String(), "error", unread.err)
	case ended:
		s.Log.Info("undecided tickets can be read again")
	}
}

// due lists the buckets that this sweep looks at.
func (s *Sweeper) due() []shop.Bucket {
	buckets := s.Buckets()
	if s.Over != nil && s.ticks%pastEvery == 0 {
		buckets = append(buckets, s.Over()...)
	}
	return buckets
}

func (s *Sweeper) fulfil(ctx context.Context, tickets []shop.Ticket) {
	for len(tickets) > 0 {
		batch := tickets[:min(batchMax, len(tickets))]
		tickets = tickets[len(batch):]
		if !s.Worker.fulfil(ctx, batch, 1, func() {}) { // the next sweep tries again
			return
		}
		s.seen += len(batch)
	}
}

// report logs how many tickets the queue had not brought.
func (s *Sweeper) report() {
	now := s.Now()
	if s.seen == 0 || now.Sub(s.reported) < reportEvery {
		return
	}
	s.Log.Warn("saw to tickets that the queue had not brought", "tickets", s.seen)
	s.seen, s.reported = 0, now
}

// hopeful leaves out what could not be decided lately.
func (s *Sweeper) hopeful(tickets []shop.Ticket) []shop.Ticket {
	if s.Worker.Aside() == 0 {
		return tickets
	}
	return slices.DeleteFunc(tickets, func(ticket shop.Ticket) bool { return s.Worker.isAside(ticket.Claim) })
}

// overdue returns the leading tickets, oldest first, that were written before
// then.
func overdue(tickets []shop.Ticket, then time.Time) []shop.Ticket {
	for i := range tickets {
		if tickets[i].At.After(then) {
			return tickets[:i]
		}
	}
	return tickets
}
