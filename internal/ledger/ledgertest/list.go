package ledgertest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func listCases() []suiteCase {
	return []suiteCase{
		{"a sale's orders are listed page by page, oldest first", listedByPage},
		{"a page holds orders of one status where asked", listedByStatus},
		{"a cursor that is none is refused", badCursor},
		{"a buyer's orders stand oldest first, refused ones too", standingInOrder},
		{"of very many orders of a buyer the newest stand", standingBounded},
	}
}

// pages lists the sale's orders, limit a page.
func (b *bench) pages(limit int, status *shop.Status) (ids []shop.ClaimID, pages int) {
	b.Helper()
	query := ledger.Query{Sale: b.bucket.Sale, Status: status, Limit: limit}
	for {
		orders, next, err := b.List(b.ctx, query)
		if err != nil || len(orders) > limit {
			b.Fatalf("%d orders, %v", len(orders), err)
		}
		for _, order := range orders {
			ids = append(ids, order.ID)
		}
		pages++
		if next == "" {
			return ids, pages
		}
		query.After = next
	}
}

func listedByPage(b *bench) {
	stocked(b, 50, 50)
	b.publish(document("other", 5), ledger.Created)
	if ids, pages := b.pages(3, nil); len(ids) != 0 || pages != 1 {
		b.Errorf("%d orders on %d pages of an empty sale", len(ids), pages)
	}
	var want []shop.ClaimID
	for i := range 10 {
		want = append(want, b.buy(fmt.Sprint("buyer", i), "k").ID)
		elsewhere := b.ticket("ann", fmt.Sprint(i))
		elsewhere.Bucket.Sale, elsewhere.Claim = "other", claimOf("other", "ann", fmt.Sprint(i))
		b.decide(elsewhere)
	}
	for limit, pages := range map[int]int{1: 10, 3: 4, 5: 2, 10: 1, 1000: 1} {
		got, n := b.pages(limit, nil)
		if diff := cmp.Diff(want, got); diff != "" || n != pages {
			b.Errorf("%d pages of %d, want %d (-want +got)\n%s", n, limit, pages, diff)
		}
	}
}

func listedByStatus(b *bench) {
	stocked(b, 50, 50)
	var want []shop.ClaimID
	for i := range 9 {
		id := b.buy(fmt.Sprint("buyer", i), "k").ID
		if i%2 == 0 {
			want = append(want, b.pay(id, "r", shop.Paid).ID)
		}
	}
	paid := shop.Paid
	if got, pages := b.pages(2, &paid); pages != 3 || cmp.Diff(want, got) != "" {
		b.Errorf("%d pages of %v, want 3 of %v", pages, got, want)
	}
}

func badCursor(b *bench) {
	stocked(b, 5, 3)
	for _, after := range []string{"-", "not a cursor", "-5", "zzzzzzzzzzzzzzzzzz"} {
		_, _, err := b.List(b.ctx, ledger.Query{Sale: "suite", After: after, Limit: 5})
		b.wantNo(err, shop.Malformed)
	}
}

func standingInOrder(b *bench) {
	stocked(b, 9, 9)
	if standing := b.live("ann", 0); len(standing.Orders) != 0 {
		b.Errorf("an unknown buyer has %d orders", len(standing.Orders))
	}
	var want []shop.ClaimID
	for _, key := range []string{"1", "2", "3"} { // the third is over the limit
		want = append(want, b.decide(b.ticket("ann", key))[0].Order.ID)
		b.decide(b.ticket("bob", key))
	}
	b.cancel(ledger.Cancellation{Order: want[0], Buyer: "ann"}, shop.Cancelled)
	want = append(want, b.buy("ann", "4").ID)
	b.reopen()
	var got []shop.ClaimID
	for _, order := range b.live("ann", 2).Orders {
		got = append(got, order.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("(-want +got)\n%s", diff)
	}
}

func standingBounded(b *bench) {
	stocked(b, 9, 9)
	tickets := make([]shop.Ticket, ledger.OrdersMax+5)
	for i := range tickets {
		tickets[i] = b.ticket("ann", fmt.Sprint(i))
	}
	b.decide(tickets...)
	orders := b.live("ann", 2).Orders
	if len(orders) != ledger.OrdersMax || orders[0].ID != tickets[5].Claim || orders[len(orders)-1].ID != tickets[len(tickets)-1].Claim {
		b.Errorf("%d orders stand, want the newest %d", len(orders), ledger.OrdersMax)
	}
}
