package memory

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// batch is what one call carries in the benchmarks.
const batch = 256

// nowhere publishes to nobody, where the stock alone is measured.
type nowhere struct{}

func (nowhere) Publish(context.Context, []shop.Ticket) error { return nil }

// crowd makes asks of buyers who come one after the other.
type crowd struct {
	buyers []string
	skus   []string
	next   int
	asks   []stock.Ask
	got    []stock.Answer
	ends   []stock.Settlement
}

func newCrowd(buyers, skus int) *crowd {
	c := &crowd{asks: make([]stock.Ask, batch), ends: make([]stock.Settlement, batch)}
	for n := range buyers {
		c.buyers = append(c.buyers, fmt.Sprintf("user-%026d", n*7919)) // as long as a UUID
	}
	for n := range skus {
		c.skus = append(c.skus, fmt.Sprintf("sku-%d", n))
	}
	return c
}

// open returns a stock with plenty of each SKU.
func (c *crowd) open(tb testing.TB, publish queue.Publisher, units int64) *Stock {
	tb.Helper()
	s := NewStock(time.Now, publish)
	must(tb, s.Start(tb.Context(), drop(), 1))
	for n, sku := range c.skus {
		must(tb, s.ApplyGrant(tb.Context(), drop(), 1, stock.Grant{Number: int64(n + 1), SKU: sku, Quantity: units}))
	}
	return s
}

// come prepares the next batch of asks.
func (c *crowd) come() {
	for i := range c.asks {
		n := c.next
		c.next++
		ask := &c.asks[i]
		binary.BigEndian.PutUint64(ask.Claim[:], uint64(n)*0x9e3779b97f4a7c15)
		ask.Nonce, ask.Buyer, ask.SKU = uint64(n), c.buyers[n%len(c.buyers)], c.skus[n%len(c.skus)]
		ask.Quantity, ask.Limit, ask.Live = 1, 1<<40, stock.LiveUnknown
	}
}

func (c *crowd) reserve(tb testing.TB, s *Stock, want stock.Outcome) {
	tb.Helper()
	var err error
	c.got, err = s.Reserve(tb.Context(), drop(), c.asks, c.got[:0])
	must(tb, err)
	if last := c.got[batch-1].Outcome; last != want {
		tb.Fatalf("outcome is %d, want %d", last, want)
	}
}

func (c *crowd) settle(tb testing.TB, s *Stock) {
	tb.Helper()
	for i := range c.got {
		c.ends[i] = stock.Settlement{Ticket: c.got[i].Ticket, Verdict: shop.Returned}
	}
	must(tb, s.Settle(tb.Context(), drop(), c.ends))
}

func perTicket(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/ticket")
}

func BenchmarkReserve(b *testing.B) {
	for _, size := range []struct{ skus, tickets int }{{1, 10_000}, {1000, 10_000}, {1, 1_000_000}} {
		b.Run(fmt.Sprintf("skus=%d/tickets=%d", size.skus, size.tickets), func(b *testing.B) {
			c := newCrowd(size.tickets+1<<16, size.skus)
			s := c.open(b, nowhere{}, 1<<40)
			for range size.tickets / batch {
				c.come()
				c.reserve(b, s, stock.Pending)
			}
			b.Run("reserve", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					c.come()
					b.StartTimer()
					c.reserve(b, s, stock.Pending)
					b.StopTimer()
					c.settle(b, s)
					b.StartTimer()
				}
				perTicket(b)
			})
			b.Run("reserve and settle", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.come()
					c.reserve(b, s, stock.Pending)
					c.settle(b, s)
				}
				perTicket(b)
			})
		})
	}
}

func BenchmarkReserveOut(b *testing.B) {
	for _, skus := range []int{1, 1000} {
		b.Run(fmt.Sprintf("skus=%d", skus), func(b *testing.B) {
			c := newCrowd(1<<16, skus)
			s := c.open(b, nowhere{}, 1)
			for range skus/batch + 1 {
				c.come()
				c.got, _ = s.Reserve(b.Context(), drop(), c.asks, c.got[:0])
			}
			b.ReportAllocs()
			for b.Loop() {
				c.come()
				c.reserve(b, s, stock.Out)
			}
			perTicket(b)
		})
	}
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue(time.Minute, time.Now)
	tickets := make([]shop.Ticket, batch)
	var got []queue.Delivery
	b.ReportAllocs()
	for b.Loop() {
		must(b, q.Publish(b.Context(), tickets))
		var err error
		got, err = q.Receive(b.Context(), batch, got[:0])
		must(b, err)
		must(b, q.Ack(b.Context(), got))
	}
	perTicket(b)
}

// BenchmarkWholeWay is all that a ticket costs in memory: reserved, queued,
// received, settled, acknowledged.
func BenchmarkWholeWay(b *testing.B) {
	c := newCrowd(1<<16, 10)
	q := NewQueue(time.Minute, time.Now)
	s := c.open(b, q, 1<<40)
	var got []queue.Delivery
	b.ReportAllocs()
	for b.Loop() {
		c.come()
		c.reserve(b, s, stock.Pending)
		var err error
		got, err = q.Receive(b.Context(), batch, got[:0])
		must(b, err)
		c.settle(b, s)
		must(b, q.Ack(b.Context(), got))
	}
	perTicket(b)
}

// TestATicketInFlightTakesUnderAKilobyte counts the ticket, its buyer and its
// place in the queue, received and not acknowledged.
func TestATicketInFlightTakesUnderAKilobyte(t *testing.T) {
	const calls = 400
	before := heap()
	c := newCrowd(calls*batch, 10)
	q := NewQueue(time.Minute, time.Now)
	s := c.open(t, q, 1<<40)
	for range calls {
		c.come()
		c.reserve(t, s, stock.Pending)
		if q.waiting.count != batch {
			t.Fatalf("%d tickets in the queue, want %d", q.waiting.count, batch)
		}
		_, err := q.Receive(t.Context(), batch, nil)
		must(t, err)
	}
	each := (heap() - before) / (calls * batch)
	t.Logf("%d bytes per ticket", each)
	if each > 1000 {
		t.Errorf("a ticket in flight takes %d bytes, want at most 1000", each)
	}
	runtime.KeepAlive(c)
	runtime.KeepAlive(q)
	runtime.KeepAlive(s)
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
