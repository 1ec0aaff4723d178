package postgres_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/postgres"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// book is a ledger with one open sale whose units are all granted.
type book struct {
	*postgres.Ledger
	t   testing.TB
	url string
	n   *int64
}

// real opens the ledger with clocks that tick.
func real(t testing.TB, url string) *postgres.Ledger {
	begin := time.Now()
	return open(t, postgres.Options{URL: url, Ticks: func() time.Duration { return time.Since(begin) }})
}

func newBook(t testing.TB, url string) *book {
	b := &book{Ledger: real(t, url), t: t, url: url, n: new(int64)}
	b.sale("s")
	return b
}

// beside is the same ledger as another node has it.
func (b *book) beside() *book {
	return &book{Ledger: real(b.t, b.url), t: b.t, url: b.url, n: b.n}
}

func (b *book) sale(id string) {
	b.t.Helper()
	sale := shop.Sale{
		ID: id, Title: "S", OpensAt: time.Now().UTC().Truncate(time.Millisecond), Hold: time.Minute, LimitPerBuyer: 1, Challenge: "never", Early: "normal",
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: shop.StockMax, Price: shop.Money{Amount: 100, Currency: "EUR"}}},
	}
	if _, err := b.Publish(b.t.Context(), sale); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Bump(b.t.Context(), shop.Bucket{Sale: id}, 0); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Grant(b.t.Context(), shop.Bucket{Sale: id}, 1, ledger.Grant{SKU: "a", Quantity: shop.StockMax}); err != nil {
		b.t.Fatal(err)
	}
}

// tickets are new ones of as many buyers. Claims are spread as hashes are.
func (b *book) tickets(sale string, count int) []shop.Ticket {
	tickets := make([]shop.Ticket, count)
	for i := range tickets {
		*b.n++
		claim := claimOf(*b.n)
		word := binary.LittleEndian.Uint64(claim[:])
		tickets[i] = shop.Ticket{
			Claim: claim, Bucket: shop.Bucket{Sale: sale}, Epoch: 1, Seq: *b.n, Nonce: word, KeyPrint: word,
			Buyer: fmt.Sprintf("buyer-%016x", word), SKU: "a", Quantity: 1,
		}
	}
	return tickets
}

func claimOf(n int64) (claim shop.ClaimID) {
	word := uint64(n) * 0x9E3779B97F4A7C15
	for at := range claim {
		claim[at] = byte(word >> (at % 8 * 8))
		word ^= word<<13 ^ uint64(at)
	}
	return claim
}

func (b *book) mustDecide(tickets []shop.Ticket) []ledger.Decision {
	b.t.Helper()
	decisions, err := b.Decide(b.t.Context(), tickets)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range decisions {
		if d.Order.Status != shop.AwaitingPayment {
			b.t.Fatalf("order is %v: %s", d.Order.Status, d.Order.Reason)
		}
	}
	return decisions
}

func (b *book) mustSell(count int) []ledger.Decision {
	b.t.Helper()
	return b.mustDecide(b.tickets("s", count))
}

// BenchmarkDecide decides tickets of buyers who come once, each batch in one
// transaction, by one worker and by the two that a node has:
//
//	go test -run - -bench . -benchtime 5s ./internal/postgres
func BenchmarkDecide(b *testing.B) {
	for _, size := range []int{1, 64, 512} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("batch=%d/workers=%d", size, workers), func(b *testing.B) {
				books := newBook(b, server.database(b))
				batches := make(chan []shop.Ticket)
				var crew sync.WaitGroup
				for range workers {
					crew.Go(func() {
						for tickets := range batches {
							if _, err := books.Decide(b.Context(), tickets); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for b.Loop() {
					batches <- books.tickets("s", size)
				}
				close(batches)
				crew.Wait()
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "tickets/s")
			})
		}
	}
}

// BenchmarkCopy copies one row for each order into a bare table: what the
// database can write at best.
func BenchmarkCopy(b *testing.B) {
	for _, size := range []int{512, 4096} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { copyRows(b, size) })
	}
}

func copyRows(b *testing.B, size int) {
	ctx := context.Background()
	url := server.database(b)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, `DROP TABLE IF EXISTS bare; CREATE TABLE bare (id UUID PRIMARY KEY, sale INTEGER NOT NULL, sku TEXT NOT NULL,
		buyer TEXT NOT NULL, quantity INTEGER NOT NULL, status SMALLINT NOT NULL, amount BIGINT NOT NULL, created_at TIMESTAMPTZ NOT NULL)`)
	if err != nil {
		b.Fatal(err)
	}
	columns := []string{"id", "sale", "sku", "buyer", "quantity", "status", "amount", "created_at"}
	var n int64
	now := time.Now()
	for b.Loop() {
		rows := make([][]any, size)
		for i := range rows {
			n++
			id := claimOf(n)
			rows[i] = []any{[16]byte(id), int32(1), "a", fmt.Sprintf("buyer-%016x", n), int32(1), int16(1), int64(100), now}
		}
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"bare"}, columns, pgx.CopyFromRows(rows)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
