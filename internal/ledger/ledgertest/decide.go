package ledgertest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func decideCases() []suiteCase {
	return []suiteCase{
		{"a ticket is decided once and answers the same ever after", decidedOnce},
		{"another ticket of a decided claim goes back", otherTicketReturned},
		{"an order says what was bought, until when, and at which seq", orderSaysAll},
		{"a free item is paid at once", freeIsPaid},
		{"a ticket of a dead epoch is honoured from POOL", lateTicketHonoured},
		{"a ticket of a dead epoch is missed where POOL is empty", lateTicketMissed},
		{"a ticket that GRANT does not cover bumps the bucket for every SKU", fenceBumps},
		{"the fence looks at the quantity, not at an empty GRANT", fenceByQuantity},
		{"nobody gets more than the limit, within a batch and across", quotaHolds},
		{"a buyer who comes back has what he had, also after many new ones", buyerReturns},
		{"refused is final for the claim, a new one may win", refusalFinal},
		{"sold out is said only when even held units would not do", soldOutOrMissed},
		{"the same ticket twice in a batch is decided once", twiceInBatch},
		{"a batch is answered in the order given", orderGiven},
		{"no tickets, no decisions", noTickets},
		{"every decided claim is listed with its key's print", decidedListed},
		{"what was decided since is listed sale by sale", decidedSince},
		{"everything is there after closing and opening again", survivesReopen},
	}
}

func decidedOnce(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	first := b.decide(ticket)[0]
	if first.Verdict != shop.Consumed || first.Live != 1 {
		b.Errorf("verdict %v, %d live; want consumed and 1", first.Verdict, first.Live)
	}
	again := b.decide(ticket)[0]
	if diff := cmp.Diff(first, again); diff != "" {
		b.Errorf("the second answer differs:\n%s", diff)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Held: 1})
}

func otherTicketReturned(b *bench) {
	stocked(b, 5, 3)
	first := b.decide(b.ticket("ann", "k"))[0]
	for name, change := range map[string]func(*shop.Ticket){
		"seq": func(t *shop.Ticket) { t.Seq++ }, "nonce": func(t *shop.Ticket) { t.Nonce++ },
		"epoch": func(t *shop.Ticket) { t.Epoch++ }, "sku": func(t *shop.Ticket) { t.SKU = large },
		"quantity": func(t *shop.Ticket) { t.Quantity = 2 }, "bucket": func(t *shop.Ticket) { t.Bucket.Number = 1 },
		"buyer": func(t *shop.Ticket) { t.Buyer = "bob" },
	} {
		other := first.Ticket
		change(&other)
		got := b.decide(other)[0]
		if got.Verdict != shop.Returned || got.Nonce != first.Ticket.Nonce {
			b.Errorf("a ticket with another %s: %v, decided for nonce %d; want returned, and %d", name, got.Verdict, got.Nonce, first.Ticket.Nonce)
		}
		if diff := cmp.Diff(first.Order, got.Order); diff != "" {
			b.Errorf("a ticket with another %s has another order:\n%s", name, diff)
		}
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Held: 1})
}

func orderSaysAll(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	ticket.Quantity = 2
	b.time.Pass(1234567 * time.Microsecond)
	got := b.buyTicket(ticket, shop.AwaitingPayment)
	at := noon().Add(1234 * time.Millisecond)
	want := shop.Order{
		ID: ticket.Claim, Sale: "suite", Buyer: "ann", SKU: small, Quantity: 2, Status: shop.AwaitingPayment,
		Amount: 2 * price, Currency: "EUR", CreatedAt: at, PayBy: at.Add(hold), AsOf: b.stand().AsOf,
	}
	for _, order := range []shop.Order{got, b.order(ticket.Claim, shop.AwaitingPayment)} {
		if diff := cmp.Diff(want, order); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
	}
	_, err := b.Order(b.ctx, claimOf("suite", "nobody", "k"))
	b.wantErr(err, ledger.ErrNotFound)
}

func freeIsPaid(b *bench) {
	stocked(b, 5, 3)
	ticket := b.ticket("ann", "k")
	ticket.SKU = gift
	order := b.buyTicket(ticket, shop.Paid)
	if order.Amount != 0 || !order.PayBy.IsZero() {
		b.Errorf("amount %d, pay by %v; want 0 and no time", order.Amount, order.PayBy)
	}
	b.want(gift, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Sold: 1})
	b.live("ann", 1)
}

func lateTicketHonoured(b *bench) {
	stocked(b, 5, 3)
	late := b.ticket("ann", "k")
	b.bump(b.epoch)
	d := b.decide(late)[0]
	if d.Order.Status != shop.AwaitingPayment || d.Verdict != shop.Returned {
		b.Errorf("%v, %v; want awaiting payment, and the stock's units back", d.Order.Status, d.Verdict)
	}
	if again := b.decide(late)[0]; again.Verdict != shop.Returned {
		b.Errorf("decided again: %v, want returned", again.Verdict)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 4, Held: 1})
}

func lateTicketMissed(b *bench) {
	stocked(b, 5, 3)
	late := b.ticket("ann", "k")
	b.bump(b.epoch)
	b.grant(small, 5)
	b.refused(late, shop.Missed)
	b.want(small, ledger.Balance{Total: 5, Granted: 5})
}

func fenceBumps(b *bench) {
	stocked(b, 5, 2)
	before := b.epoch
	var tickets []shop.Ticket
	for _, buyer := range []string{"ann", "bob", "cy"} { // three tickets for two units: the stock forked
		tickets = append(tickets, b.ticket(buyer, "k"))
	}
	decisions := b.decide(tickets...)
	if got := decisions[2].Verdict; got != shop.Returned {
		b.Errorf("the third ticket: %v, want returned", got)
	}
	stand := b.stand()
	if got := stand.Buckets[0]; got.Epoch != before+1 || got.LastGrant != 0 || len(got.Granted) != 0 {
		b.Errorf("bucket %+v, want the next epoch with nothing granted", got)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Held: 3})
	b.want(large, ledger.Balance{Total: 5, Pool: 5})
}

func fenceByQuantity(b *bench) {
	stocked(b, 5, 1)
	ticket := b.ticket("ann", "k")
	ticket.Quantity = 2
	b.buyTicket(ticket, shop.AwaitingPayment)
	if got := b.stand().Buckets[0].Epoch; got != b.epoch+1 {
		b.Errorf("epoch %d, want %d: one unit does not cover two", got, b.epoch+1)
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 3, Held: 2})
}

func quotaHolds(b *bench) {
	stocked(b, 9, 9)
	three := b.ticket("greedy", "all")
	three.Quantity = 3
	b.refused(three, shop.LimitReached)
	decisions := b.decide(b.ticket("ann", "1"), b.ticket("ann", "2"), b.ticket("ann", "3"), b.ticket("bob", "1"))
	for i, want := range []shop.Status{shop.AwaitingPayment, shop.AwaitingPayment, shop.Refused, shop.AwaitingPayment} {
		if got := decisions[i].Order.Status; got != want {
			b.Errorf("ticket %d: %v, want %v", i, got, want)
		}
	}
	b.refused(b.ticket("ann", "4"), shop.LimitReached)
	b.live("ann", 2)
	b.cancel(ledger.Cancellation{Order: decisions[0].Order.ID, Buyer: "ann"}, shop.Cancelled)
	b.buy("ann", "5")
	b.live("ann", 2)
}

// buyerReturns: a machine may take buyers for new until one is not, and again
// some hundred batches later.
func buyerReturns(b *bench) {
	const strangers = 300
	stocked(b, 5*strangers, 5*strangers)
	for name, again := range map[string]struct {
		change func(*shop.Ticket)
		reason shop.Code
		live   int64
	}{
		"another unit":     {func(*shop.Ticket) {}, "", 2},
		"too many":         {func(t *shop.Ticket) { t.Quantity = 2 }, shop.LimitReached, 1},
		"a dead epoch's":   {func(t *shop.Ticket) { t.Epoch = 0 }, shop.Missed, 1},
		"what is not sold": {func(t *shop.Ticket) { t.SKU = "eu-99" }, shop.Missed, 1},
	} {
		first := b.buy(name, "1")
		for n := range strangers {
			b.buy(fmt.Sprint("stranger to ", name, n), "1")
		}
		ticket := b.ticket(name, "2")
		again.change(&ticket)
		second := b.decide(ticket)[0]
		if second.Order.Reason != again.reason || second.Live != again.live {
			b.Errorf("%s: refused %q, %d live; want %q, %d", name, second.Order.Reason, second.Live, again.reason, again.live)
		}
		standing, err := b.Standing(b.ctx, b.bucket.Sale, name)
		if err != nil {
			b.Fatal(err)
		}
		if diff := cmp.Diff(ledger.Standing{Live: again.live, Orders: []shop.Order{first, second.Order}}, standing); diff != "" {
			b.Errorf("%s: standing (-want +got)\n%s", name, diff)
		}
	}
}

func refusalFinal(b *bench) {
	stocked(b, 2, 2)
	three := b.ticket("ann", "k")
	three.Quantity = 3
	first := b.refused(three, shop.LimitReached)
	one := b.ticket("ann", "k")
	again := b.refused(one, shop.LimitReached)
	if diff := cmp.Diff(first.Order, again.Order); diff != "" {
		b.Errorf("the refusal changed:\n%s", diff)
	}
	if stored := b.order(one.Claim, shop.Refused); stored.Amount != 3*price {
		b.Errorf("amount %d, want %d", stored.Amount, 3*price)
	}
	b.buy("ann", "new")
}

func soldOutOrMissed(b *bench) {
	stocked(b, 2, 2)
	order := b.buy("ann", "k")
	b.buy("bob", "k")
	b.refused(b.ticket("cy", "k"), shop.Missed) // two are held and may come back
	b.pay(order.ID, "r", shop.Paid)
	two := b.ticket("dan", "k")
	two.Quantity = 2
	d := b.refused(two, shop.SoldOut)
	if want := b.stand().AsOf; d.Order.AsOf != want {
		b.Errorf("as of %d, want %d", d.Order.AsOf, want)
	}
	b.refused(b.ticket("eve", "k"), shop.Missed)
	b.expireAll()
	b.buy("eve", "new")
}

// expireAll ends every hold.
func (b *bench) expireAll() {
	b.Helper()
	b.time.Pass(hold)
	due, err := b.Due(b.ctx, 1000)
	if err != nil {
		b.Fatalf("due: %v", err)
	}
	ids := make([]shop.ClaimID, len(due))
	for i := range due {
		ids[i] = due[i].ID
	}
	if _, err := b.Expire(b.ctx, ids); err != nil {
		b.Fatalf("expire: %v", err)
	}
}

func twiceInBatch(b *bench) {
	stocked(b, 5, 3)
	ticket, other := b.ticket("ann", "k"), b.ticket("ann", "k")
	decisions := b.decide(ticket, other, ticket)
	for i, want := range []shop.Verdict{shop.Consumed, shop.Returned, shop.Consumed} {
		if got := decisions[i]; got.Verdict != want || got.Order.ID != ticket.Claim {
			b.Errorf("decision %d: %v, want %v", i, got.Verdict, want)
		}
	}
	b.want(small, ledger.Balance{Total: 5, Pool: 2, Granted: 2, Held: 1})
}

func orderGiven(b *bench) {
	stocked(b, 9, 2)
	b.publish(document("other", 3), ledger.Created)
	elsewhere := b.ticket("ann", "k")
	elsewhere.Bucket, elsewhere.Epoch = shop.Bucket{Sale: "other"}, 0
	elsewhere.Claim = claimOf("other", "ann", "k")
	tickets := []shop.Ticket{b.ticket("zoe", "k"), elsewhere, b.ticket("ann", "k"), b.ticket("max", "k")}
	for i, d := range b.decide(tickets...) {
		if d.Ticket.Claim != tickets[i].Claim || d.Order.ID != tickets[i].Claim || d.Order.Sale != tickets[i].Bucket.Sale {
			b.Errorf("decision %d is another ticket's", i)
		}
	}
}

func noTickets(b *bench) {
	stocked(b, 1, 1)
	b.decide()
}

func decidedListed(b *bench) {
	stocked(b, 5, 3)
	want := map[shop.ClaimID][2]uint64{}
	for _, buyer := range []string{"ann", "bob"} {
		ticket := b.ticket(buyer, "k")
		b.decide(ticket)
		want[ticket.Claim] = [2]uint64{ticket.KeyPrint, ticket.Nonce}
	}
	refused := b.ticket("cy", "k")
	refused.Quantity = 3
	b.decide(refused)
	want[refused.Claim] = [2]uint64{refused.KeyPrint, refused.Nonce}
	got := map[shop.ClaimID][2]uint64{}
	for p, err := range b.Decided(b.ctx, "", 0) {
		if err != nil {
			b.Fatal(err)
		}
		got[p.Claim] = [2]uint64{p.KeyPrint, p.Nonce}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("(-want +got)\n%s", diff)
	}
	for _, err := range b.Decided(b.ctx, "", 0) { // a reader may stop early
		if err != nil {
			b.Error(err)
		}
		break
	}
	b.order(refused.Claim, shop.Refused)
}

func decidedSince(b *bench) {
	stocked(b, 5, 5)
	if newest := b.stand().Newest; newest != 0 {
		b.Errorf("the newest claim of a new sale is %d, want 0", newest)
	}
	var want []shop.ClaimID
	for _, buyer := range []string{"ann", "bob"} {
		want = append(want, b.buy(buyer, "k").ID)
	}
	other := *b
	other.bucket = shop.Bucket{Sale: "other"}
	stocked(&other, 5, 5)
	other.buy("ann", "k")
	var last int64
	since := func() {
		b.Helper()
		var got []shop.ClaimID
		for p, err := range b.Decided(b.ctx, b.bucket.Sale, last) {
			if err != nil || p.Row <= last {
				b.Fatalf("row %d after %d, error %v", p.Row, last, err)
			}
			last = p.Row
			got = append(got, p.Claim)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		if newest := b.stand().Newest; newest != last {
			b.Errorf("the newest claim is %d, want %d", newest, last)
		}
	}
	since()
	want = nil
	since()
	greedy := b.ticket("ann", "k2")
	greedy.Quantity = 3
	no := b.refused(greedy, shop.LimitReached)
	want = []shop.ClaimID{greedy.Claim}
	since()
	if again := b.decide(greedy)[0]; no.Row != last || again.Row != last {
		b.Errorf("the decision tells of row %d, and of %d when asked again; want %d", no.Row, again.Row, last)
	}
	for p, err := range b.Decided(b.ctx, "nowhere", 0) {
		if err == nil {
			b.Errorf("a sale that there is not has %+v", p)
		}
	}
}

func survivesReopen(b *bench) {
	stocked(b, 5, 3)
	order := b.buy("ann", "k")
	refused := b.ticket("bob", "k")
	refused.Quantity = 3
	b.decide(refused)
	b.pay(b.buy("cy", "k").ID, "r", shop.Paid)
	stand, now := b.stand(), b.Clock().Now()
	b.time.Jump(-time.Hour)
	b.reopen()
	if got := b.Clock().Now(); got.Before(now) {
		b.Errorf("the clock went back from %v to %v", now, got)
	}
	if diff := cmp.Diff(stand, b.stand()); diff != "" {
		b.Errorf("the stand changed:\n%s", diff)
	}
	if diff := cmp.Diff(order, b.order(order.ID, shop.AwaitingPayment)); diff != "" {
		b.Errorf("the order changed:\n%s", diff)
	}
	b.refused(refused, shop.LimitReached)
	b.buy("dan", "k")
}
