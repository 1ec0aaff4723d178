package stocktest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func crowdCases() []suiteCase {
	return []suiteCase{
		{"a crowd takes exactly what there is", crowdTakesAll},
		{"one claim asked by many at once has one ticket", crowdOfOneClaim},
		{"one buyer asking at once stays within the limit", crowdOfOneBuyer},
		{"what comes back in a crowd is given again", crowdGivesBack},
	}
}

// crowdSize is enough to interleave on a few cores, and few enough for a
// backend behind a network.
const crowdSize = 16

// crowd runs person for each of the crowd at once.
func crowd(person func(i int)) {
	var all sync.WaitGroup
	for i := range crowdSize {
		all.Go(func() { person(i) })
	}
	all.Wait()
}

// reserve is Reserve for a crowd: it ends no test.
func (b *bench) reserve(asks ...stock.Ask) []stock.Answer {
	answers, err := b.Counter.Reserve(b.ctx, b.bucket, asks, nil)
	if err != nil || len(answers) != len(asks) {
		b.Errorf("%d answers to %d asks, error %v", len(answers), len(asks), err)
		return nil
	}
	return answers
}

// watch reads the shelf until stop and wants its units to add up each time.
func (b *bench) watch(stop <-chan struct{}) {
	for {
		shelf, err := b.Supply.Shelf(b.ctx, b.bucket)
		if err != nil {
			b.Errorf("shelf: %v", err)
			return
		}
		for sku, want := range b.owed {
			if got := shelf.Free[sku] + shelf.Undecided[sku]; got != want || shelf.Free[sku] < 0 {
				b.Errorf("%s: %d free + %d undecided, want %d together", sku, shelf.Free[sku], shelf.Undecided[sku], want)
				return
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func crowdTakesAll(b *bench) {
	const perPerson, batch = 60, 4
	units := map[string]int64{small: 301, large: 157}
	b.stocked(units[small], units[large])
	var taken sync.Map // seq → claim
	var ofSmall, ofLarge atomic.Int64
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { b.watch(stop) })
	crowd(func(person int) {
		for round := range perPerson / batch {
			var asks []stock.Ask
			for i := range batch {
				name := fmt.Sprintf("%d-%d-%d", person, round, i)
				ask := stock.Ask{Claim: claim(name), Buyer: name, SKU: small, Quantity: 1, Limit: 2, Live: stock.LiveUnknown}
				if i == 3 {
					ask.SKU = large
				}
				asks = append(asks, ask)
			}
			for _, answer := range b.reserve(asks...) {
				if answer.Outcome != stock.Pending {
					continue
				}
				if other, twice := taken.LoadOrStore(answer.Ticket.Seq, answer.Ticket.Claim); twice {
					b.Errorf("seq %d was given to %s and %s", answer.Ticket.Seq, other, answer.Ticket.Claim)
				}
				if answer.Ticket.SKU == small {
					ofSmall.Add(1)
				} else {
					ofLarge.Add(1)
				}
			}
		}
	})
	close(stop)
	watcher.Wait()
	for sku, got := range map[string]int64{small: ofSmall.Load(), large: ofLarge.Load()} {
		if got != units[sku] {
			b.Errorf("%d units of %s taken, want %d", got, sku, units[sku])
		}
		b.wantFree(sku, 0)
	}
	b.count()
	if got, want := b.look().Tickets, int(units[small]+units[large]); got != want {
		b.Errorf("%d tickets, want %d", got, want)
	}
}

func crowdOfOneClaim(b *bench) {
	b.stocked(100, 100)
	ask := b.wish("a", "ann")
	var tickets [crowdSize]shop.Ticket
	crowd(func(person int) {
		mine := ask
		mine.Nonce += uint64(person)
		for _, answer := range b.reserve(mine, mine) {
			if answer.Outcome != stock.Pending {
				b.Errorf("answer is %s, want pending", outcome(answer.Outcome))
			}
			tickets[person] = answer.Ticket
		}
	})
	for i := range tickets {
		if !tickets[i].Same(&tickets[0]) {
			b.Fatalf("two tickets of one claim: %+v and %+v", tickets[0], tickets[i])
		}
	}
	b.wantFree(small, 99)
	b.count()
}

func crowdOfOneBuyer(b *bench) {
	const limit = 5
	b.stocked(100, 100)
	var pending atomic.Int64
	crowd(func(person int) {
		for i := range 3 {
			ask := stock.Ask{
				Claim: claim(fmt.Sprintf("%d-%d", person, i)), Buyer: "ann", SKU: small,
				Quantity: 1, Limit: limit, Live: 2,
			}
			for _, answer := range b.reserve(ask) {
				if answer.Outcome == stock.Pending {
					pending.Add(1)
				}
			}
		}
	})
	if got := pending.Load(); got != limit-2 {
		b.Errorf("%d units, want %d", got, limit-2)
	}
	b.wantFree(small, 100-(limit-2))
	b.count()
}

// crowdGivesBack settles while others ask: every second ticket of a person
// comes to nothing, and in the end every unit was consumed once.
func crowdGivesBack(b *bench) {
	const units, patience = 64, 10_000 // turns; a stock that loses units ends the case too
	b.stocked(units, 1)
	var consumed atomic.Int64
	crowd(func(person int) {
		tickets := 0
		for turn := 0; turn < patience && consumed.Load() < units && !b.Failed(); turn++ {
			name := fmt.Sprintf("%d-%d", person, turn)
			ask := stock.Ask{Claim: claim(name), Buyer: name, SKU: small, Quantity: 1, Limit: 1, Live: stock.LiveUnknown}
			for _, answer := range b.reserve(ask) {
				if answer.Outcome != stock.Pending {
					continue
				}
				end := stock.Settlement{Ticket: answer.Ticket, Verdict: shop.Returned}
				if tickets++; tickets%2 == 0 {
					end.Verdict = shop.Consumed
					consumed.Add(1)
				}
				if err := b.Counter.Settle(b.ctx, b.bucket, []stock.Settlement{end, end}); err != nil {
					b.Errorf("settle: %v", err)
				}
			}
		}
	})
	if got := consumed.Load(); got != units {
		b.Errorf("%d units consumed, want %d", got, units)
	}
	b.owed[small] = 0
	b.count()
	b.wantTickets()
	b.wantFree(small, 0)
}
