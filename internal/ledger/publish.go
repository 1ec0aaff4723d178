package ledger

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Publication is a document on its way into the books.
type Publication struct {
	Old      *SaleIndex // the document before; nil: the sale is new
	Next     *SaleIndex
	Phase    shop.Phase // of the sale
	Revision int64      // of Next
}

// Publish makes the sale's units follow its new document, in a book that holds
// all of the sale's balances. A document that takes back what was promised is
// *Broken. ErrShort says that the pool holds too few units to withdraw: the
// supplier reclaims them first.
func (b *Book) Publish(p Publication) (Published, error) {
	if p.Old == nil {
		return Created, b.restock(&p)
	}
	if reasons := p.Old.Sale.BrokenBy(p.Next.Sale, p.Phase != shop.Scheduled, b.given(p.Old)); len(reasons) > 0 {
		return Same, &Broken{Reasons: reasons}
	}
	return Changed, b.restock(&p)
}

// given counts the published units of each SKU that are not free any more.
func (b *Book) given(old *SaleIndex) map[string]int64 {
	given := make(map[string]int64, len(old.Items))
	for sku, item := range old.Items {
		given[sku] = item.Stock
	}
	for account, balance := range b.balances {
		free := account.Name == Pool || account.Name == Granted
		if _, published := old.Items[account.SKU]; free && published && account.Sale == old.Sale.ID {
			given[account.SKU] -= balance.units
		}
	}
	return given
}

// restock moves the stock of every item, removed ones too, from the old
// document's figure to the new one's.
func (b *Book) restock(p *Publication) error {
	items := slices.Clone(p.Next.Sale.Items)
	before := map[string]int64{}
	if p.Old != nil {
		for _, item := range p.Old.Sale.Items {
			before[item.SKU] = item.Stock
			if _, kept := p.Next.Items[item.SKU]; !kept {
				item.Stock = 0
				items = append(items, item)
			}
		}
	}
	for _, item := range items {
		if err := b.restockItem(p, &item, before[item.SKU]); err != nil {
			return fmt.Errorf("stock of %s: %w", item.SKU, err)
		}
	}
	return nil
}

// restockItem moves new units from outside to POOL, or from POOL to WITHDRAWN.
// The revision makes its line unique.
func (b *Book) restockItem(p *Publication, item *shop.Item, before int64) error {
	sale := p.Next.Sale.ID
	line := Line{
		Sale: sale, SKU: item.SKU, Kind: KindSeed, From: Outside, To: Pool,
		Quantity: item.Stock - before,
		Ref:      sale + "/" + item.SKU + "/" + strconv.FormatInt(p.Revision, 10),
	}
	if line.Quantity == 0 {
		return nil
	}
	if line.Quantity < 0 {
		line.Kind, line.From, line.To, line.Quantity = KindWithdraw, Pool, Withdrawn, -line.Quantity
		if b.units(Account{Sale: sale, SKU: item.SKU, Name: Pool}) < line.Quantity {
			return ErrShort
		}
	}
	return b.move(line)
}

// NextPhase returns the phase that an operator's verb leads to, or *Broken
// where it leads nowhere.
func NextPhase(phase shop.Phase, verb shop.Verb) (shop.Phase, error) {
	next, ok := phase.After(verb)
	if !ok {
		return next, &Broken{Reasons: []string{fmt.Sprintf("The sale is %s: %s does not lead anywhere from there.", phase, verb)}}
	}
	return next, nil
}
