package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func crowdCases() []suiteCase {
	return []suiteCase{
		{"a crowd that decides at once gets exactly what there is", crowdDecides},
		{"one claim decided by many at once has one order", crowdOfOneClaim},
		{"paying, expiring and cancelling at once: one of them wins", crowdEndsOrder},
		{"a call that fails takes nobody with it", failureAlone},
		{"a call whose caller is gone happens once or not at all", callerGone},
	}
}

// crowdSize is enough to interleave on a few cores.
const crowdSize = 16

func crowd(person func(i int)) {
	var all sync.WaitGroup
	for i := range crowdSize {
		all.Go(func() { person(i) })
	}
	all.Wait()
}

func crowdDecides(b *bench) {
	stocked(b, 10, 10)
	tickets := make([]shop.Ticket, 2*crowdSize)
	for i := range tickets {
		tickets[i] = b.ticket(fmt.Sprint("buyer", i), "k")
	}
	var mu sync.Mutex
	won := 0
	crowd(func(i int) {
		decisions, err := b.Decide(b.ctx, []shop.Ticket{tickets[2*i], tickets[2*i+1], tickets[2*((i+1)%crowdSize)]})
		if err != nil {
			b.Errorf("decide: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, d := range decisions[:2] {
			if d.Order.Status == shop.AwaitingPayment {
				won++
			}
		}
	})
	if won != 10 {
		b.Errorf("%d orders won, want 10", won)
	}
	b.want(small, ledger.Balance{Total: 10, Held: 10})
}

func crowdOfOneClaim(b *bench) {
	stocked(b, 99, 99)
	tickets := make([]shop.Ticket, crowdSize)
	for i := range tickets {
		tickets[i] = b.ticket("ann", "k")
	}
	var mu sync.Mutex
	consumed := 0
	crowd(func(i int) {
		decisions, err := b.Decide(b.ctx, tickets[i:i+1])
		if err != nil {
			b.Errorf("decide: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if decisions[0].Verdict == shop.Consumed {
			consumed++
		}
	})
	if consumed != 1 {
		b.Errorf("%d tickets consumed, want 1", consumed)
	}
	b.want(small, ledger.Balance{Total: 99, Granted: 98, Held: 1})
}

func crowdEndsOrder(b *bench) {
	stocked(b, 50, 50)
	orders := make([]shop.ClaimID, crowdSize)
	for i := range orders {
		orders[i] = b.buy(fmt.Sprint("buyer", i), "k").ID
	}
	b.time.Pass(hold)
	crowd(func(i int) {
		for _, id := range orders {
			var err error
			switch i % 4 {
			case 0:
				_, err = b.Pay(b.ctx, ledger.Payment{Order: id, Reference: "r"})
			case 1:
				_, err = b.Expire(b.ctx, []shop.ClaimID{id})
			case 2:
				_, err = b.Cancel(b.ctx, ledger.Cancellation{Order: id, Restock: true})
			default:
				_, err = b.Order(b.ctx, id)
			}
			if _, no := errors.AsType[shop.Refusal](err); err != nil && !no {
				b.Errorf("%d: %v", i, err)
			}
		}
	})
}

func failureAlone(b *bench) {
	stocked(b, 50, 50)
	tickets := make([]shop.Ticket, crowdSize)
	for i := range tickets {
		tickets[i] = b.ticket(fmt.Sprint("buyer", i), "k")
		if i%2 == 0 {
			tickets[i].Bucket.Sale = "nowhere"
		}
	}
	for range 8 { // the more often, the more of them share a commit
		crowd(func(i int) {
			_, err := b.Decide(b.ctx, tickets[i:i+1])
			if (err == nil) != (i%2 == 1) {
				b.Errorf("ticket %d: %v", i, err)
			}
			_, err = b.Cancel(b.ctx, ledger.Cancellation{Order: claimOf("suite", "nobody", "k")})
			if !errors.Is(err, ledger.ErrNotFound) {
				b.Errorf("cancel: %v", err)
			}
		})
	}
	b.want(small, ledger.Balance{Total: 50, Granted: 50 - crowdSize/2, Held: crowdSize / 2})
}

func callerGone(b *bench) {
	stocked(b, 50, 50)
	tickets := make([]shop.Ticket, crowdSize)
	for i := range tickets {
		tickets[i] = b.ticket(fmt.Sprint("buyer", i), "k")
	}
	gone, cancel := context.WithCancel(b.ctx)
	crowd(func(i int) {
		if i == crowdSize/2 {
			cancel()
		}
		_, err := b.Decide(gone, tickets[i:i+1])
		if err != nil && !errors.Is(err, context.Canceled) {
			b.Errorf("decide: %v", err)
		}
	})
	for _, d := range b.decide(tickets...) {
		if d.Order.Status != shop.AwaitingPayment || d.Verdict != shop.Consumed {
			b.Errorf("%v, %v; want each decided once", d.Order.Status, d.Verdict)
		}
	}
	b.want(small, ledger.Balance{Total: 50, Granted: 50 - crowdSize, Held: crowdSize})
}
