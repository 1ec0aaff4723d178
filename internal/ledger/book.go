package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Book is the part of the ledger that one transaction touches. A machine
// loads it, applies rules (Decide, Pay, Expire, …) and saves Changes in the
// same transaction. The rules do no I/O, so every engine obeys the same ones.
type Book struct {
	Now  time.Time // the ledger's clock
	Head int64     // seq of the last line

	// Rest loads whatever the book does not hold yet of a sale's balances and
	// buckets. Only rare turns of a rule need them all (a bump, a shortage).
	Rest func(b *Book, sale string) error

	sales    map[string]*SaleIndex
	buckets  map[shop.Bucket]*BucketRow
	claims   map[shop.ClaimID]*Claim
	quotas   map[Holder]*Quota
	balances map[Account]*balance
	spare    []balance // made together, for a batch of many sales has many

	lines    []Line
	fresh    []*Claim        // rows to insert
	altered  []*Claim        // rows to update
	charges  []Charge        // rows to insert
	due      []Charge        // rows whose Due became true
	complete map[string]bool // sales whose Rest is loaded
}

// SaleIndex is a sale with its items by SKU, as the rules look them up.
type SaleIndex struct {
	Sale  *shop.Sale
	Items map[string]shop.Item
}

// NewSaleIndex indexes a sale for the rules.
func NewSaleIndex(sale *shop.Sale) *SaleIndex {
	items := make(map[string]shop.Item, len(sale.Items))
	for _, item := range sale.Items {
		items[item.SKU] = item
	}
	return &SaleIndex{Sale: sale, Items: items}
}

// BucketRow is a bucket's epoch and its last numbers.
type BucketRow struct {
	Bucket      shop.Bucket
	Epoch       int64
	LastGrant   int64
	LastReclaim Reclaim

	dirty bool // to be saved
}

// Claim is the row of one decided ticket and of the order it led to.
type Claim struct {
	Row     int64 // the machine's row number; 0 until saved
	Ticket  shop.Ticket
	From    Name // where its units came from: Granted, Pool, or Outside for none
	Order   shop.Order
	Charges []Charge

	altered bool
}

// Charge is money that came for an order. Due charges go back to the payer:
// they came for an order that had its money, or could not have it any more.
type Charge struct {
	Order     shop.ClaimID
	Reference string
	EventID   string
	Amount    int64
	Currency  string
	Due       bool
	At        time.Time
}

// Holder is a buyer within a sale.
type Holder struct{ Sale, Buyer string }

// Quota is how many units of a sale a buyer holds or owns. Limit is the one
// in force when it last grew: Live never exceeds it.
type Quota struct {
	Holder
	Live   int64
	Limit  int64
	Row    int64 // newest claim of the buyer; the machine's
	Stored bool  // the store has a row for it; the machine's

	dirty bool // to be saved
}

type balance struct {
	units, saved int64
	fresh        bool
}

// spareMax is how many balances are made at once.
const spareMax = 32

// NewBook returns an empty page of the books.
func NewBook(now time.Time, head int64) *Book {
	return &Book{
		Now: now, Head: head,
		sales:    map[string]*SaleIndex{},
		buckets:  map[shop.Bucket]*BucketRow{},
		claims:   map[shop.ClaimID]*Claim{},
		quotas:   map[Holder]*Quota{},
		balances: map[Account]*balance{},
		complete: map[string]bool{},
	}
}

// The Put methods fill the book from the store. What the book holds already
// is newer than the store and stays.

// PutSale makes a sale known to the rules.
func (b *Book) PutSale(index *SaleIndex) { b.sales[index.Sale.ID] = index }

// PutBucket loads a bucket's row. It may be one that Changes had.
func (b *Book) PutBucket(row BucketRow) {
	if _, held := b.buckets[row.Bucket]; !held {
		row.dirty = false
		b.buckets[row.Bucket] = &row
	}
}

// PutClaim loads a decided claim.
func (b *Book) PutClaim(claim *Claim) { b.claims[claim.Order.ID] = claim }

// PutQuota loads a buyer's quota.
func (b *Book) PutQuota(quota *Quota) { b.quotas[quota.Holder] = quota }

// PutBalance loads an account that the store has.
func (b *Book) PutBalance(account Account, units int64) {
	if _, held := b.balances[account]; !held {
		*b.entry(account) = balance{units: units, saved: units}
	}
}

// Claim returns a claim that the book holds.
func (b *Book) Claim(id shop.ClaimID) (*Claim, bool) {
	claim, ok := b.claims[id]
	return claim, ok
}

// Quota returns a buyer's quota that the book holds.
func (b *Book) Quota(holder Holder) (*Quota, bool) {
	quota, ok := b.quotas[holder]
	return quota, ok
}

// Changes is what a transaction has to save, in this order and sorted within:
// claims before stock rows, so that every transaction locks in one order.
type Changes struct {
	Fresh    []*Claim
	Altered  []*Claim
	Charges  []Charge
	Due      []Charge // charges inserted before, now due for refund
	Quotas   []*Quota
	Lines    []Line
	Buckets  []*BucketRow
	Balances []BalanceChange
}

// BalanceChange is an account's new balance. Fresh says that the store has no
// row for it.
type BalanceChange struct {
	Account Account
	Units   int64
	Fresh   bool
}

// Changes returns what the rules changed since the book was made.
func (b *Book) Changes() Changes {
	c := Changes{Fresh: b.fresh, Altered: b.altered, Charges: b.charges, Due: b.due, Lines: b.lines}
	for _, quota := range b.quotas {
		if quota.dirty {
			c.Quotas = append(c.Quotas, quota)
		}
	}
	for _, row := range b.buckets {
		if row.dirty {
			c.Buckets = append(c.Buckets, row)
		}
	}
	c.Balances = make([]BalanceChange, 0, len(b.balances))
	for account, balance := range b.balances {
		if balance.units != balance.saved || balance.fresh {
			c.Balances = append(c.Balances, BalanceChange{account, balance.units, balance.fresh})
		}
	}
	slices.SortFunc(c.Quotas, func(a, b *Quota) int {
		return cmp.Or(strings.Compare(a.Sale, b.Sale), strings.Compare(a.Buyer, b.Buyer))
	})
	slices.SortFunc(c.Buckets, func(a, b *BucketRow) int {
		return cmp.Or(strings.Compare(a.Bucket.Sale, b.Bucket.Sale), a.Bucket.Number-b.Bucket.Number)
	})
	slices.SortFunc(c.Balances, func(a, b BalanceChange) int { return a.Account.compare(b.Account) })
	return c
}

// units returns an account's balance as the book has it.
func (b *Book) units(account Account) int64 {
	if balance, ok := b.balances[account]; ok {
		return balance.units
	}
	return 0
}

func (b *Book) add(account Account, units int64) {
	if account.Name == Outside {
		return
	}
	entry, ok := b.balances[account]
	if !ok {
		entry = b.entry(account)
		entry.fresh = true
	}
	entry.units += units
}

// entry makes an account known.
func (b *Book) entry(account Account) *balance {
	if len(b.spare) == 0 {
		b.spare = make([]balance, spareMax)
	}
	entry := &b.spare[0]
	b.spare = b.spare[1:]
	b.balances[account] = entry
	return entry
}

// move writes a line and the two balances that it changes. The caller has
// checked that the units are there; an account below zero is a bug that must
// not reach the disk.
func (b *Book) move(line Line) error {
	from := Account{Sale: line.Sale, SKU: line.SKU, Name: line.From}
	to := Account{Sale: line.Sale, SKU: line.SKU, Name: line.To}
	if line.From == Granted {
		from.Bucket = line.Bucket
	}
	if line.To == Granted {
		to.Bucket = line.Bucket
	}
	line.Bucket = from.Bucket + to.Bucket // no move has both sides in buckets
	if line.From != Outside && b.units(from) < line.Quantity {
		return fmt.Errorf("ledger: %s of %s/%s holds %d, %s wants %d",
			line.From, line.Sale, line.SKU, b.units(from), line.Kind, line.Quantity)
	}
	b.add(from, -line.Quantity)
	b.add(to, line.Quantity)
	b.Head++
	line.Seq, line.At = b.Head, b.Now
	b.lines = append(b.lines, line)
	return nil
}

// rest makes sure that every balance and bucket of the sale is in the book.
func (b *Book) rest(sale string) error {
	if b.complete[sale] || b.Rest == nil {
		return nil
	}
	if err := b.Rest(b, sale); err != nil {
		return fmt.Errorf("load the rest of %s: %w", sale, err)
	}
	b.complete[sale] = true
	return nil
}

func (b *Book) quota(holder Holder) *Quota {
	quota, ok := b.quotas[holder]
	if !ok {
		quota = &Quota{Holder: holder}
		b.quotas[holder] = quota
	}
	return quota
}

func (b *Book) alter(claim *Claim) {
	claim.Order.AsOf = b.Head
	if claim.Row != 0 && !claim.altered {
		claim.altered = true
		b.altered = append(b.altered, claim)
	}
}
