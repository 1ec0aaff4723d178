package stocktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// ErrLost is the fault that Flaky returns: the outcome of the call is unknown.
var ErrLost = errors.New("stocktest: the connection was lost")

// Loss is what becomes of one call.
type Loss uint8

// The losses. A caller cannot tell the two apart.
const (
	NoLoss      Loss = iota
	RequestLost      // nothing was done
	ReplyLost        // all was done
)

// Call names a method of the stock's contract.
type Call string

// The calls that can be lost.
const (
	Reserve    Call = "reserve"
	Settle     Call = "settle"
	Undecided  Call = "undecided"
	Ticket     Call = "ticket"
	Shelf      Call = "shelf"
	Start      Call = "start"
	Remember   Call = "remember"
	ApplyGrant Call = "apply grant"
	Reclaim    Call = "reclaim"
)

// Flaky is a stock whose calls are lost as Lose says, for the tests of those
// who walk over a stock. Either half may be nil where it is not called.
type Flaky struct {
	Counter stock.Counter
	Supply  stock.Supply

	// Lose is asked once per call, perhaps by many at once; nil loses nothing.
	Lose func(call Call) Loss
}

var (
	_ stock.Counter = (*Flaky)(nil)
	_ stock.Supply  = (*Flaky)(nil)
)

// pass runs do unless the request is lost, and forgets its outcome where the
// reply is.
func (f *Flaky) pass(call Call, do func() error) error {
	loss := NoLoss
	if f.Lose != nil {
		loss = f.Lose(call)
	}
	if loss != RequestLost {
		if err := do(); err != nil {
			return err
		}
	}
	if loss != NoLoss {
		return fmt.Errorf("%s: %w", call, ErrLost)
	}
	return nil
}

// Reserve implements stock.Counter; where anything is lost, into comes back
// as it was.
func (f *Flaky) Reserve(ctx context.Context, bucket shop.Bucket, asks []stock.Ask, into []stock.Answer) ([]stock.Answer, error) {
	answers := into
	err := f.pass(Reserve, func() (err error) {
		answers, err = f.Counter.Reserve(ctx, bucket, asks, into)
		return err
	})
	if err != nil {
		return into, err
	}
	return answers, nil
}

// Settle implements stock.Counter.
func (f *Flaky) Settle(ctx context.Context, bucket shop.Bucket, settlements []stock.Settlement) error {
	return f.pass(Settle, func() error { return f.Counter.Settle(ctx, bucket, settlements) })
}

// Undecided implements stock.Counter.
func (f *Flaky) Undecided(ctx context.Context, bucket shop.Bucket, limit int) ([]shop.Ticket, error) {
	var tickets []shop.Ticket
	err := f.pass(Undecided, func() (err error) {
		tickets, err = f.Counter.Undecided(ctx, bucket, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tickets, nil
}

// Ticket implements stock.Counter.
func (f *Flaky) Ticket(ctx context.Context, bucket shop.Bucket, claim shop.ClaimID) (shop.Ticket, bool, error) {
	var ticket shop.Ticket
	var ok bool
	err := f.pass(Ticket, func() (err error) {
		ticket, ok, err = f.Counter.Ticket(ctx, bucket, claim)
		return err
	})
	if err != nil {
		return shop.Ticket{}, false, err
	}
	return ticket, ok, nil
}

// Shelf implements stock.Supply.
func (f *Flaky) Shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	var shelf stock.Shelf
	err := f.pass(Shelf, func() (err error) {
		shelf, err = f.Supply.Shelf(ctx, bucket)
		return err
	})
	if err != nil {
		return stock.Shelf{}, err
	}
	return shelf, nil
}

// Start implements stock.Supply.
func (f *Flaky) Start(ctx context.Context, bucket shop.Bucket, epoch int64) error {
	return f.pass(Start, func() error { return f.Supply.Start(ctx, bucket, epoch) })
}

// Remember implements stock.Supply.
func (f *Flaky) Remember(ctx context.Context, bucket shop.Bucket, mark int64) error {
	return f.pass(Remember, func() error { return f.Supply.Remember(ctx, bucket, mark) })
}

// ApplyGrant implements stock.Supply.
func (f *Flaky) ApplyGrant(ctx context.Context, bucket shop.Bucket, epoch int64, grant stock.Grant) error {
	return f.pass(ApplyGrant, func() error { return f.Supply.ApplyGrant(ctx, bucket, epoch, grant) })
}

// Reclaim implements stock.Supply.
func (f *Flaky) Reclaim(ctx context.Context, bucket shop.Bucket, epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	var result stock.Reclaimed
	err := f.pass(Reclaim, func() (err error) {
		result, err = f.Supply.Reclaim(ctx, bucket, epoch, reclaim)
		return err
	})
	if err != nil {
		return stock.Reclaimed{}, err
	}
	return result, nil
}
