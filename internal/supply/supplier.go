// Package supply keeps the stock supplied from the ledger: grants, reclaims,
// and a new epoch where the two no longer tell one story.
package supply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

const (
	// leakLooks is how often in a row units must be missing before they are
	// taken for lost: a settlement on its way looks like a leak for a moment.
	leakLooks = 3
	// wantsMax bounds the remembered demands; more buyers than that ask again
	// anyway.
	wantsMax = 1024
)

// Supplier moves units between the ledger and the stock. Two at once are
// safe; one is cheaper.
type Supplier struct {
	Ledger ledger.Supply
	Sales  ledger.Sales
	Stock  stock.Supply
	// Served hears of a sale whose demands a pass has looked at, or in which it
	// moved units to a bucket; nil: nobody wants to know.
	Served func(sale string)
	Log    *slog.Logger

	mu      sync.Mutex // one pass at a time in this process
	leaks   map[leakKey]int
	missing map[shop.Bucket]bool // unreachable at the last pass: each is logged once

	wanting sync.Mutex // apart from mu: a buyer does not wait for a pass
	wants   map[want]int64

	bumps, leaked atomic.Int64
}

type leakKey struct {
	bucket shop.Bucket
	sku    string
}

type want struct {
	bucket shop.Bucket
	sku    string
}

// Want notes that a bucket turned a buyer away who asked for so many units.
func (s *Supplier) Want(bucket shop.Bucket, sku string, quantity int64) {
	s.wanting.Lock()
	defer s.wanting.Unlock()
	if s.wants == nil {
		s.wants = map[want]int64{}
	}
	key := want{bucket, sku}
	if _, held := s.wants[key]; held || len(s.wants) < wantsMax {
		s.wants[key] = max(s.wants[key], quantity)
	}
}

// Bumps returns how many epochs this supplier ended, and how many of them
// because units had leaked: each of those is an alarm.
func (s *Supplier) Bumps() (all, leaks int64) { return s.bumps.Load(), s.leaked.Load() }

// Tend brings one sale's stock up to the ledger: finishes what was half done,
// begins a new epoch where histories differ, and hands out what the pool has.
// A bucket that cannot be reached keeps what it has and waits for a later
// pass; the others are tended all the same.
func (s *Supplier) Tend(ctx context.Context, sale string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	stand, err := s.Ledger.Stand(ctx, sale)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale, err)
	}
	views, err := s.meet(ctx, sale, &stand)
	if err != nil {
		return err
	}
	if err := s.unreachable(sale, views); err != nil {
		return err
	}
	stand, err = s.Ledger.Stand(ctx, sale) // agreeing may have moved units
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", sale, err)
	}
	for i := range views {
		if views[i].err == nil {
			views[i].err = errors.Join(s.mend(ctx, sale, &stand.Buckets[i], &views[i].shelf), s.mark(ctx, sale, &stand, &views[i]))
		}
	}
	return s.handOut(ctx, sale, &stand, views)
}

// meet looks at every bucket and makes its stock and the ledger tell one story.
// What fails is in its view. An error says that the ledger has lost history: then
// no unit may move.
func (s *Supplier) meet(ctx context.Context, sale string, stand *ledger.Stand) ([]view, error) {
	views := s.look(ctx, sale, len(stand.Buckets))
	for i := range views {
		views[i].shelf, views[i].err = s.agree(ctx, sale, stand, &views[i])
		if errors.Is(views[i].err, ledger.ErrBehind) {
			return nil, views[i].err
		}
	}
	return views, nil
}

// agree makes one bucket's stock and the ledger tell one story, and returns
// the stock's state.
func (s *Supplier) agree(ctx context.Context, sale string, stand *ledger.Stand, seen *view) (stock.Shelf, error) {
	bucket := shop.Bucket{Sale: sale, Number: seen.number}
	row, shelf := &stand.Buckets[seen.number], seen.shelf
	switch {
	case errors.Is(seen.err, stock.ErrUnknown):
		return s.bump(ctx, bucket, row.Epoch, "the stock is empty")
	case seen.err != nil:
		return shelf, fmt.Errorf("look at the stock of %s: %w", bucket, seen.err)
	}
	if err := s.notBehind(ctx, bucket, stand, &shelf); err != nil {
		return shelf, err
	}
	if shelf.Epoch < row.Epoch { // its grants, where it has some already, follow
		var err error
		if shelf, err = s.begin(ctx, bucket, row.Epoch); err != nil {
			return shelf, err
		}
	}
	if err := s.apply(ctx, bucket, row, shelf.LastGrant); err != nil {
		if errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
			return s.bump(ctx, bucket, row.Epoch, "a grant does not follow the stock's last")
		}
		return shelf, err
	}
	if forked, err := s.finishReclaim(ctx, bucket, row, shelf.LastReclaim); forked || err != nil {
		if err != nil {
			return shelf, err
		}
		return s.bump(ctx, bucket, row.Epoch, "a reclaim differs from the ledger's")
	}
	return s.shelf(ctx, bucket)
}

// notBehind makes sure that the ledger knows what the stock knows. The stand
// was read before the shelf, so workers and another supplier may have gone on
// in between: it is read once more before that is taken for lost history.
func (s *Supplier) notBehind(ctx context.Context, bucket shop.Bucket, stand *ledger.Stand, shelf *stock.Shelf) error {
	behind := func() bool {
		row := &stand.Buckets[bucket.Number]
		return shelf.Ahead(row.Epoch, row.LastGrant, stand.AsOf)
	}
	if !behind() {
		return nil
	}
	again, err := s.Ledger.Stand(ctx, bucket.Sale)
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", bucket.Sale, err)
	}
	*stand = again
	if behind() {
		return fmt.Errorf("%s: %w", bucket, ledger.ErrBehind)
	}
	return nil
}

// mend bumps a bucket that has lost units, so that they can be granted again.
func (s *Supplier) mend(ctx context.Context, sale string, row *ledger.BucketStand, shelf *stock.Shelf) error {
	bucket := shop.Bucket{Sale: sale, Number: row.Number}
	if shelf.Epoch != row.Epoch || !s.leaking(bucket, row, shelf) {
		return nil
	}
	s.leaked.Add(1)
	next, err := s.bump(ctx, bucket, row.Epoch, "granted units are missing from the stock")
	if err != nil {
		return err
	}
	*shelf = next
	return nil
}

// mark tells the stock how far the ledger has come, so that one restored from
// before is found out although it lacks no decision but a payment. Where tickets
// wait, their settlement tells it.
func (s *Supplier) mark(ctx context.Context, sale string, stand *ledger.Stand, v *view) error {
	if v.shelf.Mark >= stand.AsOf || v.shelf.Tickets > 0 {
		return nil
	}
	return s.Stock.Remember(ctx, shop.Bucket{Sale: sale, Number: v.number}, stand.AsOf)
}

func (s *Supplier) shelf(ctx context.Context, bucket shop.Bucket) (stock.Shelf, error) {
	shelf, err := s.Stock.Shelf(ctx, bucket)
	if err != nil {
		return shelf, fmt.Errorf("look at the stock of %s: %w", bucket, err)
	}
	return shelf, nil
}

// apply hands the stock the grants that it has missed.
func (s *Supplier) apply(ctx context.Context, bucket shop.Bucket, row *ledger.BucketStand, last int64) error {
	if last == row.LastGrant {
		return nil
	}
	grants, err := s.Ledger.Grants(ctx, bucket, row.Epoch, last)
	if err != nil {
		return fmt.Errorf("read the grants of %s: %w", bucket, err)
	}
	for _, grant := range grants {
		if err := s.Stock.ApplyGrant(ctx, bucket, row.Epoch, stock.Grant(grant)); err != nil {
			return fmt.Errorf("apply grant %d to %s: %w", grant.Number, bucket, err)
		}
		crash.At(crash.GrantApplied)
	}
	return nil
}

// finishReclaim writes to the ledger what the stock gave back before somebody
// died. It reports whether the histories have forked.
func (s *Supplier) finishReclaim(ctx context.Context, bucket shop.Bucket, row *ledger.BucketStand, last stock.Reclaimed) (bool, error) {
	if ledger.Reclaim(last) == row.LastReclaim {
		return false, nil
	}
	if last.Number != row.LastReclaim.Number+1 {
		return true, nil
	}
	return false, s.record(ctx, bucket, row.Epoch, last)
}

// record writes a reclaim's result. A ledger that bumped instead has settled
// the matter: the next pass begins the new epoch.
func (s *Supplier) record(ctx context.Context, bucket shop.Bucket, epoch int64, back stock.Reclaimed) error {
	err := s.Ledger.Reclaim(ctx, bucket, epoch, ledger.Reclaim(back))
	if err != nil && !errors.Is(err, ledger.ErrEpoch) {
		return fmt.Errorf("record reclaim %d of %s: %w", back.Number, bucket, err)
	}
	crash.At(crash.ReclaimedInLedger)
	return nil
}

// leaking reports whether granted units are neither free nor in a ticket, and
// have not been for some looks in a row while no ticket was on its way. The
// shelf was read before the ledger's row: what was sold in between makes GRANT
// smaller, never a leak.
func (s *Supplier) leaking(bucket shop.Bucket, row *ledger.BucketStand, shelf *stock.Shelf) bool {
	if s.leaks == nil {
		s.leaks = map[leakKey]int{}
	}
	leaking := false
	for sku, granted := range row.Granted {
		key := leakKey{bucket, sku}
		if shelf.LastGrant != row.LastGrant || shelf.Tickets > 0 || granted <= shelf.Free[sku]+shelf.Undecided[sku] {
			delete(s.leaks, key)
			continue
		}
		s.leaks[key]++
		leaking = leaking || s.leaks[key] >= leakLooks
	}
	return leaking
}

// bump ends the bucket's epoch in the ledger and begins the next one in the
// stock.
func (s *Supplier) bump(ctx context.Context, bucket shop.Bucket, epoch int64, why string) (stock.Shelf, error) {
	next, err := s.Ledger.Bump(ctx, bucket, epoch)
	if err != nil {
		return stock.Shelf{}, fmt.Errorf("bump %s: %w", bucket, err)
	}
	crash.At(crash.BumpCommitted)
	if epoch > 0 {
		s.bumps.Add(1)
		s.Log.Info("began a new epoch", "bucket", bucket.String(), "epoch", next, "why", why)
	}
	return s.begin(ctx, bucket, next)
}

func (s *Supplier) begin(ctx context.Context, bucket shop.Bucket, epoch int64) (stock.Shelf, error) {
	if err := s.Stock.Start(ctx, bucket, epoch); err != nil {
		return stock.Shelf{}, fmt.Errorf("start epoch %d of %s: %w", epoch, bucket, err)
	}
	crash.At(crash.BumpStarted)
	for key := range s.leaks {
		if key.bucket == bucket {
			delete(s.leaks, key)
		}
	}
	return s.shelf(ctx, bucket)
}
