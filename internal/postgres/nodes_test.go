package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// until polls until done returns true.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ask returns one value of the database.
func ask[T any](t testing.TB, url, query string) (value T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := conn.QueryRow(ctx, query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// sound wants the books whole.
func (b *book) sound() {
	b.t.Helper()
	if broken, err := b.Check(b.t.Context()); err != nil || len(broken) != 0 {
		b.t.Errorf("check: %v, %v", broken, err)
	}
}

func (b *book) held(sale string) int64 {
	b.t.Helper()
	stand, err := b.Stand(b.t.Context(), sale)
	if err != nil {
		b.t.Fatal(err)
	}
	return stand.Items["a"].Held
}

func TestWhatOneNodeDecidedTheOtherKnows(t *testing.T) {
	one := newBook(t, server.database(t))
	other := one.beside()
	tickets := one.tickets("s", 10)
	want := one.mustDecide(tickets)
	got := other.mustDecide(tickets)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the other node decides otherwise (-one +other):\n%s", diff)
	}
	if order, err := other.Order(t.Context(), want[3].Order.ID); err != nil || order != want[3].Order {
		t.Errorf("order %+v, %v; want %+v", order, err, want[3].Order)
	}
	if got := other.held("s"); got != 10 {
		t.Errorf("%d units held, want 10", got)
	}
}

func TestASalePublishedOnOneNodeIsSoldOnTheOther(t *testing.T) {
	one := newBook(t, server.database(t))
	other := one.beside()
	one.sale("later")
	other.mustDecide(one.tickets("later", 3))

	before := versions(t, other)
	listings, err := one.Sales(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := listings[0].Sale
	next.Items = append(next.Items, shop.Item{SKU: "b", Title: "B", Stock: 5, Price: next.Items[0].Price})
	if published, err := one.Publish(t.Context(), next); err != nil || published != ledger.Changed {
		t.Fatalf("published %v, %v", published, err)
	}
	ticket := one.tickets("later", 1)
	ticket[0].SKU, ticket[0].Epoch = "b", 0 // of no epoch: honoured from POOL
	other.mustDecide(ticket)
	if after := versions(t, other); after["later"] <= before["later"] || after["s"] != before["s"] {
		t.Errorf("versions %v after %v: want only the sale's own to grow", after, before)
	}
	one.sound()
}

func versions(t *testing.T, b *book) map[string]int64 {
	t.Helper()
	listings, err := b.Sales(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for i := range listings {
		all[listings[i].Sale.ID] = listings[i].Version
	}
	return all
}

func TestOneTicketDecidedOnBothNodesIsDecidedOnce(t *testing.T) {
	one := newBook(t, server.database(t))
	other := one.beside()
	for range 10 {
		tickets := one.tickets("s", 20)
		var decisions [4][]ledger.Decision
		var both sync.WaitGroup
		for i := range decisions {
			both.Go(func() {
				var err error
				if decisions[i], err = []*book{one, other}[i%2].Decide(t.Context(), tickets); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for i := range decisions {
			if diff := cmp.Diff(decisions[0], decisions[i]); diff != "" {
				t.Fatalf("two answers for one ticket:\n%s", diff)
			}
		}
	}
	if got := one.held("s"); got != 200 {
		t.Errorf("%d units held, want 200", got)
	}
	one.sound()
}

func TestBatchesThatCrossSalesDoNotWaitForEachOther(t *testing.T) {
	one := newBook(t, server.empty(t, "crossing"))
	one.sale("r")
	nodes := []*book{one, one.beside()}
	const rounds, each = 25, 10
	var all sync.WaitGroup
	for worker := range 4 {
		batches := make([][]shop.Ticket, rounds)
		for i := range batches {
			sales := []string{"s", "r"}
			batches[i] = append(one.tickets(sales[worker%2], each), one.tickets(sales[1-worker%2], each)...)
		}
		all.Go(func() {
			for _, batch := range batches {
				if _, err := nodes[worker%2].Decide(t.Context(), batch); err != nil {
					t.Errorf("decide: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, sale := range []string{"s", "r"} {
		if got := one.held(sale); got != 4*rounds*each {
			t.Errorf("%s: %d units held, want %d", sale, got, 4*rounds*each)
		}
	}
	one.sound()
	if deadlocks := ask[int64](t, one.url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); deadlocks != 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

// hold passes the sale's turnstile and stays in it until the function that it
// returns has run something there.
func (b *book) hold(sale string) (leave func(statement string)) {
	b.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "BEGIN; SELECT id FROM doorbuster.sales WHERE name = '"+sale+"' FOR NO KEY UPDATE"); err != nil {
		b.t.Fatal(err)
	}
	return func(statement string) {
		b.t.Helper()
		if _, err := conn.Exec(ctx, statement+"; COMMIT"); err != nil {
			b.t.Error(err)
		}
		_ = conn.Close(ctx)
	}
}

// waits wants somebody to wait for a lock.
func (b *book) waits() {
	b.t.Helper()
	until(b.t, "somebody waits at the turnstile", func() bool {
		return ask[int64](b.t, b.url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") > 0
	})
}

func TestWhatIsReadBehindTheTurnstileIsTheNewest(t *testing.T) {
	b := newBook(t, server.database(t))
	tickets := b.tickets("s", 1)
	leave := b.hold("s")
	decided := make(chan ledger.Decision, 1)
	go func() {
		decisions, err := b.Decide(context.Background(), tickets)
		if err != nil {
			t.Error(err)
		}
		decided <- append(decisions, ledger.Decision{})[0]
	}()
	b.waits()
	leave(fmt.Sprintf("INSERT INTO doorbuster.quotas (sale, buyer, units, lim, newest) SELECT id, '%s', 1, 1, 0 FROM doorbuster.sales WHERE name = 's'", tickets[0].Buyer))
	if got := (<-decided).Order; got.Reason != shop.LimitReached {
		t.Errorf("%v %q; want the limit to be reached by what was committed while it waited", got.Status, got.Reason)
	}
}

func TestWhoStoodAtTheTurnstilePausesBeforeTheNextBatch(t *testing.T) {
	b := newBook(t, server.database(t))
	tickets := b.tickets("s", 1)
	leave := b.hold("s")
	decided := make(chan error, 1)
	go func() {
		_, err := b.Decide(context.Background(), tickets)
		decided <- err
	}()
	b.waits()
	leave("SELECT pg_sleep(0.1)")
	if err := <-decided; err != nil {
		t.Fatal(err)
	}
	if got := b.Pause(); got < 10*time.Millisecond {
		t.Errorf("after 100 ms at the turnstile the pause is %v", got)
	}
}

func TestAsOfGrowsInASaleWhateverNodeDecides(t *testing.T) {
	one := newBook(t, server.database(t))
	one.sale("r") // takes numbers in between
	nodes := []*book{one, one.beside()}
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := nodes[1].Bump(context.Background(), shop.Bucket{Sale: "r"}, 0); err != nil {
					t.Error(err)
				}
			}
		}
	})
	last := int64(0)
	for i := range 50 {
		order := nodes[i%2].mustDecide(one.tickets("s", 1))[0].Order
		stand, err := nodes[1-i%2].Stand(t.Context(), "s")
		if err != nil || order.AsOf <= last || stand.AsOf != order.AsOf {
			t.Fatalf("order as of %d after %d, the other node stands as of %d, %v", order.AsOf, last, stand.AsOf, err)
		}
		last = order.AsOf
	}
	close(stop)
	noise.Wait()
}

func TestNodesThatStartWithOneDocumentCreateItOnce(t *testing.T) {
	url := server.database(t)
	sale := shop.Sale{
		ID: "s", Title: "S", OpensAt: time.Now().UTC().Truncate(time.Second), Hold: time.Minute, LimitPerBuyer: 1, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: 7, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
	var mu sync.Mutex
	got := map[ledger.Published]int{}
	var all sync.WaitGroup
	for range 4 {
		node := real(t, url)
		all.Go(func() {
			published, err := node.Publish(t.Context(), sale)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[published]++
		})
	}
	all.Wait()
	if got[ledger.Created] != 1 || got[ledger.Same] != 3 {
		t.Errorf("published %v, want one created and three the same", got)
	}
}

func TestManyTicketsAtOnceTakeSeveralBlocksOfNumbers(t *testing.T) {
	b := newBook(t, server.database(t))
	tickets := b.tickets("s", 5000)
	b.mustDecide(tickets)
	b.sound()
	seen := map[int64]bool{}
	err := b.Read(t.Context(), func(view ledger.View) error {
		for line, err := range view.Lines(t.Context()) {
			if err != nil || seen[line.Seq] {
				return fmt.Errorf("line %d, twice or %w", line.Seq, err)
			}
			seen[line.Seq] = true
		}
		return nil
	})
	if err != nil || len(seen) < 5000 {
		t.Errorf("%d lines, %v", len(seen), err)
	}
}

func TestARuleThatPanicsEndsTheNodeAndLeavesTheOthersTheSale(t *testing.T) {
	one := newBook(t, server.database(t))
	other := one.beside()
	order := one.mustDecide(one.tickets("s", 1))[0].Order.ID
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic does not reach whoever called")
			}
		}()
		t.Error(one.Panic(t.Context(), order))
	}()
	var stopped error
	select {
	case stopped = <-one.Fatal():
	default:
		t.Error("the ledger goes on")
	}
	cancellation := ledger.Cancellation{Order: order, Buyer: "nobody"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := one.Cancel(ctx, cancellation); stopped == nil || !errors.Is(err, stopped) {
		t.Errorf("error %v, want what stopped it: %v", err, stopped)
	}
	other.mustDecide(one.tickets("s", 1))
	closed := make(chan error, 1)
	go func() { closed <- one.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the transaction's connection was never given back")
	}
	other.sound()
}
