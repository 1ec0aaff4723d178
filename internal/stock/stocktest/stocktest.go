// Package stocktest is what every stock must do. A backend runs the whole
// suite, unchanged:
//
//	func TestStock(t *testing.T) { stocktest.Run(t, openRedis) }
//
// The cases say what the contract in package stock says, sentence by sentence;
// after each step of a case the bucket's units are counted (I5 of the
// protocol). A crowd and a state machine against a small model look for what
// nobody thought of. A bug found in one backend becomes a case here. Flaky is
// for the tests of those who use a stock.
package stocktest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// Machine is a backend under test.
type Machine struct {
	Counter stock.Counter
	Supply  stock.Supply

	// Forget drops all that the backend knows of the bucket, as a restart or
	// an empty failover would.
	Forget func(bucket shop.Bucket)
}

// Run runs the suite. Each case opens a machine of its own, which holds no
// state of the buckets of sales "suite", "other" and "model-N".
func Run(t *testing.T, open func(t *testing.T) Machine) {
	cases := slices.Concat(reserveCases(), settleCases(), supplyCases(), epochCases(), crowdCases())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(newBench(t, open(t))) })
	}
	t.Run("it does what a small model does", func(t *testing.T) { testModel(t, open(t)) })
}

type suiteCase struct {
	name string
	run  func(b *bench)
}

// bench is one bucket of a machine and what it must hold. Its methods fail
// the test on an error and count the units after each step.
type bench struct {
	rapid.TB
	Machine

	ctx    context.Context
	bucket shop.Bucket
	epoch  int64
	nonce  uint64
	owed   map[string]int64 // granted − reclaimed − consumed in this epoch, by SKU
}

// The SKUs that the cases grant.
const (
	small = "eu-38"
	large = "eu-45"
)

func newBench(t *testing.T, machine Machine) *bench {
	return &bench{
		TB: t, Machine: machine, ctx: t.Context(),
		bucket: shop.Bucket{Sale: "suite"}, owed: map[string]int64{},
	}
}

// stocked starts epoch 1 with units of two SKUs, by grants 1 and 2.
func (b *bench) stocked(units, largeUnits int64) *bench {
	b.Helper()
	b.start(1)
	b.grant(1, small, units)
	b.grant(2, large, largeUnits)
	return b
}

// at returns a bench for another bucket of the same machine.
func (b *bench) at(bucket shop.Bucket) *bench {
	other := *b
	other.bucket, other.epoch, other.owed = bucket, 0, map[string]int64{}
	return &other
}

func (b *bench) start(epoch int64) {
	b.Helper()
	if err := b.Supply.Start(b.ctx, b.bucket, epoch); err != nil {
		b.Fatalf("start epoch %d: %v", epoch, err)
	}
	if epoch > b.epoch {
		b.epoch, b.owed = epoch, map[string]int64{}
	}
	b.count()
}

func (b *bench) forget() {
	b.Helper()
	b.Forget(b.bucket)
	b.epoch, b.owed = 0, map[string]int64{}
}

func (b *bench) grant(number int64, sku string, units int64) {
	b.Helper()
	if err := b.tryGrant(b.epoch, number, sku, units); err != nil {
		b.Fatalf("grant %d of %d %s: %v", number, units, sku, err)
	}
	b.owed[sku] += units
	b.count()
}

func (b *bench) tryGrant(epoch, number int64, sku string, units int64) error {
	return b.Supply.ApplyGrant(b.ctx, b.bucket, epoch, stock.Grant{Number: number, SKU: sku, Quantity: units})
}

// reclaim asks for a number that was not used yet.
func (b *bench) reclaim(number int64, sku string, units int64, previous stock.Reclaimed) stock.Reclaimed {
	b.Helper()
	got, err := b.tryReclaim(b.epoch, stock.Reclaim{Number: number, SKU: sku, Quantity: units, Previous: previous})
	if err != nil {
		b.Fatalf("reclaim %d of %d %s: %v", number, units, sku, err)
	}
	b.owed[sku] -= got.Units
	b.count()
	return got
}

func (b *bench) tryReclaim(epoch int64, reclaim stock.Reclaim) (stock.Reclaimed, error) {
	return b.Supply.Reclaim(b.ctx, b.bucket, epoch, reclaim)
}

// wish is an ask for one unit of small by a buyer with a limit of one.
func (b *bench) wish(name, buyer string) stock.Ask {
	b.nonce++
	return stock.Ask{
		Claim: claim(name), Nonce: b.nonce, KeyPrint: b.nonce << 32, Buyer: buyer,
		SKU: small, Quantity: 1, Limit: 1, Live: stock.LiveUnknown,
	}
}

func claim(name string) shop.ClaimID {
	var id shop.ClaimID
	copy(id[:], name)
	return id
}

// ask reserves for one buyer alone.
func (b *bench) ask(ask stock.Ask) stock.Answer {
	b.Helper()
	return b.askAll(ask)[0]
}

func (b *bench) askAll(asks ...stock.Ask) []stock.Answer {
	b.Helper()
	answers, err := b.Counter.Reserve(b.ctx, b.bucket, asks, nil)
	if err != nil {
		b.Fatalf("reserve: %v", err)
	}
	if len(answers) != len(asks) {
		b.Fatalf("%d answers to %d asks", len(answers), len(asks))
	}
	b.count()
	return answers
}

// take reserves and wants a ticket.
func (b *bench) take(ask stock.Ask) shop.Ticket {
	b.Helper()
	answer := b.ask(ask)
	b.want(answer, stock.Pending)
	return answer.Ticket
}

func (b *bench) want(answer stock.Answer, want stock.Outcome) {
	b.Helper()
	if answer.Outcome != want {
		b.Fatalf("answer is %s, want %s", outcome(answer.Outcome), outcome(want))
	}
}

func outcome(o stock.Outcome) string {
	switch o {
	case stock.Pending:
		return "pending"
	case stock.Limit:
		return "limit"
	case stock.Out:
		return "out"
	case stock.Unknown:
		return "unknown"
	}
	return "no outcome at all"
}

// settle ends a ticket of this epoch that was not settled yet.
func (b *bench) settle(ticket shop.Ticket, verdict shop.Verdict, live int64) {
	b.Helper()
	if ticket.Epoch == b.epoch && verdict == shop.Consumed {
		b.owed[ticket.SKU] -= ticket.Quantity
	}
	b.resettle(stock.Settlement{Ticket: ticket, Verdict: verdict, Live: live})
}

// resettle settles what must change no count.
func (b *bench) resettle(settlements ...stock.Settlement) {
	b.Helper()
	if err := b.Counter.Settle(b.ctx, b.bucket, settlements); err != nil {
		b.Fatalf("settle: %v", err)
	}
	b.count()
}

func (b *bench) look() stock.Shelf {
	b.Helper()
	shelf, err := b.Supply.Shelf(b.ctx, b.bucket)
	if err != nil {
		b.Fatalf("shelf: %v", err)
	}
	return shelf
}

// count checks I5: free + undecided is what was granted and neither
// reclaimed nor consumed.
func (b *bench) count() {
	b.Helper()
	shelf, err := b.Supply.Shelf(b.ctx, b.bucket)
	if errors.Is(err, stock.ErrUnknown) && b.epoch == 0 {
		return
	}
	if err != nil {
		b.Fatalf("shelf: %v", err)
	}
	for _, sku := range []string{small, large} {
		if free, undecided := shelf.Free[sku], shelf.Undecided[sku]; free < 0 || undecided < 0 || free+undecided != b.owed[sku] {
			b.Fatalf("%s: %d free + %d undecided, want %d together", sku, free, undecided, b.owed[sku])
		}
	}
}

func (b *bench) wantFree(sku string, want int64) {
	b.Helper()
	if got := b.look().Free[sku]; got != want {
		b.Fatalf("%d units of %s free, want %d", got, sku, want)
	}
}

// undecided lists all tickets, and checks that the shelf counts them.
func (b *bench) undecided() []shop.Ticket {
	b.Helper()
	tickets, err := b.Counter.Undecided(b.ctx, b.bucket, 1000)
	if err != nil {
		b.Fatalf("undecided: %v", err)
	}
	return tickets
}

func (b *bench) wantTickets(want ...shop.Ticket) {
	b.Helper()
	if diff := cmp.Diff(want, b.undecided(), cmpopts.EquateEmpty()); diff != "" {
		b.Fatalf("undecided tickets (-want +got):\n%s", diff)
	}
	if got := b.look().Tickets; got != len(want) {
		b.Fatalf("the shelf counts %d tickets, want %d", got, len(want))
	}
}

// wantTicket looks a claim up; nil wants none.
func (b *bench) wantTicket(id shop.ClaimID, want *shop.Ticket) {
	b.Helper()
	got, ok, err := b.Counter.Ticket(b.ctx, b.bucket, id)
	if err != nil {
		b.Fatalf("ticket: %v", err)
	}
	if ok != (want != nil) {
		b.Fatalf("claim has a ticket: %t, want %t", ok, want != nil)
	}
	if ok && !cmp.Equal(*want, got) {
		b.Fatalf("ticket (-want +got):\n%s", cmp.Diff(*want, got))
	}
}

func (b *bench) wantErr(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("error is %v, want %v", err, want)
	}
}

// wantBadArgument wants an error that makes no supplier bump.
func (b *bench) wantBadArgument(err error) {
	b.Helper()
	if err == nil || errors.Is(err, stock.ErrForked) || errors.Is(err, stock.ErrUnknown) {
		b.Fatalf("error is %v, want one that speaks of the argument", err)
	}
}

// unchanged runs step and wants the bucket as it was.
func (b *bench) unchanged(step func()) {
	b.Helper()
	shelf, tickets := b.look(), b.undecided()
	step()
	if diff := cmp.Diff(shelf, b.look(), cmpopts.EquateEmpty()); diff != "" {
		b.Fatalf("the shelf changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(tickets, b.undecided(), cmpopts.EquateEmpty()); diff != "" {
		b.Fatalf("the tickets changed (-before +after):\n%s", diff)
	}
}
