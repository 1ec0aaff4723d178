// Package ledgertest is what every ledger must do. A machine runs the whole
// suite, unchanged:
//
//	func TestLedger(t *testing.T) { ledgertest.Run(t, openPostgres) }
//
// The cases say what protocol.md and package ledger promise, sentence by
// sentence; after each case the books are added up, line by line. A crowd and
// a state machine against a small model look for what nobody thought of. A bug
// found in one machine becomes a case here.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Machine is a ledger under test.
type Machine struct {
	ledger.Claims
	ledger.Orders
	ledger.Holds
	ledger.Supply
	ledger.Sales
	ledger.Books
	ledger.Lists

	// Clock is the ledger's own.
	Clock func() *ledger.Clock

	// Reopen closes the ledger and opens what it left behind.
	Reopen func() Machine

	// Close ends the ledger; nothing of it is asked any more.
	Close func()
}

// Open returns a new, empty machine whose sales have two buckets and whose
// clock is built on time.
type Open func(t *testing.T, time *Time) Machine

// Time is the wall clock and the monotonic one, as a test wants them.
type Time struct {
	mu   sync.Mutex
	wall time.Time
	tick time.Duration
}

// Wall is what the machine believes of the time of day.
func (c *Time) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Ticks never goes back.
func (c *Time) Ticks() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tick
}

// Pass lets time pass on both.
func (c *Time) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.tick = c.wall.Add(d), c.tick+d
}

// Jump sets the wall clock; no time passes.
func (c *Time) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// Run runs the suite. Each case opens a machine of its own.
func Run(t *testing.T, open Open) {
	cases := slices.Concat(decideCases(), poisonCases(), lifeCases(), chargeCases(), supplyCases(), saleCases(), listCases(), gateCases(), crowdCases())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, open)
			c.run(b)
			b.audit()
		})
	}
	t.Run("it does what a small model does", func(t *testing.T) { testModel(t, open) })
}

type suiteCase struct {
	name string
	run  func(b *bench)
}

// bench is one sale of a machine. Its methods fail the test on an error.
type bench struct {
	rapid.TB
	Machine

	ctx    context.Context
	time   *Time
	bucket shop.Bucket
	epoch  int64
	seq    int64
}

// What the suite's sale sells.
const (
	small = "eu-38"
	large = "eu-45"
	gift  = "sticker" // free
)

const (
	hold  = 10 * time.Minute
	price = 12_900
)

func noon() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) }

func newBench(t *testing.T, open Open) *bench {
	clock := &Time{wall: noon()}
	return &bench{
		TB: t, Machine: open(t, clock), ctx: t.Context(), time: clock, bucket: shop.Bucket{Sale: "suite"},
	}
}

// document is the suite's sale with so many units of each SKU.
func document(id string, units int64) shop.Sale {
	money := shop.Money{Amount: price, Currency: "EUR"}
	return shop.Sale{
		ID: id, Title: "Suite", OpensAt: noon().Add(-time.Minute), Hold: hold, LimitPerBuyer: 2,
		Challenge: "never", Early: "normal",
		Items: []shop.Item{
			{SKU: small, Title: "Small", Stock: units, Price: money},
			{SKU: large, Title: "Large", Stock: units, Price: money},
			{SKU: gift, Title: "Sticker", Stock: units, Price: shop.Money{Currency: "EUR"}},
		},
	}
}

// stocked publishes the sale with units of each SKU, grants so many of them to
// bucket 0 and leaves the rest in POOL.
func stocked(b *bench, units, granted int64) {
	b.Helper()
	b.publish(document(b.bucket.Sale, units), ledger.Created)
	b.bump(0)
	for _, sku := range []string{small, large, gift} {
		if granted > 0 {
			b.grant(sku, granted)
		}
	}
}

func (b *bench) publish(sale shop.Sale, want ledger.Published) {
	b.Helper()
	got, err := b.Publish(b.ctx, sale)
	if err != nil || got != want {
		b.Fatalf("publish: %v, %v; want %v", got, err, want)
	}
}

func (b *bench) bump(epoch int64) {
	b.Helper()
	now, err := b.Bump(b.ctx, b.bucket, epoch)
	if err != nil || now != epoch+1 {
		b.Fatalf("bump of epoch %d: now %d, %v", epoch, now, err)
	}
	b.epoch, b.seq = now, 0
}

func (b *bench) grant(sku string, units int64) ledger.Grant {
	b.Helper()
	grant, err := b.Grant(b.ctx, b.bucket, b.epoch, ledger.Grant{SKU: sku, Quantity: units})
	if err != nil {
		b.Fatalf("grant %d of %s: %v", units, sku, err)
	}
	return grant
}

// claimOf names a buyer's claim under a key, as a Hasher would.
func claimOf(sale, buyer, key string) shop.ClaimID {
	sum := sha256.Sum256([]byte(sale + "\x00" + buyer + "\x00" + key))
	return shop.ClaimID(sum[:16])
}

// ticket is a new one of the bucket's current epoch for one unit of small.
func (b *bench) ticket(buyer, key string) shop.Ticket {
	b.seq++
	return shop.Ticket{
		Claim: claimOf(b.bucket.Sale, buyer, key), Bucket: b.bucket, Epoch: b.epoch, Seq: b.seq,
		Nonce: 1<<63 + uint64(b.seq), KeyPrint: 1<<63 + 7,
		Buyer: buyer, SKU: small, Quantity: 1, At: b.time.Wall(),
	}
}

func (b *bench) decide(tickets ...shop.Ticket) []ledger.Decision {
	b.Helper()
	decisions, err := b.Decide(b.ctx, tickets)
	if err != nil || len(decisions) != len(tickets) {
		b.Fatalf("%d decisions on %d tickets, error %v", len(decisions), len(tickets), err)
	}
	return decisions
}

// buy decides one new ticket and wants it won.
func (b *bench) buy(buyer, key string) shop.Order {
	b.Helper()
	return b.buyTicket(b.ticket(buyer, key), shop.AwaitingPayment)
}

func (b *bench) buyTicket(ticket shop.Ticket, want shop.Status) shop.Order {
	b.Helper()
	order := b.decide(ticket)[0].Order
	if order.Status != want {
		b.Fatalf("the order of %s is %v (%s), want %v", ticket.Buyer, order.Status, order.Reason, want)
	}
	return order
}

// refused decides one ticket and wants it refused for the reason.
func (b *bench) refused(ticket shop.Ticket, want shop.Code) ledger.Decision {
	b.Helper()
	d := b.decide(ticket)[0]
	if d.Order.Status != shop.Refused || d.Order.Reason != want || d.Verdict != shop.Returned {
		b.Errorf("%v for %q, verdict %v; want refused for %q and returned", d.Order.Status, d.Order.Reason, d.Verdict, want)
	}
	return d
}

func (b *bench) order(id shop.ClaimID, want shop.Status) shop.Order {
	b.Helper()
	order, err := b.Order(b.ctx, id)
	if err != nil || order.Status != want {
		b.Fatalf("order is %v, error %v; want %v", order.Status, err, want)
	}
	return order
}

func (b *bench) pay(id shop.ClaimID, reference string, want shop.Status) shop.Order {
	b.Helper()
	order, err := b.Pay(b.ctx, ledger.Payment{Order: id, Reference: reference})
	if err != nil || order.Status != want {
		b.Fatalf("pay: %v, %v; want %v", order.Status, err, want)
	}
	return order
}

func (b *bench) cancel(c ledger.Cancellation, want shop.Status) {
	b.Helper()
	order, err := b.Cancel(b.ctx, c)
	if err != nil || order.Status != want {
		b.Fatalf("cancel: %v, %v; want %v", order.Status, err, want)
	}
}

// wantNo wants a refusal with that code.
func (b *bench) wantNo(err error, want shop.Code) {
	b.Helper()
	if no, ok := errors.AsType[shop.Refusal](err); !ok || no.Code != want {
		b.Errorf("error %v, want the refusal %q", err, want)
	}
}

func (b *bench) wantErr(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("error %v, want %v", err, want)
	}
}

// expire lets the hold pass and ends what is due.
func (b *bench) expire(ids ...shop.ClaimID) {
	b.Helper()
	b.time.Pass(hold)
	orders, err := b.Expire(b.ctx, ids)
	if err != nil || len(orders) != len(ids) {
		b.Fatalf("%d of %d orders expired, %v", len(orders), len(ids), err)
	}
}

func (b *bench) stand() ledger.Stand {
	b.Helper()
	stand, err := b.Stand(b.ctx, b.bucket.Sale)
	if err != nil {
		b.Fatalf("stand: %v", err)
	}
	return stand
}

// want compares the SKU's balance.
func (b *bench) want(sku string, want ledger.Balance) {
	b.Helper()
	if got := b.stand().Items[sku]; got != want {
		b.Errorf("%s stands at %+v, want %+v", sku, got, want)
	}
}

// live wants the buyer's live units.
func (b *bench) live(buyer string, want int64) ledger.Standing {
	b.Helper()
	standing, err := b.Standing(b.ctx, b.bucket.Sale, buyer)
	if err != nil || standing.Live != want {
		b.Errorf("%s has %d live units, error %v; want %d", buyer, standing.Live, err, want)
	}
	return standing
}

func (b *bench) reopen() {
	b.Helper()
	b.Machine = b.Reopen()
}
