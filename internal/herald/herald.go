// Package herald keeps the board true: it flips sales into the phases that
// their times ask for, has their stock tended, and posts what is left.
package herald

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// roundEvery is how often every sale that is not closed is looked at, so
	// that a lost hint costs a second at most.
	roundEvery = time.Second
	// toldEvery is the same where this node is told of every change: there a
	// look finds only what went wrong.
	toldEvery = 10 * time.Second
	// settleRounds is in how many rounds a sale is looked at again after its
	// version changed: the stock hears of a decision a moment after the ledger.
	settleRounds = 2
)

// Herald looks at every sale of the node. Its fields are set once.
type Herald struct {
	Sales  ledger.Sales
	Supply ledger.Supply
	Stock  stock.Supply
	Board  *gate.Board
	Clock  *ledger.Clock
	Tend   func(ctx context.Context, sale string) error // hands granted units to the stock, or leaves it to another node
	Told   bool                                         // whoever moves units touches the sale, or its listing's version tells
	Watch  int                                          // sales looked at each round although nothing says that they changed: what they stand on may have gone
	Log    *slog.Logger

	// Retire empties the stock of a sale that has been closed for a while, or
	// leaves it to another node; nil: nobody does.
	Retire func(ctx context.Context, sale string)

	// Flipped hears of a sale that this node has moved by its times; nil: nobody
	// wants to know.
	Flipped func(sale string)

	// CatchUp makes known what was decided up to a row of the sale's claims,
	// before the board shows what is left; nil: nobody else decides.
	CatchUp func(ctx context.Context, sale string, newest int64) error

	once     sync.Once
	mu       sync.Mutex
	touched  map[string]bool
	renewed  bool              // the ledger's list of sales may have changed
	halted   map[string]string // why a sale must not sell, from the auditor
	looked   chan struct{}     // closes when the next look is over
	hint     chan struct{}     // somebody touched something
	listings map[string]ledger.Listing
	failing  map[string]string // last fault by sale
	news     faults            // of this round
	lists    outage.Watch
	swept    time.Time // when every sale was last looked at
	versions map[string]version
	grants   map[shop.Bucket]numbers // at the last look that reached the bucket
	closed   map[string]time.Time    // since when a sale that is not over is known to be closed
	purse    purse                   // for looks at touched sales
	watched  string                  // the last one of those that Watch chose
	deaf     string                  // why the sales could not be listed; guarded by mu
}

func (h *Herald) init() {
	h.once.Do(func() {
		h.touched, h.halted = map[string]bool{}, map[string]string{}
		h.looked, h.hint = make(chan struct{}), make(chan struct{}, 1)
		h.failing, h.versions = map[string]string{}, map[string]version{}
		h.grants, h.closed = map[shop.Bucket]numbers{}, map[string]time.Time{}
	})
}

// version is a sale's version when it was last looked at, and in how many
// rounds it is still looked at although that is the newest.
type version struct {
	seen int64
	left int
}

// Touch says that a sale's units moved. The channel closes when the board has
// been looked over since.
func (h *Herald) Touch(sale string) <-chan struct{} { return h.mark(sale, false) }

// Await returns the channel that Touch would, without touching: another node
// acts first, and touches the sale when it has.
func (h *Herald) Await() <-chan struct{} {
	h.init()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looked
}

// Renew says that a sale was published, moved or released units in a way that
// may change its phase or its document.
func (h *Herald) Renew(sale string) <-chan struct{} { return h.mark(sale, true) }

func (h *Herald) mark(sale string, renewed bool) <-chan struct{} {
	h.init()
	h.mu.Lock()
	h.touched[sale] = true
	h.renewed = h.renewed || renewed
	looked := h.looked
	h.mu.Unlock()
	select {
	case h.hint <- struct{}{}:
	default: // a hint is waiting already
	}
	return looked
}

// Halt keeps a sale from selling, with a reason for the operator, until
// reason is empty.
func (h *Herald) Halt(sale, reason string) {
	h.init()
	h.mu.Lock()
	if reason == "" {
		delete(h.halted, sale)
	} else {
		h.halted[sale] = reason
	}
	h.mu.Unlock()
	h.Renew(sale)
}

// Run looks until ctx ends.
func (h *Herald) Run(ctx context.Context) error {
	h.init()
	due := time.NewTimer(0)
	defer due.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	deadline := h.Clock.Now()
	for {
		full := false
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
			full = true
		case <-h.hint:
			select { // a rest after a long look makes no phase late
			case <-rest.C:
			case <-due.C:
				full = true
			case <-ctx.Done():
				return nil
			}
		}
		began := h.Clock.Now()
		next, seen := h.round(ctx, full)
		now := h.Clock.Now()
		rest.Reset(h.purse.spend(began, now, seen))
		if at := now.Add(next); full || at.Before(deadline) { // a sale just published may open before the next full round
			deadline = at
		}
		due.Reset(max(0, deadline.Sub(now)))
	}
}

// Round looks once, at every sale or at the touched ones, and returns when to
// look again at the latest. Run does this by itself; a node that starts calls
// it once before it opens its doors.
func (h *Herald) Round(ctx context.Context, full bool) time.Duration {
	next, _ := h.round(ctx, full)
	return next
}

// extent is how much a round looked at.
type extent struct{ sales, skus int }

func (h *Herald) round(ctx context.Context, full bool) (next time.Duration, seen extent) {
	h.init()
	h.mu.Lock()
	touched, renewed, looked := h.touched, h.renewed, h.looked
	h.touched, h.renewed, h.looked = map[string]bool{}, false, make(chan struct{})
	halted := maps.Clone(h.halted)
	h.mu.Unlock()
	defer close(looked) // after the board shows it
	var notices []*gate.Notice
	if full || renewed || h.listings == nil {
		moved, err := h.list(ctx, halted)
		h.hear(err)
		if err != nil {
			h.deafened(ctx, err)
			h.putBack(touched, renewed)
			return roundEvery, seen
		}
		for _, id := range moved {
			touched[id] = true
		}
		notices = h.vanished(ctx)
	}
	h.deafened(ctx, nil)
	defer h.tell()
	sweep := full && h.sweepDue()
	ids := slices.Sorted(maps.Keys(h.listings))
	h.watch(full, ids, touched)
	for _, id := range ids {
		if changed := full && h.changed(id); !changed && !touched[id] && (!full || h.rests(id, sweep)) {
			continue
		}
		if notice := h.look(ctx, h.listings[id], halted[id]); notice != nil {
			notices = append(notices, notice)
			seen.sales++
			seen.skus += len(notice.Items)
		}
	}
	h.Board.Post(notices...)
	return h.next(), seen
}

// Deaf says why the ledger cannot be asked for its sales; empty: it can.
func (h *Herald) Deaf() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deaf
}

func (h *Herald) hear(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = ""
	if err != nil {
		h.deaf = err.Error()
	}
}

// watch touches, in a full round, the next sales in turn that are not closed.
func (h *Herald) watch(full bool, ids []string, touched map[string]bool) {
	if !full {
		return
	}
	at, found := slices.BinarySearch(ids, h.watched)
	if found {
		at++
	}
	for left, n := h.Watch, 0; left > 0 && n < len(ids); n++ {
		id := ids[(at+n)%len(ids)]
		if h.listings[id].Phase == shop.Closed {
			continue
		}
		touched[id], h.watched = true, id
		left--
	}
}

// sweepDue reports whether this round looks at every sale, and notes that it
// does.
func (h *Herald) sweepDue() bool {
	now := h.Clock.Now()
	if h.Told && now.Sub(h.swept) < toldEvery {
		return false
	}
	h.swept = now
	return true
}

// changed reports whether the sale's version is another one than at the last
// round, or was a moment ago.
func (h *Herald) changed(id string) bool {
	v := h.versions[id]
	switch now := h.listings[id].Version; {
	case now != v.seen:
		v = version{now, settleRounds}
	case v.left > 0:
		v.left--
	default:
		return false
	}
	h.versions[id] = v
	return true
}

// putBack leaves to the next round what this one could not look at.
func (h *Herald) putBack(touched map[string]bool, renewed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.Copy(h.touched, touched)
	h.renewed = h.renewed || renewed
}

// list flips what is due, reads the sales anew and returns which have moved.
func (h *Herald) list(ctx context.Context, halted map[string]string) ([]string, error) {
	moved, err := h.Sales.Flip(ctx, slices.Sorted(maps.Keys(halted)))
	if err != nil {
		return nil, err
	}
	if len(moved) > 0 {
		crash.At(crash.PhaseMoved)
	}
	for _, sale := range moved {
		h.Log.Info("a sale moved by its times", "sale", sale)
		if h.Flipped != nil {
			h.Flipped(sale)
		}
	}
	all, err := h.Sales.Sales(ctx)
	if err != nil {
		return nil, err
	}
	h.listings = make(map[string]ledger.Listing, len(all))
	for _, listing := range all {
		h.listings[listing.Sale.ID] = listing
	}
	return moved, nil
}

// rests reports whether a full round may pass a sale over that nobody touched:
// its notice is in order, and it is over, or neither closed nor swept this time.
func (h *Herald) rests(id string, sweep bool) bool {
	notice, ok := h.Board.Notice(id)
	if !ok || !notice.Supplied {
		return false
	}
	if notice.Phase == shop.Closed {
		return notice.Over
	}
	return !sweep
}

// next returns how long until the next flip, a second at most.
func (h *Herald) next() time.Duration {
	now := h.Clock.Now()
	wait := roundEvery
	for id := range h.listings {
		listing := h.listings[id]
		for _, at := range []time.Time{listing.Sale.OpensAt, listing.Sale.ClosesAt} {
			if until := at.Sub(now); !at.IsZero() && until > 0 && until < wait {
				wait = until
			}
		}
	}
	return max(wait, time.Millisecond)
}
