package ledgertest

import (
	"errors"
	"math"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func poisonCases() []suiteCase {
	return []suiteCase{
		{"a ticket that nobody could have asked for is refused, for good", poisonRefused},
		{"a broken ticket costs its buyer nothing", poisonHarmless},
		{"a ticket of an unknown sale stops its batch and leaves nothing behind", unknownSale},
	}
}

// poison are the ways in which a ticket of a known sale can be broken.
func poison() map[string]func(*shop.Ticket) {
	return map[string]func(*shop.Ticket){
		"an unknown SKU":         func(t *shop.Ticket) { t.SKU = "eu-99" },
		"no SKU":                 func(t *shop.Ticket) { t.SKU = "" },
		"what is no SKU":         func(t *shop.Ticket) { t.SKU = "\xff\x00" },
		"no units":               func(t *shop.Ticket) { t.Quantity = 0 },
		"less than no units":     func(t *shop.Ticket) { t.Quantity = -1 },
		"more than any limit":    func(t *shop.Ticket) { t.Quantity = shop.LimitMax + 1 },
		"too many to multiply":   func(t *shop.Ticket) { t.Quantity = math.MaxInt64 },
		"too few to multiply":    func(t *shop.Ticket) { t.Quantity = math.MinInt64 },
		"an unknown SKU, absurd": func(t *shop.Ticket) { t.SKU, t.Quantity = "eu-98", -3 },
	}
}

func poisonRefused(b *bench) {
	stocked(b, 5, 3)
	refused := map[shop.ClaimID]ledger.Decision{}
	for name, spoil := range poison() {
		bad := b.ticket("ann", name)
		spoil(&bad)
		decisions := b.decide(b.ticket("bob", name), bad) // it stops no other
		if decisions[0].Poison {
			b.Errorf("a sound ticket beside %s is taken for poison", name)
		}
		d := decisions[1]
		if d.Order.Status != shop.Refused || d.Order.Reason != shop.Missed || d.Verdict != shop.Returned || !d.Poison {
			b.Errorf("a ticket for %s: %v for %q, %v, poison %t; want refused as missed, returned and told as poison",
				name, d.Order.Status, d.Order.Reason, d.Verdict, d.Poison)
		}
		if d.Order.Amount != 0 || d.Order.Currency != "EUR" || d.Order.Quantity != bad.Quantity {
			b.Errorf("a ticket for %s: %d for %d %s", name, d.Order.Quantity, d.Order.Amount, d.Order.Currency)
		}
		if want := b.order(bad.Claim, shop.Refused); !cmp.Equal(want, d.Order) {
			b.Errorf("a ticket for %s is told one way and kept another:\n%s", name, cmp.Diff(want, d.Order))
		}
		if want := soldSKU(bad.SKU); d.Order.SKU != want {
			b.Errorf("a ticket for %s is told to be for %q, want %q", name, d.Order.SKU, want)
		}
		refused[bad.Claim] = d
	}
	b.reopen()
	for _, d := range refused {
		again := b.decide(d.Ticket)[0]
		if again.Verdict != shop.Returned || again.Poison {
			b.Errorf("asked again: %v, poison %t; want returned, and no second alarm", again.Verdict, again.Poison)
		}
		if diff := cmp.Diff(d.Order, again.Order); diff != "" {
			b.Errorf("the refusal changed:\n%s", diff)
		}
	}
}

// soldSKU is the SKU as an order tells it.
func soldSKU(sku string) string {
	if shop.ValidSKU(sku) {
		return sku
	}
	return ledger.NoSKU
}

func poisonHarmless(b *bench) {
	stocked(b, 5, 3)
	b.buy("ann", "k")
	before := b.stand()
	for name, spoil := range poison() {
		bad := b.ticket("ann", name)
		spoil(&bad)
		if d := b.decide(bad)[0]; d.Live != 1 {
			b.Errorf("after a ticket for %s: %d live units, want 1", name, d.Live)
		}
	}
	after := b.stand()
	if after.Newest == before.Newest {
		b.Error("refusals of broken tickets are not among the sale's claims")
	}
	after.Newest = before.Newest
	if diff := cmp.Diff(before, after); diff != "" {
		b.Errorf("broken tickets moved units, or bumped (-before +after):\n%s", diff)
	}
	if got := len(b.live("ann", 1).Orders); got != 1+len(poison()) {
		b.Errorf("ann is told of %d orders, want %d", got, 1+len(poison()))
	}
	listed, _, err := b.List(b.ctx, ledger.Query{Sale: b.bucket.Sale, Limit: 100})
	if err != nil || len(listed) != 1+len(poison()) {
		b.Errorf("%d orders are listed, %v; want %d", len(listed), err, 1+len(poison()))
	}
	b.buy("ann", "another") // his limit is 2
	named := document(b.bucket.Sale, 5)
	named.Items = append(named.Items, shop.Item{SKU: "eu-99", Title: "New", Stock: 1, Price: shop.Money{Amount: price, Currency: "EUR"}})
	b.publish(named, ledger.Changed)
	b.want("eu-99", ledger.Balance{Total: 1, Pool: 1}) // a name that a broken ticket bore may be sold later
}

func unknownSale(b *bench) {
	stocked(b, 5, 3)
	bad := b.ticket("ann", "bad")
	bad.Bucket.Sale = "nowhere"
	_, err := b.Decide(b.ctx, []shop.Ticket{b.ticket("bob", "k"), bad})
	if !errors.Is(err, ledger.ErrUnsound) && !errors.Is(err, ledger.ErrNotFound) {
		b.Errorf("a ticket of an unknown sale: %v", err)
	}
	_, err = b.Order(b.ctx, claimOf("suite", "bob", "k"))
	b.wantErr(err, ledger.ErrNotFound)
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 3})
}
