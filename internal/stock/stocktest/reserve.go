package stocktest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func reserveCases() []suiteCase {
	return []suiteCase{
		{"a ticket has its whole body wherever it is read", wholeBody},
		{"a bucket or SKU without state is unknown", unknown},
		{"less than one unit is never given", lessThanOne},
		{"a claim with a ticket gets that ticket whatever it asks", sameTicket},
		{"answers are appended in the order of the asks", answersInOrder},
		{"a batch answers each ask as if it were alone", asIfAlone},
		{"a call may be large, and its asks stay in order", largeCall},
		{"the limit counts undecided and live units", limitCounts},
		{"a given live replaces the remembered one even on a no", liveReplaces},
		{"live units are remembered per buyer", livePerBuyer},
		{"out says how many are free and takes nothing", outSaysFree},
		{"a no is not recorded", noIsNotRecorded},
		{"one seq counts the tickets of all SKUs", oneSeq},
		{"a repeat uses no seq", repeatUsesNoSeq},
	}
}

func wholeBody(b *bench) {
	b.stocked(1, 5)
	ask := stock.Ask{
		Claim: claim("whole"), Nonce: 1<<63 + 7, KeyPrint: 1<<64 - 3, Buyer: "Zoë – 顾客",
		SKU: large, Quantity: 3, Limit: 4, Live: 1,
	}
	ticket := b.take(ask)
	want := shop.Ticket{
		Claim: ask.Claim, Bucket: b.bucket, Epoch: 1, Seq: 1, Nonce: ask.Nonce, KeyPrint: ask.KeyPrint,
		Buyer: ask.Buyer, SKU: large, Quantity: 3, At: ticket.At,
	}
	if ticket.At.IsZero() {
		b.Errorf("the ticket has no time")
	}
	if diff := cmp.Diff(want, ticket); diff != "" {
		b.Errorf("ticket (-want +got):\n%s", diff)
	}
	b.wantTickets(want)
	b.wantTicket(ask.Claim, &want)
}

func unknown(b *bench) {
	b.want(b.ask(b.wish("a", "ann")), stock.Unknown)
	b.start(1)
	b.want(b.ask(b.wish("a", "ann")), stock.Unknown)
	b.grant(1, large, 1)
	b.want(b.ask(b.wish("a", "ann")), stock.Unknown) // large is known, small is not
	b.grant(2, small, 1)
	b.take(b.wish("a", "ann"))
}

func lessThanOne(b *bench) {
	b.stocked(5, 5)
	for _, quantity := range []int64{0, -1, -1 << 63} {
		ask := b.wish("a", "ann")
		ask.Quantity = quantity
		b.unchanged(func() { b.want(b.ask(ask), stock.Unknown) })
	}
}

func sameTicket(b *bench) {
	b.stocked(5, 5)
	ticket := b.take(b.wish("a", "ann"))
	again := stock.Ask{
		Claim: ticket.Claim, Nonce: 99, KeyPrint: 98, Buyer: "bob",
		SKU: large, Quantity: 7, Limit: 1, Live: 6,
	}
	for _, sku := range []string{small, large, "never granted"} {
		again.SKU = sku
		b.unchanged(func() {
			answer := b.ask(again)
			b.want(answer, stock.Pending)
			if diff := cmp.Diff(ticket, answer.Ticket); diff != "" {
				b.Errorf("another ticket (-first +again):\n%s", diff)
			}
		})
	}
	b.take(b.wish("b", "bob")) // the repeat told nothing of live units
}

func answersInOrder(b *bench) {
	b.stocked(2, 2)
	first := stock.Answer{Outcome: stock.Out, Free: 41}
	into := append(make([]stock.Answer, 0, 8), first)
	asks := []stock.Ask{b.wish("a", "ann"), b.wish("b", "ann"), b.wish("c", "cid")}
	into, err := b.Counter.Reserve(b.ctx, b.bucket, asks, into)
	if err != nil {
		b.Fatalf("reserve: %v", err)
	}
	if len(into) != 4 || into[0] != first {
		b.Fatalf("answers are %+v, want the one that was there and three more", into)
	}
	b.want(into[1], stock.Pending)
	b.want(into[2], stock.Limit)
	b.want(into[3], stock.Pending)
	if into[1].Ticket.Claim != asks[0].Claim || into[3].Ticket.Claim != asks[2].Claim {
		b.Errorf("the tickets are not those of the asks: %+v", into)
	}
	if none := b.askAll(); len(none) != 0 {
		b.Errorf("%d answers to no ask", len(none))
	}
}

// asIfAlone gives one greedy crowd to one bucket in one call, and to another
// bucket ask by ask.
func asIfAlone(b *bench) {
	var asks []stock.Ask
	add := func(name, buyer, sku string, quantity, live int64) {
		ask := b.wish(name, buyer)
		ask.SKU, ask.Quantity, ask.Limit, ask.Live = sku, quantity, 3, live
		asks = append(asks, ask)
	}
	for i := range 5 { // one greedy buyer: three, then limit
		add(fmt.Sprint("greedy", i), "ann", small, 1, stock.LiveUnknown)
	}
	add("greedy0", "ann", large, 2, stock.LiveUnknown) // a claim twice in one call
	add("greedy6", "ann", small, 1, 0)                 // live told, still limit
	add("b", "bob", small, 3, stock.LiveUnknown)       // two left: out
	add("c", "cid", small, 2, 1)                       // just enough of both
	add("d", "dan", small, 1, stock.LiveUnknown)       // none left
	add("e", "eve", large, 3, 1)                       // over the limit, but remembered
	add("f", "eve", large, 2, stock.LiveUnknown)
	add("g", "eve", large, 1, stock.LiveUnknown)
	add("h", "fay", "never granted", 1, stock.LiveUnknown)

	together := b.stocked(5, 5).askAll(asks...)
	alone := b.at(shop.Bucket{Sale: "other"}).stocked(5, 5)
	for i, ask := range asks {
		answer := alone.ask(ask)
		answer.Ticket.At, answer.Ticket.Bucket = together[i].Ticket.At, together[i].Ticket.Bucket
		if diff := cmp.Diff(answer, together[i]); diff != "" {
			b.Errorf("answer %d (-alone +in the batch):\n%s", i, diff)
		}
	}
	outcomes := []stock.Outcome{
		stock.Pending, stock.Pending, stock.Pending, stock.Limit, stock.Limit, stock.Pending, stock.Limit,
		stock.Out, stock.Pending, stock.Out, stock.Limit, stock.Pending, stock.Limit, stock.Unknown,
	}
	for i, want := range outcomes {
		b.want(together[i], want)
	}
}

// largeCall is more than a backend behind a network sends at once, with
// repeats near and far.
func largeCall(b *bench) {
	const asked, units = 700, 500
	b.stocked(units, 1)
	var asks []stock.Ask
	for i := range asked {
		name := fmt.Sprint("buyer", i)
		switch i % 50 {
		case 30:
			name = fmt.Sprint("buyer", i-1)
		case 40:
			name = "buyer0"
		}
		asks = append(asks, b.wish(name, name))
	}
	seq := int64(0)
	var ends []stock.Settlement
	seen := map[string]int64{}
	for i, answer := range b.askAll(asks...) {
		buyer := asks[i].Buyer
		if seen[buyer] == 0 && seq == units {
			b.want(answer, stock.Out)
			continue
		}
		b.want(answer, stock.Pending)
		if seen[buyer] == 0 {
			seq++
			seen[buyer] = seq
			ends = append(ends, stock.Settlement{Ticket: answer.Ticket, Verdict: shop.Returned})
		}
		if answer.Ticket.Seq != seen[buyer] || answer.Ticket.Buyer != buyer {
			b.Fatalf("ask %d of %s got ticket %d of %s, want its own, %d", i, buyer, answer.Ticket.Seq, answer.Ticket.Buyer, seen[buyer])
		}
	}
	b.resettle(ends...)
	b.wantTickets()
	b.wantFree(small, units)
}

func limitCounts(b *bench) {
	b.stocked(9, 9)
	ask := b.wish("a", "ann")
	ask.Limit, ask.Live, ask.Quantity = 5, 1, 2
	b.take(ask) // 2 undecided + 1 live
	over := b.wish("b", "ann")
	over.Limit, over.SKU, over.Quantity = 5, large, 3
	b.unchanged(func() { b.want(b.ask(over), stock.Limit) })
	over.Quantity = 2 // of the other SKU: the limit is the sale's
	b.take(over)
	b.want(b.ask(b.wish("c", "ann")), stock.Limit)
	alone := b.wish("d", "dan")
	alone.Quantity, alone.Limit = 6, 5
	b.want(b.ask(alone), stock.Limit)
	alone.Quantity = 1<<63 - 1
	b.want(b.ask(alone), stock.Limit)
}

func liveReplaces(b *bench) {
	b.stocked(5, 1)
	ask := b.wish("a", "ann")
	ask.Live = 1
	b.want(b.ask(ask), stock.Limit)
	ask.Live = stock.LiveUnknown
	b.want(b.ask(ask), stock.Limit) // as told before
	ask.Live = 0
	b.take(ask)

	none := b.wish("n", "ned") // told that there are none, with an ask that is too much
	none.Live = 1
	b.want(b.ask(none), stock.Limit)
	none.Live, none.Quantity = 0, 2
	b.want(b.ask(none), stock.Limit)
	none.Live, none.Quantity = stock.LiveUnknown, 1
	b.take(none)

	out := b.wish("b", "bob") // told with an ask that is out
	out.SKU, out.Quantity, out.Limit, out.Live = large, 2, 3, 1
	b.want(b.ask(out), stock.Out)
	out = b.wish("b", "bob")
	out.Limit, out.Quantity = 3, 3
	b.want(b.ask(out), stock.Limit)
}

func livePerBuyer(b *bench) {
	b.stocked(5, 5)
	ask := b.wish("a", "ann")
	ask.Live = 1
	b.want(b.ask(ask), stock.Limit)
	b.take(b.wish("b", "bob"))
}

func outSaysFree(b *bench) {
	b.stocked(2, 1)
	ask := b.wish("a", "ann")
	ask.Quantity, ask.Limit = 3, 3
	b.unchanged(func() {
		answer := b.ask(ask)
		b.want(answer, stock.Out)
		if answer.Free != 2 {
			b.Errorf("%d free, want 2", answer.Free)
		}
	})
	ask.Quantity = 2
	b.take(ask)
	none := b.ask(b.wish("b", "bob"))
	b.want(none, stock.Out)
	if none.Free != 0 {
		b.Errorf("%d free, want 0", none.Free)
	}
}

func noIsNotRecorded(b *bench) {
	b.stocked(1, 1)
	won := b.take(b.wish("a", "ann"))
	lost := b.wish("b", "bob")
	b.want(b.ask(lost), stock.Out)
	b.wantTicket(lost.Claim, nil)
	b.settle(won, shop.Returned, 0)
	again := b.take(lost)
	b.settle(again, shop.Consumed, 1)
	limited := b.wish("c", "bob")
	limited.SKU = large
	b.want(b.ask(limited), stock.Limit)
	limited.Live = 0
	b.take(limited)
}

func oneSeq(b *bench) {
	b.stocked(9, 9)
	for i := range int64(6) {
		ask := b.wish(fmt.Sprint("claim", i), "ann")
		ask.Limit = 9
		if i%2 == 1 {
			ask.SKU = large
		}
		ticket := b.take(ask)
		if ticket.Seq != i+1 {
			b.Errorf("ticket %d has seq %d", i+1, ticket.Seq)
		}
		if i%3 == 0 { // a seq is never used again
			b.settle(ticket, shop.Returned, 0)
		}
	}
}

func repeatUsesNoSeq(b *bench) {
	b.stocked(9, 9)
	ask := b.wish("a", "ann")
	b.take(ask)
	b.take(ask)
	if next := b.take(b.wish("b", "bob")); next.Seq != 2 {
		b.Errorf("the second ticket has seq %d", next.Seq)
	}
}
