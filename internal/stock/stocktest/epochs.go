package stocktest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func epochCases() []suiteCase {
	return []suiteCase{
		{"starting an epoch again changes nothing", startAgain},
		{"an epoch never goes back", startBack},
		{"a new epoch empties every SKU and begins its numbers anew", startEmpties},
		{"a new epoch knows no live units", startForgetsLive},
		{"tickets of earlier epochs stay and come first", oldTicketsStay},
		{"a claim gets its ticket of an earlier epoch again", oldTicketAnswers},
		{"tickets of earlier epochs count as undecided until settled", oldTicketsCount},
		{"a ticket of an earlier epoch gives the new one no units", oldTicketGivesNothing},
		{"a forgotten bucket is unknown and may begin at any epoch", forgotten},
		{"two buckets share nothing", twoBuckets},
	}
}

func startAgain(b *bench) {
	b.stocked(5, 5)
	b.take(b.wish("a", "ann"))
	b.reclaim(1, small, 1, stock.Reclaimed{})
	b.unchanged(func() { b.start(1) })
	b.want(b.ask(b.wish("b", "ann")), stock.Limit)
}

func startBack(b *bench) {
	b.start(3)
	b.grant(1, small, 5)
	b.take(b.wish("a", "ann"))
	b.unchanged(func() {
		for _, epoch := range []int64{2, 1, 0} {
			b.start(epoch)
		}
	})
}

func startEmpties(b *bench) {
	b.stocked(5, 5)
	b.take(b.wish("a", "ann"))
	b.reclaim(1, small, 1, stock.Reclaimed{})
	b.start(5) // an epoch may be left out
	shelf := b.look()
	for _, sku := range []string{small, large} {
		if shelf.Free[sku] != 0 || shelf.Undecided[sku] != 0 {
			b.Errorf("%s: %d free, %d undecided in a new epoch", sku, shelf.Free[sku], shelf.Undecided[sku])
		}
	}
	if shelf.Epoch != 5 || shelf.LastGrant != 0 || shelf.LastReclaim != (stock.Reclaimed{}) {
		b.Errorf("a new epoch begins with %+v", shelf)
	}
	b.want(b.ask(b.wish("b", "bob")), stock.Unknown)
	b.grant(1, small, 2)
	b.reclaim(1, small, 1, stock.Reclaimed{})
	if ticket := b.take(b.wish("b", "bob")); ticket.Epoch != 5 || ticket.Seq != 1 {
		b.Errorf("the first ticket of epoch 5 is %d of epoch %d", ticket.Seq, ticket.Epoch)
	}
}

func startForgetsLive(b *bench) {
	b.stocked(5, 5)
	b.settle(b.take(b.wish("a", "ann")), shop.Consumed, 1)
	b.want(b.ask(b.wish("b", "ann")), stock.Limit)
	b.start(2)
	b.grant(1, small, 5)
	b.take(b.wish("b", "ann"))
}

func oldTicketsStay(b *bench) {
	b.stocked(5, 5)
	first, second := b.take(b.wish("z", "zoe")), b.take(b.wish("y", "yin"))
	b.start(2)
	b.grant(1, small, 5)
	third := b.take(b.wish("x", "xia"))
	b.start(3)
	b.grant(1, small, 5)
	fourth := b.take(b.wish("w", "wei"))
	b.wantTickets(first, second, third, fourth)
	b.wantTicket(second.Claim, &second)
	if undecided := b.look().Undecided[small]; undecided != 1 {
		b.Errorf("%d units undecided in this epoch, want 1", undecided)
	}
	b.settle(second, shop.Consumed, 1)
	b.settle(fourth, shop.Consumed, 1)
	b.wantTickets(first, third)
}

func oldTicketAnswers(b *bench) {
	b.stocked(5, 5)
	ticket := b.take(b.wish("a", "ann"))
	b.start(2)
	answer := b.ask(b.wish("a", "ann")) // before any grant, too
	b.want(answer, stock.Pending)
	b.grant(1, small, 5)
	b.unchanged(func() { answer = b.ask(b.wish("a", "ann")) })
	b.want(answer, stock.Pending)
	if diff := cmp.Diff(ticket, answer.Ticket); diff != "" {
		b.Errorf("another ticket (-first +again):\n%s", diff)
	}
	b.settle(ticket, shop.Returned, 0)
	if again := b.take(b.wish("a", "ann")); again.Epoch != 2 {
		b.Errorf("a ticket of epoch %d in epoch 2", again.Epoch)
	}
}

func oldTicketsCount(b *bench) {
	b.stocked(5, 5)
	old := b.wish("a", "ann")
	old.Quantity, old.Limit = 2, 3
	ticket := b.take(old)
	b.start(2)
	b.grant(1, large, 5)
	ask := b.wish("b", "ann")
	ask.SKU, ask.Limit, ask.Quantity = large, 3, 2
	b.want(b.ask(ask), stock.Limit)
	b.settle(ticket, shop.Returned, 0)
	b.take(ask)
}

func oldTicketGivesNothing(b *bench) {
	b.stocked(5, 5)
	returned, consumed := b.take(b.wish("a", "ann")), b.take(b.wish("b", "bob"))
	b.start(2)
	b.grant(1, small, 1)
	current := b.take(b.wish("c", "cid")) // seq 1, as the first one had
	moved := returned
	moved.Epoch = 2
	b.unchanged(func() {
		b.resettle(stock.Settlement{Ticket: moved, Verdict: shop.Returned, Live: 1})
	})
	b.settle(returned, shop.Returned, 0)
	b.settle(consumed, shop.Consumed, 1)
	b.wantFree(small, 0)
	b.wantTickets(current)
	b.want(b.ask(b.wish("d", "bob")), stock.Limit) // what the ledger told holds in any epoch
	b.want(b.ask(b.wish("e", "ann")), stock.Out)
	b.settle(current, shop.Returned, 0)
	b.take(b.wish("e", "ann"))
}

func forgotten(b *bench) {
	b.start(7)
	b.grant(1, small, 5)
	ask := b.wish("a", "ann")
	ticket := b.take(ask)
	b.forget()
	_, err := b.Supply.Shelf(b.ctx, b.bucket)
	b.wantErr(err, stock.ErrUnknown)
	b.want(b.ask(ask), stock.Unknown)
	b.wantTicket(ask.Claim, nil)
	if tickets := b.undecided(); len(tickets) != 0 {
		b.Errorf("%d tickets in a forgotten bucket", len(tickets))
	}
	b.start(3)
	b.wantTickets()
	b.grant(1, small, 5)
	b.want(b.ask(b.wish("b", "ann")), stock.Pending) // the lost ticket does not count
	b.unchanged(func() {
		b.resettle(stock.Settlement{Ticket: ticket, Verdict: shop.Returned, Live: 1})
	})
}

func twoBuckets(b *bench) {
	for _, bucket := range []shop.Bucket{{Sale: "suite", Number: 1}, {Sale: "other"}} {
		other := b.at(bucket)
		_, err := other.Supply.Shelf(b.ctx, bucket)
		b.wantErr(err, stock.ErrUnknown)
		b.forget()
		b.stocked(2, 2)
		other.start(3)
		other.grant(1, small, 2)
		mine := b.take(b.wish("a", "ann")) // the same claim and buyer in both
		other.unchanged(func() { b.ask(b.wish("b", "bob")) })
		theirs := other.take(other.wish("a", "ann"))
		if theirs.Bucket != bucket || theirs.Epoch != 3 || theirs.Seq != 1 {
			b.Errorf("the other bucket's ticket is %+v", theirs)
		}
		other.unchanged(func() {
			b.resettle(stock.Settlement{Ticket: theirs, Verdict: shop.Returned, Live: 1})
			b.settle(mine, shop.Consumed, 1)
			b.start(2)
			b.forget()
		})
		other.wantTickets(theirs)
		other.forget()
	}
}
