package ledger

import (
	"fmt"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Decide is one ticket's transaction: the heart of the protocol. It changes
// the book and returns what the buyer and the stock are told once it is on
// disk. Only a ticket of an unknown sale is ErrUnsound: there is no book to
// write its refusal into.
func (b *Book) Decide(ticket shop.Ticket) (Decision, error) {
	quota := b.quota(Holder{ticket.Bucket.Sale, ticket.Buyer})
	if claim, decided := b.claims[ticket.Claim]; decided {
		return Decision{
			Ticket: ticket, Order: claim.Order, Verdict: repeatVerdict(claim, &ticket), Live: quota.Live,
			Row: claim.Row, Nonce: claim.Ticket.Nonce,
		}, nil
	}
	index, known := b.sales[ticket.Bucket.Sale]
	if !known {
		return Decision{}, fmt.Errorf("%w: %s is for the unknown sale %q", ErrUnsound, ticket.Claim, ticket.Bucket.Sale)
	}
	item, known := index.Items[ticket.SKU]
	if !known || ticket.Quantity < 1 || ticket.Quantity > shop.LimitMax { // past it the amount could not be told
		return b.refusePoison(ticket, index)
	}
	current, err := b.fence(&ticket)
	if err != nil {
		return Decision{}, err
	}
	claim := b.newClaim(&ticket, item.Price)
	if err := b.judge(claim, index, current); err != nil {
		return Decision{}, err
	}
	verdict := shop.Returned
	if claim.From == Granted {
		verdict = shop.Consumed
	}
	return Decision{Ticket: ticket, Order: claim.Order, Verdict: verdict, Live: quota.Live, Nonce: ticket.Nonce}, nil
}

// Number notes in each decision the row at which its claim was saved.
func (b *Book) Number(decisions []Decision) {
	for i := range decisions {
		if claim, ok := b.claims[decisions[i].Order.ID]; ok {
			decisions[i].Row = claim.Row
		}
	}
}

// NoSKU stands in an order for an SKU that no sale could have: what a broken
// ticket bears is not told to buyers, and not every machine could write it.
const NoSKU = "?"

// refusePoison ends a ticket of a known sale that nobody could have asked for:
// of an SKU that the sale does not have, or of an absurd quantity. Put aside it
// would come back for ever, so it is refused like any other. It proves nothing
// about the grant, so it bumps nothing; its amount is 0, for it has no price.
func (b *Book) refusePoison(ticket shop.Ticket, index *SaleIndex) (Decision, error) {
	told := ticket
	if !shop.ValidSKU(told.SKU) {
		told.SKU = NoSKU
	}
	var price shop.Money
	if len(index.Sale.Items) > 0 {
		price.Currency = index.Sale.Items[0].Price.Currency
	}
	claim := b.newClaim(&told, price)
	quota := b.quota(Holder{ticket.Bucket.Sale, ticket.Buyer})
	quota.dirty = true // the claim is his newest; he has no more and no less
	if err := b.refuse(claim, shop.Missed); err != nil {
		return Decision{}, err
	}
	return Decision{Ticket: ticket, Order: claim.Order, Verdict: shop.Returned, Live: quota.Live, Nonce: ticket.Nonce, Poison: true}, nil
}

// repeatVerdict consumes only for the very ticket that took units from the
// grant: a second ticket of the claim took other units, which go back.
func repeatVerdict(claim *Claim, ticket *shop.Ticket) shop.Verdict {
	if claim.From == Granted && claim.Ticket.Same(ticket) {
		return shop.Consumed
	}
	return shop.Returned
}

// fence reports whether the ticket's epoch is current and its units are in
// the grant. A current ticket for units that the grant does not hold proves
// that the stock's history forked: the bucket begins a new epoch.
func (b *Book) fence(ticket *shop.Ticket) (bool, error) {
	row, ok := b.buckets[ticket.Bucket]
	if !ok || row.Epoch != ticket.Epoch {
		return false, nil
	}
	if b.units(b.grantOf(ticket)) >= ticket.Quantity {
		return true, nil
	}
	return false, b.bump(row)
}

func (b *Book) grantOf(ticket *shop.Ticket) Account {
	return Account{ticket.Bucket.Sale, ticket.SKU, Granted, ticket.Bucket.Number}
}

// newClaim writes the claim row; what it led to is not known yet.
func (b *Book) newClaim(ticket *shop.Ticket, price shop.Money) *Claim {
	claim := &Claim{
		Ticket: *ticket,
		Order: shop.Order{
			ID: ticket.Claim, Sale: ticket.Bucket.Sale, Buyer: ticket.Buyer,
			SKU: ticket.SKU, Quantity: ticket.Quantity, CreatedAt: b.Now,
			Amount: price.Amount * ticket.Quantity, Currency: price.Currency,
		},
	}
	b.claims[ticket.Claim] = claim
	b.fresh = append(b.fresh, claim)
	return claim
}

// judge decides a new claim for or against.
func (b *Book) judge(claim *Claim, index *SaleIndex, current bool) error {
	ticket := &claim.Ticket
	quota := b.quota(Holder{ticket.Bucket.Sale, ticket.Buyer})
	limit := index.Sale.LimitPerBuyer
	quota.dirty = true // the buyer's newest claim hangs on it, also when refused
	if quota.Live+ticket.Quantity > limit {
		return b.refuse(claim, shop.LimitReached)
	}
	pool := Account{Sale: ticket.Bucket.Sale, SKU: ticket.SKU, Name: Pool}
	switch {
	case current:
		claim.From = Granted
	case b.units(pool) >= ticket.Quantity: // a late ticket of a dead epoch is honoured
		claim.From = Pool
	default:
		return b.refuseShort(claim)
	}
	quota.Live += ticket.Quantity
	quota.Limit = limit
	return b.accept(claim, index)
}

func (b *Book) accept(claim *Claim, index *SaleIndex) error {
	ticket := &claim.Ticket
	err := b.move(Line{
		Sale: ticket.Bucket.Sale, SKU: ticket.SKU, Kind: KindClaim, From: claim.From, To: Held,
		Bucket: ticket.Bucket.Number, Quantity: ticket.Quantity, Claim: &claim.Order.ID,
	})
	if err != nil {
		return err
	}
	claim.Order.AsOf = b.Head
	if claim.Order.Amount > 0 {
		claim.Order.Status, _ = shop.Pending.After(shop.Accept)
		claim.Order.PayBy = b.Now.Add(index.Sale.Hold)
		return nil
	}
	claim.Order.Status, _ = shop.Pending.After(shop.AcceptFree)
	return b.sell(claim, "")
}

// sell moves a claim's held units to SOLD.
func (b *Book) sell(claim *Claim, reference string) error {
	order := &claim.Order
	if err := b.move(Line{
		Sale: order.Sale, SKU: order.SKU, Kind: KindPay, From: Held, To: Sold,
		Quantity: order.Quantity, Claim: &order.ID, Ref: reference,
	}); err != nil {
		return err
	}
	order.Reference, order.PayBy = reference, noTime
	b.alter(claim)
	return nil
}

// refuseShort refuses for want of units: for good where even the held ones
// would not do, else only for this claim.
func (b *Book) refuseShort(claim *Claim) error {
	sale, sku := claim.Order.Sale, claim.Order.SKU
	if err := b.rest(sale); err != nil {
		return err
	}
	left := b.units(Account{Sale: sale, SKU: sku, Name: Pool}) + b.units(Account{Sale: sale, SKU: sku, Name: Held})
	for bucket := range b.buckets {
		if bucket.Sale == sale {
			left += b.units(Account{sale, sku, Granted, bucket.Number})
		}
	}
	if left < claim.Order.Quantity {
		return b.refuse(claim, shop.SoldOut)
	}
	return b.refuse(claim, shop.Missed)
}

func (b *Book) refuse(claim *Claim, reason shop.Code) error {
	status, ok := shop.Pending.After(shop.Refuse)
	if !ok {
		return fmt.Errorf("ledger: claim %s cannot be refused", claim.Order.ID)
	}
	claim.From = Outside
	claim.Order.Status, claim.Order.Reason = status, reason
	claim.Order.AsOf = b.Head
	return nil
}

// bump ends the bucket's epoch: all its grants return to the pool, and what
// the stock still believes of them is void.
func (b *Book) bump(row *BucketRow) error {
	bucket := row.Bucket
	if err := b.rest(bucket.Sale); err != nil {
		return err
	}
	index, ok := b.sales[bucket.Sale]
	if !ok {
		return fmt.Errorf("ledger: bump of unknown sale %q", bucket.Sale)
	}
	row.Epoch, row.LastGrant, row.LastReclaim, row.dirty = row.Epoch+1, 0, Reclaim{}, true
	for _, item := range index.Sale.Items { // in the sale's order: the same on every machine
		units := b.units(Account{bucket.Sale, item.SKU, Granted, bucket.Number})
		if units == 0 {
			continue
		}
		if err := b.move(Line{
			Sale: bucket.Sale, SKU: item.SKU, Kind: KindBump, From: Granted, To: Pool,
			Bucket: bucket.Number, Quantity: units, Ref: numberRef(bucket, row.Epoch, item.SKU),
		}); err != nil {
			return err
		}
	}
	return nil
}

// numberRef names a move of a bucket's epoch: sale, bucket, epoch and what
// tells it from the others.
func numberRef(bucket shop.Bucket, epoch int64, last string) string {
	return bucket.String() + "/" + strconv.FormatInt(epoch, 10) + "/" + last
}
