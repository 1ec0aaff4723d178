package memory

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
	"github.com/doorbuster/doorbuster/internal/stock/stocktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStock(t *testing.T) {
	stocktest.Run(t, func(*testing.T) stocktest.Machine {
		s := NewStock(time.Now, NewQueue(time.Minute, time.Now))
		return stocktest.Machine{Counter: s, Supply: s, Forget: s.Forget}
	})
}

func drop() shop.Bucket { return shop.Bucket{Sale: "drop"} }

// stocked returns a stock with units of "eu-42".
func stocked(tb testing.TB, publish queue.Publisher, units int64) *Stock {
	tb.Helper()
	s := NewStock(time.Now, publish)
	must(tb, s.Start(tb.Context(), drop(), 1))
	must(tb, s.ApplyGrant(tb.Context(), drop(), 1, stock.Grant{Number: 1, SKU: "eu-42", Quantity: units}))
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wish(n int) stock.Ask {
	ask := stock.Ask{
		Nonce: uint64(n), Buyer: fmt.Sprintf("buyer-%08d", n),
		SKU: "eu-42", Quantity: 1, Limit: 1, Live: stock.LiveUnknown,
	}
	copy(ask.Claim[:], ask.Buyer)
	return ask
}

func reserve(tb testing.TB, s *Stock, asks ...stock.Ask) []stock.Answer {
	tb.Helper()
	answers, err := s.Reserve(tb.Context(), drop(), asks, nil)
	must(tb, err)
	return answers
}

func TestNewTicketsEnterTheQueueOnceAndInOrder(t *testing.T) {
	q := NewQueue(time.Minute, time.Now)
	s := stocked(t, q, 2)
	repeat := wish(1)
	answers := reserve(t, s, wish(1), repeat, wish(2), wish(3)) // the last is out
	reserve(t, s, repeat)
	if depth, _ := q.Depth(t.Context()); depth != 2 {
		t.Fatalf("%d tickets in the queue, want 2", depth)
	}
	got, err := q.Receive(t.Context(), 10, nil)
	must(t, err)
	want := []queue.Delivery{
		{Ticket: answers[0].Ticket, Tag: got[0].Tag},
		{Ticket: answers[2].Ticket, Tag: got[len(got)-1].Tag},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestATicketThatTheQueueDoesNotTakeIsUndecided(t *testing.T) {
	q := NewQueue(time.Minute, time.Now)
	q.depthMax = 1
	s := stocked(t, q, 5)
	answers := reserve(t, s, wish(1), wish(2))
	tickets, err := s.Undecided(t.Context(), drop(), 10)
	must(t, err)
	if len(tickets) != 2 || !tickets[1].Same(&answers[1].Ticket) {
		t.Errorf("undecided are %+v, want both tickets", tickets)
	}
	if depth, _ := q.Depth(t.Context()); depth != 1 {
		t.Errorf("%d tickets in the queue, want 1", depth)
	}
}

func TestRefusalsLeaveNothingBehind(t *testing.T) {
	s := stocked(t, NewQueue(time.Minute, time.Now), 1)
	reserve(t, s, wish(0))
	for n := range 100 {
		none, limited, strange := wish(n+1), wish(n+1), wish(n+1)
		none.Live = 0
		limited.Quantity = 2
		strange.SKU = fmt.Sprint("eu-", n)
		reserve(t, s, none, limited, strange)
	}
	shelf := s.shelf(drop())
	if len(shelf.buyers) != 1 || len(shelf.tickets) != 1 || len(shelf.items) != 1 {
		t.Errorf("%d buyers, %d tickets, %d SKUs remembered, want 1 of each",
			len(shelf.buyers), len(shelf.tickets), len(shelf.items))
	}
}

func TestBuyersWithoutUnitsAreNotRemembered(t *testing.T) {
	s := stocked(t, NewQueue(time.Minute, time.Now), 10)
	ends := []stock.Settlement{
		{Verdict: shop.Returned, Live: 0},
		{Verdict: shop.Returned, Live: stock.LiveUnknown},
		{Verdict: shop.Consumed, Live: 0},
		{Verdict: shop.Consumed, Live: 1},
	}
	for n := range ends {
		ends[n].Ticket = reserve(t, s, wish(n))[0].Ticket
	}
	must(t, s.Settle(t.Context(), drop(), ends))
	told := wish(3)
	if shelf := s.shelf(drop()); len(shelf.buyers) != 1 || shelf.buyers[told.Buyer].live != 1 {
		t.Errorf("remembered are %v, want only who has a unit", shelf.buyers)
	}
	told.Live = 0
	told.Quantity = 2
	reserve(t, s, told)
	if left := len(s.shelf(drop()).buyers); left != 0 {
		t.Errorf("%d buyers remembered, want none", left)
	}
}

func TestAFaultMakesTheOutcomeUnknown(t *testing.T) {
	s := stocked(t, NewQueue(time.Minute, time.Now), 2)
	loss := stocktest.RequestLost
	flaky := &stocktest.Flaky{Counter: s, Supply: s, Lose: func(stocktest.Call) stocktest.Loss { return loss }}
	lose := func() int {
		answers, err := flaky.Reserve(t.Context(), drop(), []stock.Ask{wish(1)}, nil)
		if !errors.Is(err, stocktest.ErrLost) || len(answers) != 0 {
			t.Fatalf("%d answers, error %v; want none and a lost connection", len(answers), err)
		}
		tickets, err := s.Undecided(t.Context(), drop(), 10)
		must(t, err)
		return len(tickets)
	}
	if got := lose(); got != 0 {
		t.Errorf("%d tickets after a lost request, want none", got)
	}
	loss = stocktest.ReplyLost
	for range 2 { // the second asks after the first one's ticket
		if got := lose(); got != 1 {
			t.Errorf("%d tickets after a lost reply, want 1", got)
		}
	}
	loss = stocktest.NoLoss
	if _, err := flaky.Shelf(t.Context(), drop()); err != nil {
		t.Errorf("shelf: %v", err)
	}
}
