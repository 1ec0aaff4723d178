package supply

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/crash"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// hand is one pass over a sale's pool.
type hand struct {
	*Supplier
	sale   string
	views  []view // by the buckets' numbers
	pools  map[string]int64
	served map[want]bool // whoever got what he wanted keeps it until the next pass
}

// handOut hands the pool out: first what turned-away buyers asked for, then
// chunks that shrink as the pool falls, so that the last units do not lie in a
// bucket whose buyers have gone.
func (s *Supplier) handOut(ctx context.Context, sale string, stand *ledger.Stand, views []view) error {
	h := &hand{s, sale, views, make(map[string]int64, len(stand.Items)), map[want]bool{}}
	for sku, balance := range stand.Items {
		h.pools[sku] = balance.Pool
	}
	wants := s.takeWants(sale)
	if len(views) > 1 { // a single bucket gets every unit anyway
		h.serve(ctx, wants)
	}
	for sku := range stand.Items {
		for number := range views {
			h.give(ctx, want{h.bucket(number), sku}, chunk(h.pools[sku], views[number].shelf.Free[sku], int64(len(views))))
		}
	}
	if s.Served != nil && len(wants)+len(h.served) > 0 {
		s.Served(sale)
	}
	return s.unreachable(sale, views)
}

// serve brings what each demand asks for: from the pool, or else from the
// fullest other buckets. In a pass, only one demand of each SKU may take from
// other buckets: two that took from each other would both go without. Maps have
// no order, so nobody is always the first.
func (h *hand) serve(ctx context.Context, wants map[want]int64) {
	stolen := map[string]bool{}
	for key, wanted := range wants {
		if key.bucket.Number >= len(h.views) || h.views[key.bucket.Number].err != nil {
			continue // its buyers will say so again
		}
		missing := wanted - h.views[key.bucket.Number].shelf.Free[key.sku]
		missing -= h.give(ctx, key, min(missing, h.pools[key.sku]))
		if missing <= 0 || stolen[key.sku] {
			continue
		}
		stolen[key.sku] = true
		h.steal(ctx, key, missing)
	}
}

// chunk returns how many units of the pool a bucket gets that still has so many
// free: half an equal share where it runs low, else none. A single bucket gets
// all, for there is nobody to share with.
func chunk(pool, free, buckets int64) int64 {
	if buckets == 1 {
		return pool
	}
	share := max(pool/(2*buckets), 1)
	if free > share/2 {
		return 0
	}
	return min(share, pool)
}

// takeWants returns the demands of a sale and forgets them: who still wants
// units will say so again.
func (s *Supplier) takeWants(sale string) map[want]int64 {
	s.wanting.Lock()
	defer s.wanting.Unlock()
	wants := map[want]int64{}
	for key, quantity := range s.wants {
		if key.bucket.Sale == sale {
			wants[key] = quantity
			delete(s.wants, key)
		}
	}
	return wants
}

func (h *hand) bucket(number int) shop.Bucket { return shop.Bucket{Sale: h.sale, Number: number} }

// give hands units of the pool to a bucket, and returns how many it got. A
// bucket that fails is left out of the rest of the pass.
func (h *hand) give(ctx context.Context, to want, units int64) int64 {
	v := &h.views[to.bucket.Number]
	if units < 1 || v.err != nil {
		return 0
	}
	given, err := h.grant(ctx, to.bucket, v.shelf.Epoch, stock.Grant{SKU: to.sku, Quantity: units})
	if err != nil {
		v.err = err
		return 0
	}
	h.pools[to.sku] -= given
	v.shelf.Free[to.sku] += given
	h.served[to] = h.served[to] || given > 0
	return given
}

// steal takes units from the fullest other buckets for one whose buyers want
// some, in the same pass: units that lay in the pool until the next one would
// go to whoever asks by then.
func (h *hand) steal(ctx context.Context, to want, missing int64) {
	var taken int64
	for taken < missing {
		from, free := h.fullest(to)
		if free == 0 {
			break
		}
		v := &h.views[from]
		units, err := h.reclaim(ctx, h.bucket(from), &v.shelf, stock.Grant{SKU: to.sku, Quantity: min(missing-taken, free)})
		if err != nil {
			v.err = err // its state is not known: another one may have some
			continue
		}
		if units == 0 { // sold meanwhile, or its history has forked: the next pass sees
			break
		}
		taken += units
	}
	h.pools[to.sku] += taken
	h.give(ctx, to, taken)
}

// fullest returns the bucket with most free units that may be taken for to.
func (h *hand) fullest(to want) (number int, free int64) {
	for i := range h.views {
		from := want{h.bucket(i), to.sku}
		units := h.views[i].shelf.Free[to.sku]
		if h.views[i].err == nil && from != to && !h.served[from] && units > free {
			number, free = i, units
		}
	}
	return number, free
}

// grant moves units from the pool to a bucket, ledger first. It returns how
// many moved: none where somebody else was faster.
func (s *Supplier) grant(ctx context.Context, bucket shop.Bucket, epoch int64, wish stock.Grant) (int64, error) {
	grant, err := s.Ledger.Grant(ctx, bucket, epoch, ledger.Grant(wish))
	if errors.Is(err, ledger.ErrShort) || errors.Is(err, ledger.ErrEpoch) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("grant %d of %s to %s: %w", wish.Quantity, wish.SKU, bucket, err)
	}
	crash.At(crash.GrantCommitted)
	err = s.Stock.ApplyGrant(ctx, bucket, epoch, stock.Grant(grant))
	if errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
		return 0, nil // granted, not applied: the next pass finishes it, or bumps
	}
	if err != nil {
		return 0, fmt.Errorf("apply grant %d to %s: %w", grant.Number, bucket, err)
	}
	crash.At(crash.GrantApplied)
	return grant.Quantity, nil
}

// reclaim takes free units from a bucket back to the pool, stock first, and
// returns how many. A bucket whose history has forked begins a new epoch
// instead.
func (s *Supplier) reclaim(ctx context.Context, from shop.Bucket, shelf *stock.Shelf, wish stock.Grant) (int64, error) {
	back, err := s.Stock.Reclaim(ctx, from, shelf.Epoch, stock.Reclaim{
		Number: shelf.LastReclaim.Number + 1, SKU: wish.SKU, Quantity: wish.Quantity, Previous: shelf.LastReclaim,
	})
	if errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
		*shelf, err = s.bump(ctx, from, shelf.Epoch, "a reclaim does not follow the stock's last")
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("reclaim %d of %s from %s: %w", wish.Quantity, wish.SKU, from, err)
	}
	crash.At(crash.ReclaimedInStock)
	shelf.LastReclaim = back
	shelf.Free[wish.SKU] -= back.Units
	return back.Units, s.record(ctx, from, shelf.Epoch, back)
}
