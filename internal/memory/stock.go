// Package memory keeps the stock and the queue inside one process.
package memory

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// Stock is the fast stock of a single node. It forgets everything at a
// restart: the supplier then begins a new epoch. It grows with the units that
// were granted (a ticket takes one at least) and with the buyers who hold
// some; an ask that is refused leaves nothing behind.
type Stock struct {
	now     func() time.Time
	publish queue.Publisher

	// The index is replaced, never changed, so that buyers of different
	// buckets share no lock. It has one entry per bucket of the ledger.
	index    atomic.Pointer[map[shop.Bucket]*shelf]
	starting sync.Mutex

	fresh sync.Pool // of *[]shop.Ticket: the new tickets of one call
}

var (
	_ stock.Counter = (*Stock)(nil)
	_ stock.Supply  = (*Stock)(nil)
)

// NewStock returns a stock that knows no bucket. Tickets are stamped by now
// and handed to publish.
func NewStock(now func() time.Time, publish queue.Publisher) *Stock {
	s := &Stock{now: now, publish: publish}
	s.index.Store(&map[shop.Bucket]*shelf{})
	s.fresh.New = func() any { return new([]shop.Ticket) }
	return s
}

// shelf returns the bucket's shelf, or nil where it was never started.
func (s *Stock) shelf(bucket shop.Bucket) *shelf { return (*s.index.Load())[bucket] }

// Reserve implements stock.Counter.
func (s *Stock) Reserve(ctx context.Context, bucket shop.Bucket, asks []stock.Ask, into []stock.Answer) ([]stock.Answer, error) {
	shelf := s.shelf(bucket)
	if shelf == nil {
		for range asks {
			into = append(into, stock.Answer{Outcome: stock.Unknown})
		}
		return into, nil
	}
	fresh := s.fresh.Get().(*[]shop.Ticket)
	into = shelf.reserve(asks, s.now(), into, fresh)
	if len(*fresh) > 0 {
		// The tickets stand in the outbox: what the queue does not take, the
		// sweeper finds. So a failure here is not the buyers' concern.
		_ = s.publish.Publish(ctx, *fresh)
	}
	clear(*fresh)
	*fresh = (*fresh)[:0]
	s.fresh.Put(fresh)
	return into, nil
}

// Settle implements stock.Counter.
func (s *Stock) Settle(_ context.Context, bucket shop.Bucket, settlements []stock.Settlement) error {
	if shelf := s.shelf(bucket); shelf != nil {
		shelf.settle(settlements)
	}
	return nil
}

// Undecided implements stock.Counter.
func (s *Stock) Undecided(_ context.Context, bucket shop.Bucket, limit int) ([]shop.Ticket, error) {
	shelf := s.shelf(bucket)
	if shelf == nil {
		return nil, nil
	}
	return shelf.undecided(limit), nil
}

// Ticket implements stock.Counter.
func (s *Stock) Ticket(_ context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error) {
	shelf := s.shelf(bucket)
	if shelf == nil {
		return shop.Ticket{}, false, nil
	}
	ticket, ok := shelf.ticket(claim)
	return ticket, ok, nil
}

// Shelf implements stock.Supply.
func (s *Stock) Shelf(_ context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	shelf := s.shelf(bucket)
	if shelf == nil {
		return stock.Shelf{}, stock.ErrUnknown
	}
	return shelf.look()
}

// Start implements stock.Supply.
func (s *Stock) Start(_ context.Context, bucket shop.Bucket, epoch int64) error {
	s.enter(bucket).start(epoch)
	return nil
}

// enter returns the bucket's shelf; a new one stands in the index before it
// knows anything.
func (s *Stock) enter(bucket shop.Bucket) *shelf {
	s.starting.Lock()
	defer s.starting.Unlock()
	if known := s.shelf(bucket); known != nil {
		return known
	}
	index := maps.Clone(*s.index.Load())
	index[bucket] = &shelf{bucket: bucket}
	s.index.Store(&index)
	return index[bucket]
}

// Remember implements stock.Supply.
func (s *Stock) Remember(_ context.Context, bucket shop.Bucket, mark int64) error {
	if shelf := s.shelf(bucket); shelf != nil {
		shelf.raise(mark)
	}
	return nil
}

// ApplyGrant implements stock.Supply.
func (s *Stock) ApplyGrant(_ context.Context, bucket shop.Bucket, epoch int64, grant stock.Grant) error {
	shelf := s.shelf(bucket)
	if shelf == nil {
		return stock.ErrUnknown
	}
	if grant.Number < 1 || grant.Quantity < 1 {
		return fmt.Errorf("stock: grant %d to %s is of %d units of %q; number and units begin at 1",
			grant.Number, bucket, grant.Quantity, grant.SKU)
	}
	return shelf.grant(epoch, grant)
}

// Reclaim implements stock.Supply.
func (s *Stock) Reclaim(_ context.Context, bucket shop.Bucket, epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	shelf := s.shelf(bucket)
	if shelf == nil {
		return stock.Reclaimed{}, stock.ErrUnknown
	}
	if reclaim.Number < 1 || reclaim.Quantity < 1 {
		return stock.Reclaimed{}, fmt.Errorf("stock: reclaim %d from %s is of %d units of %q; number and units begin at 1",
			reclaim.Number, bucket, reclaim.Quantity, reclaim.SKU)
	}
	return shelf.reclaim(epoch, reclaim)
}

// Forget drops all that the stock knows of the bucket, tickets included, as a
// restart would: for tests.
func (s *Stock) Forget(bucket shop.Bucket) {
	if shelf := s.shelf(bucket); shelf != nil {
		shelf.forget()
	}
}
