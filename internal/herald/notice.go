package herald

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// lowShare is the share of its units, one in so many, below which an item is
// "low".
const lowShare = 10

// look has one sale tended and returns its notice, nil where ctx ended. Where
// that fails the sale keeps its units, and the notice says that they cannot be
// had. A closed sale needs no stock: nobody gets a ticket for it any more.
func (h *Herald) look(ctx context.Context, listing ledger.Listing, halted string) *gate.Notice {
	id := listing.Sale.ID
	var err error
	if h.Tend != nil && halted == "" && listing.Phase != shop.Closed {
		err = h.Tend(ctx, id)
	}
	if listing.Phase == shop.Closed {
		h.retire(ctx, id)
	}
	var notice *gate.Notice
	if err == nil {
		notice, err = h.see(ctx, listing)
	}
	h.fault(ctx, id, err)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		notice = h.unseen(listing)
		notice.Lost = notice.Lost || errors.Is(err, ledger.ErrBehind)
		halted = err.Error()
	}
	notice.Halted = halted
	notice.Supplied = notice.Supplied && halted == "" && listing.Sale.DueAt(h.Clock.Now(), listing.Phase) == listing.Phase
	notice.No = h.no(notice)
	return notice
}

// see reads ledger and stock into a notice, the ledger first: units on their
// way to the stock are then seen twice rather than not at all.
func (h *Herald) see(ctx context.Context, listing ledger.Listing) (*gate.Notice, error) {
	stand, err := h.stand(ctx, listing)
	if err != nil {
		return nil, err
	}
	seen, err := h.shelves(ctx, listing, &stand)
	if err != nil {
		return nil, err
	}
	notice := blank(listing)
	notice.AsOf = stand.AsOf
	notice.Supplied = seen.supplied
	notice.Over = listing.Phase == shop.Closed && stand.Resting()
	for i := range notice.Items {
		item := &notice.Items[i]
		balance := stand.Items[item.SKU]
		item.Free = balance.Pool + seen.free[item.SKU]
		item.State = state(item.Free, balance.Total-balance.Withdrawn)
		if item.State == gate.Gone {
			item.No = soldOut(balance, stand.AsOf)
		}
	}
	return notice, nil
}

// stand reads how the sale stands, and makes known what was decided until
// then. A ledger that knows less than it did at the last look has lost history.
func (h *Herald) stand(ctx context.Context, listing ledger.Listing) (ledger.Stand, error) {
	id := listing.Sale.ID
	stand, err := h.Supply.Stand(ctx, id)
	if err != nil {
		return stand, fmt.Errorf("read how the sale stands: %w", err)
	}
	if last, ok := h.Board.Notice(id); ok && last.AsOf > stand.AsOf {
		return stand, fmt.Errorf("the ledger was at %d and is at %d: %w", last.AsOf, stand.AsOf, ledger.ErrBehind)
	}
	if h.CatchUp != nil {
		err = h.CatchUp(ctx, id, stand.Newest)
	}
	return stand, err
}

// shelves adds up what the buckets have left of each SKU. A bucket that cannot
// be reached is taken to have all that it was granted: its buyers hear "ask
// again", not "sold out", and those of the others buy on. With none to be
// reached there is nothing to see.
func (h *Herald) shelves(ctx context.Context, listing ledger.Listing, stand *ledger.Stand) (sight, error) {
	seen := sight{free: make(map[string]int64, len(stand.Items)), supplied: true}
	parts := make([]part, len(stand.Buckets))
	var all sync.WaitGroup
	for i := range parts[:len(parts)-1] {
		all.Go(func() { parts[i] = h.part(ctx, listing, &stand.Buckets[i]) })
	}
	parts[len(parts)-1] = h.part(ctx, listing, &stand.Buckets[len(parts)-1])
	all.Wait()
	var faults []error
	ahead := false
	for i := range parts {
		ahead = ahead || parts[i].ahead(stand)
		seen.supplied = seen.supplied && parts[i].supplied
		if parts[i].err != nil {
			faults = append(faults, parts[i].err)
		}
		for sku, n := range parts[i].free {
			seen.free[sku] += n
		}
	}
	last, ok := h.Board.Notice(listing.Sale.ID)
	if doubted := ok && last.Lost && len(faults) > 0; doubted || len(faults) == len(parts) { // a bucket that knew more may be among them
		return seen, errors.Join(faults...)
	}
	if !ahead {
		return seen, nil
	}
	return seen, h.notBehind(ctx, listing, parts)
}

// sight is what the stock has left of a sale, and whether it has all that the
// ledger granted.
type sight struct {
	free     map[string]int64
	supplied bool
}

// part is what one bucket has left.
type part struct {
	number   int
	free     map[string]int64
	shelf    *stock.Shelf // as the stock has it; nil: not seen
	supplied bool
	err      error
}

// ahead reports whether the stock knows of more than the ledger.
func (p *part) ahead(stand *ledger.Stand) bool {
	row := &stand.Buckets[p.number]
	return p.shelf != nil && p.shelf.Ahead(row.Epoch, row.LastGrant, stand.AsOf)
}

// numbers are how far a bucket's grants have come.
type numbers struct{ epoch, grant int64 }

func (h *Herald) had(bucket shop.Bucket) numbers {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.grants[bucket]
}

func (h *Herald) note(bucket shop.Bucket, has numbers) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.grants[bucket] = has
}

// part looks at one bucket. A closed sale's grants are free for good.
func (h *Herald) part(ctx context.Context, listing ledger.Listing, row *ledger.BucketStand) part {
	p := part{number: row.Number, free: row.Granted}
	if listing.Phase == shop.Closed {
		p.supplied = true
		return p
	}
	bucket := shop.Bucket{Sale: listing.Sale.ID, Number: row.Number}
	shelf, err := h.Stock.Shelf(ctx, bucket)
	if errors.Is(err, stock.ErrUnknown) { // its units exist, and are not here yet
		return p
	}
	if err != nil { // what it had at the last look it has
		p.supplied = h.had(bucket) == numbers{row.Epoch, row.LastGrant}
		p.err = fmt.Errorf("look at the stock: %w", err)
		return p
	}
	if p.shelf = &shelf; !behind(&shelf, row) { // else some of them are on their way, or lost with their supplier
		p.free = shelf.Free
	}
	has := numbers{shelf.Epoch, shelf.LastGrant}
	h.note(bucket, has)
	p.supplied = has == numbers{row.Epoch, row.LastGrant}
	return p
}

// behind reports whether the bucket lacks a grant that the ledger has made.
func behind(shelf *stock.Shelf, row *ledger.BucketStand) bool {
	return shelf.Epoch < row.Epoch || (shelf.Epoch == row.Epoch && shelf.LastGrant < row.LastGrant)
}

// notBehind makes sure that the ledger has come as far as the stock. In a rush
// it may have done so only since it was read, so it is read again; if it is
// still behind, it has lost history.
func (h *Herald) notBehind(ctx context.Context, listing ledger.Listing, parts []part) error {
	again, err := h.Supply.Stand(ctx, listing.Sale.ID)
	if err != nil {
		return fmt.Errorf("read how the sale stands: %w", err)
	}
	for i := range parts {
		if parts[i].ahead(&again) {
			row := &again.Buckets[i]
			return fmt.Errorf("the stock of %s has heard of %d, epoch %d, grant %d; the ledger is at %d, epoch %d, grant %d: %w",
				shop.Bucket{Sale: listing.Sale.ID, Number: i}, parts[i].shelf.Mark, parts[i].shelf.Epoch, parts[i].shelf.LastGrant,
				again.AsOf, row.Epoch, row.LastGrant, ledger.ErrBehind)
		}
	}
	return nil
}

// unseen is the notice of a sale whose units cannot be seen: they are where
// they were at the last look. A page that said "all taken" would send those away
// who may have some in a moment.
func (h *Herald) unseen(listing ledger.Listing) *gate.Notice {
	notice := blank(listing)
	last, ok := h.Board.Notice(listing.Sale.ID)
	if !ok {
		return notice
	}
	notice.AsOf, notice.Over, notice.Lost = last.AsOf, last.Over, last.Lost
	for i := range notice.Items {
		if _, was, ok := last.Item(notice.Items[i].SKU); ok {
			notice.Items[i].State, notice.Items[i].Free = was.State, was.Free
		}
	}
	return notice
}

// vanished returns notices of the sales that were on the board and are not in
// the ledger's list: no sale is ever deleted.
func (h *Herald) vanished(ctx context.Context) []*gate.Notice {
	var notices []*gate.Notice
	for _, last := range h.Board.Notices() {
		if _, known := h.listings[last.Sale.ID]; known || last.Lost {
			continue
		}
		err := fmt.Errorf("the sale is not in the ledger: %w", ledger.ErrBehind)
		h.fault(ctx, last.Sale.ID, err)
		notice := h.unseen(ledger.Listing{Sale: last.Sale, Phase: last.Phase, Buckets: last.Buckets})
		notice.Lost, notice.Halted = true, err.Error()
		notice.No = h.no(notice)
		notices = append(notices, notice)
	}
	return notices
}

// blank is a notice of which the rest is to be filled in.
func blank(listing ledger.Listing) *gate.Notice {
	notice := &gate.Notice{Sale: listing.Sale, Phase: listing.Phase, Buckets: listing.Buckets, Items: make([]gate.ItemNotice, len(listing.Sale.Items))}
	for i := range notice.Items {
		notice.Items[i] = gate.ItemNotice{SKU: listing.Sale.Items[i].SKU}
	}
	return notice
}

func state(free, total int64) gate.State {
	switch {
	case free <= 0:
		return gate.Gone
	case free*lowShare < total:
		return gate.Low
	}
	return gate.Available
}

// soldOut is final only where the ledger says that nothing is held either.
func soldOut(balance ledger.Balance, asOf int64) *shop.Refusal {
	if balance.Gone(1) {
		return &shop.Refusal{Code: shop.SoldOut, Detail: "Sold out: no unit is left, and none is held that could come back.", AsOf: asOf}
	}
	return &shop.Refusal{
		Code: shop.SoldOut, MayReturn: true,
		Detail: "All units are held, and not yet paid for; some may come back. Look again from time to time.",
	}
}

// no returns what every new ask meets, or nil.
func (h *Herald) no(notice *gate.Notice) *shop.Refusal {
	switch notice.Phase {
	case shop.Scheduled:
		return &shop.Refusal{Code: shop.NotOpen, Detail: "The sale has not opened yet."}
	case shop.Paused:
		return &shop.Refusal{Code: shop.SalePaused, Detail: "The seller has paused the sale; it goes on later."}
	case shop.Closed:
		return &shop.Refusal{Code: shop.SaleClosed, Detail: "The sale is over."}
	case shop.Open:
	}
	if notice.Halted != "" {
		return &shop.Refusal{
			Code: shop.Unavailable, RetryAfter: roundEvery,
			Detail: "The sale cannot take orders at the moment; try again.",
		}
	}
	return nothingLeft(notice)
}

// nothingLeft is the sale's own "sold out": where no item has anything free, and
// all say the same. Where some may return and others may not, each says it itself.
func nothingLeft(notice *gate.Notice) *shop.Refusal {
	var no *shop.Refusal
	for i := range notice.Items {
		item := notice.Items[i].No
		if item == nil || (no != nil && item.MayReturn != no.MayReturn) {
			return nil
		}
		no = item
	}
	return no
}
