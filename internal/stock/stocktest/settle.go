package stocktest

import (
	"errors"
	"fmt"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func settleCases() []suiteCase {
	return []suiteCase{
		{"consumed units are gone", consumedIsGone},
		{"returned units are free again", returnedIsFree},
		{"settle acts on exactly this ticket", settleIsExact},
		{"settling twice changes nothing", settleTwice},
		{"settling what is forgotten changes nothing", settleForgotten},
		{"a late settle leaves the claim's next ticket alone", settleLate},
		{"a buyer whose ticket came to nothing can buy again", buyerIsFreeAgain},
		{"settle sets the buyer's live units", settleSetsLive},
		{"settle with unknown live units leaves the hint", settleLeavesLive},
		{"one call settles many tickets", settleMany},
		{"the highest mark of the ledger is kept through epochs", markIsKept},
		{"undecided tickets come oldest first up to the limit", oldestFirst},
		{"a claim without a ticket has none", noTicket},
	}
}

func markIsKept(b *bench) {
	b.stocked(3, 3)
	wantMark := func(want int64) {
		b.Helper()
		if got := b.look().Mark; got != want {
			b.Fatalf("the mark is %d, want %d", got, want)
		}
	}
	wantMark(0)
	ticket := b.take(b.wish("a", "ann"))
	b.resettle(stock.Settlement{Ticket: ticket, Verdict: shop.Returned, Live: 0, Mark: 1 << 40})
	wantMark(1 << 40)
	b.resettle(stock.Settlement{Ticket: ticket, Verdict: shop.Returned, Live: 0, Mark: 7})
	wantMark(1 << 40)
	b.start(2)
	wantMark(1 << 40)
	b.resettle(stock.Settlement{Ticket: ticket, Verdict: shop.Returned, Live: 0, Mark: 1<<40 + 1}) // forgotten
	wantMark(1<<40 + 1)
	remember := func(mark int64) {
		b.Helper()
		if err := b.Supply.Remember(b.ctx, b.bucket, mark); err != nil {
			b.Fatal(err)
		}
	}
	remember(9)
	wantMark(1<<40 + 1)
	remember(1<<40 + 2)
	wantMark(1<<40 + 2)
	b.forget()
	remember(1) // no state, nothing to remember it by
	if _, err := b.Supply.Shelf(b.ctx, b.bucket); !errors.Is(err, stock.ErrUnknown) {
		b.Fatalf("error is %v, want %v", err, stock.ErrUnknown)
	}
	b.start(1)
	wantMark(0)
}

func consumedIsGone(b *bench) {
	b.stocked(3, 3)
	ticket := b.take(b.wish("a", "ann"))
	b.settle(ticket, shop.Consumed, 1)
	b.wantFree(small, 2)
	b.wantFree(large, 3)
	b.wantTickets()
	b.wantTicket(ticket.Claim, nil)
}

func returnedIsFree(b *bench) {
	b.stocked(1, 1)
	ticket := b.take(b.wish("a", "ann"))
	b.settle(ticket, shop.Returned, 0)
	b.wantFree(small, 1)
	b.wantFree(large, 1)
	b.wantTickets()
	b.take(b.wish("b", "bob"))
}

func settleIsExact(b *bench) {
	b.stocked(5, 5)
	ticket := b.take(b.wish("a", "ann"))
	other := b.take(b.wish("b", "bob"))
	wrong := map[string]func(t *shop.Ticket){
		"seq":           func(t *shop.Ticket) { t.Seq = other.Seq },
		"nonce":         func(t *shop.Ticket) { t.Nonce++ },
		"buyer":         func(t *shop.Ticket) { t.Buyer = "bob" },
		"SKU":           func(t *shop.Ticket) { t.SKU = large },
		"quantity":      func(t *shop.Ticket) { t.Quantity = 2 },
		"later epoch":   func(t *shop.Ticket) { t.Epoch = 2 },
		"earlier epoch": func(t *shop.Ticket) { t.Epoch = 0 },
		"claim":         func(t *shop.Ticket) { t.Claim = other.Claim },
		"bucket":        func(t *shop.Ticket) { t.Bucket.Number = 1 },
	}
	for name, change := range wrong {
		almost := ticket
		change(&almost)
		for _, verdict := range []shop.Verdict{shop.Consumed, shop.Returned} {
			b.Logf("another %s", name)
			b.unchanged(func() {
				b.resettle(stock.Settlement{Ticket: almost, Verdict: verdict, Live: 5})
			})
		}
	}
	b.settle(ticket, shop.Returned, 0)
	b.take(b.wish("c", "ann")) // nobody remembers the five live units
	b.settle(other, shop.Returned, 0)
	b.take(b.wish("d", "bob"))
}

func settleTwice(b *bench) {
	b.stocked(3, 3)
	returned, consumed := b.take(b.wish("a", "ann")), b.take(b.wish("b", "bob"))
	b.settle(returned, shop.Returned, 0)
	b.settle(consumed, shop.Consumed, 0)
	b.unchanged(func() {
		for _, verdict := range []shop.Verdict{shop.Returned, shop.Consumed} {
			b.resettle(
				stock.Settlement{Ticket: returned, Verdict: verdict, Live: 1},
				stock.Settlement{Ticket: consumed, Verdict: verdict, Live: 1},
			)
		}
	})
	b.take(b.wish("c", "ann")) // the second settle told nothing of live units
	b.take(b.wish("d", "bob"))
}

func settleForgotten(b *bench) {
	b.stocked(3, 3)
	ticket := b.take(b.wish("a", "ann"))
	settled := stock.Settlement{Ticket: ticket, Verdict: shop.Returned, Live: 1}
	b.forget()
	b.resettle(settled) // no state at all, no error
	b.stocked(3, 3)
	b.unchanged(func() { b.resettle(settled) })
	b.take(b.wish("b", "ann"))
}

// settleLate is a reply that was lost: the claim's first ticket is settled
// again when the claim has a second one.
func settleLate(b *bench) {
	b.stocked(3, 3)
	ask := b.wish("a", "ann")
	first := b.take(ask)
	b.settle(first, shop.Returned, 0)
	second := b.take(ask)
	if first.Same(&second) {
		b.Fatalf("a new ticket is the old one: %+v", second)
	}
	b.unchanged(func() {
		b.resettle(stock.Settlement{Ticket: first, Verdict: shop.Consumed, Live: 1})
	})
	b.wantTicket(ask.Claim, &second)
}

func buyerIsFreeAgain(b *bench) {
	b.stocked(9, 9)
	for i := range 3 {
		ticket := b.take(b.wish(fmt.Sprint("returned", i), "ann"))
		b.want(b.ask(b.wish("meanwhile", "ann")), stock.Limit)
		b.settle(ticket, shop.Returned, 0)
	}
	for i := range 3 { // decided for and expired before it was settled
		ticket := b.take(b.wish(fmt.Sprint("consumed", i), "ann"))
		b.settle(ticket, shop.Consumed, 0)
	}
	many := b.wish("many", "bob")
	many.Quantity, many.Limit = 3, 3
	b.settle(b.take(many), shop.Returned, 0)
	b.take(many)
}

func settleSetsLive(b *bench) {
	b.stocked(9, 9)
	b.settle(b.take(b.wish("a", "ann")), shop.Consumed, 1)
	b.want(b.ask(b.wish("b", "ann")), stock.Limit)
	two := b.wish("c", "ann")
	two.Limit = 2
	b.settle(b.take(two), shop.Returned, 2) // the ledger's word, not a sum
	b.want(b.ask(two), stock.Limit)
	two.Limit = 3
	b.settle(b.take(two), shop.Consumed, 0)
	b.take(b.wish("d", "ann"))
}

func settleLeavesLive(b *bench) {
	b.stocked(9, 9)
	b.settle(b.take(b.wish("a", "ann")), shop.Consumed, 1)
	ask := b.wish("b", "ann")
	ask.Limit = 2
	b.settle(b.take(ask), shop.Returned, stock.LiveUnknown)
	b.want(b.ask(b.wish("c", "ann")), stock.Limit)
	ask.Quantity = 2
	b.want(b.ask(ask), stock.Limit)
}

func settleMany(b *bench) {
	b.stocked(9, 9)
	var tickets []shop.Ticket
	for _, buyer := range []string{"ann", "bob", "cid", "dan"} {
		tickets = append(tickets, b.take(b.wish(buyer, buyer)))
	}
	wrong := tickets[1]
	wrong.Nonce++
	b.owed[small]--
	b.resettle(
		stock.Settlement{Ticket: tickets[0], Verdict: shop.Consumed, Live: 1},
		stock.Settlement{Ticket: wrong, Verdict: shop.Consumed, Live: 1},
		stock.Settlement{Ticket: tickets[2], Verdict: shop.Returned},
		stock.Settlement{Ticket: tickets[2], Verdict: shop.Returned}, // twice in one call
	)
	b.wantTickets(tickets[1], tickets[3])
	b.wantFree(small, 6)
	b.resettle()
}

func oldestFirst(b *bench) {
	b.stocked(20, 20)
	var tickets []shop.Ticket
	for i := range 10 {
		ask := b.wish(fmt.Sprint(9-i), fmt.Sprint("buyer", i*7%10)) // no order but the time
		if i%3 == 0 {
			ask.SKU = large
		}
		tickets = append(tickets, b.take(ask))
	}
	for _, i := range []int{0, 4, 9} { // first, middle, last
		b.settle(tickets[i], shop.Consumed, 1)
	}
	left := []shop.Ticket{tickets[1], tickets[2], tickets[3], tickets[5], tickets[6], tickets[7], tickets[8]}
	b.wantTickets(left...)
	for _, limit := range []int{0, 1, 3, 7, 8} {
		got, err := b.Counter.Undecided(b.ctx, b.bucket, limit)
		if err != nil {
			b.Fatalf("undecided: %v", err)
		}
		if len(got) != min(limit, len(left)) {
			b.Fatalf("%d tickets at a limit of %d, want %d", len(got), limit, min(limit, len(left)))
		}
		for i := range got {
			if got[i].Seq != left[i].Seq {
				b.Errorf("ticket %d of %d has seq %d, want %d", i, limit, got[i].Seq, left[i].Seq)
			}
		}
	}
	again := b.take(b.wish("last", "someone"))
	b.wantTickets(append(left, again)...)
}

func noTicket(b *bench) {
	tickets, err := b.Counter.Undecided(b.ctx, b.bucket, 10)
	if err != nil || len(tickets) != 0 {
		b.Fatalf("an unknown bucket has %d tickets, error %v; want none and nil", len(tickets), err)
	}
	b.wantTicket(claim("a"), nil)
	b.stocked(1, 1)
	b.wantTicket(claim("a"), nil)
}
