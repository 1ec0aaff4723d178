package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func theDrop() []shop.Bucket { return []shop.Bucket{drop()} }

// receive waits for so many deliveries, and returns their seqs in order.
func receive(tb testing.TB, q *Queue, count int) ([]queue.Delivery, []int64) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	var got []queue.Delivery
	for len(got) < count {
		var err error
		got, err = q.Receive(ctx, count-len(got), got)
		if err != nil {
			tb.Fatalf("%d of %d tickets came: %v", len(got), count, err)
		}
	}
	var seqs []int64
	for i := range got {
		seqs = append(seqs, got[i].Ticket.Seq)
	}
	slices.Sort(seqs)
	return got, seqs
}

func wantDepth(tb testing.TB, q *Queue, want int) {
	tb.Helper()
	got, err := q.Depth(tb.Context())
	must(tb, err)
	if got != want {
		tb.Fatalf("depth is %d, want %d", got, want)
	}
}

func TestEveryReservedTicketComesAsItIs(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		c := stocked(t, url, 1000)
		q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop})
		asks := make([]stock.Ask, 0, 300)
		for n := range 300 {
			a := ask(n)
			a.Quantity, a.Limit, a.KeyPrint = int64(n%3+1), int64(n%4), uint64(n)<<40 // some are over their limit
			asks = append(asks, a)
		}
		for _, part := range [][]stock.Ask{asks[:1], asks[1:4], asks[4:]} {
			_, err := c.Stock().Reserve(t.Context(), drop(), part, nil)
			must(t, err)
		}
		want, err := c.Stock().Undecided(t.Context(), drop(), 1000)
		must(t, err)
		got, _ := receive(t, q, len(want))
		for i := range got {
			if got[i].Ticket != want[i] {
				t.Fatalf("ticket %d came as %+v, want %+v", i, got[i].Ticket, want[i])
			}
		}
		wantDepth(t, q, len(want))
		must(t, q.Ack(t.Context(), got))
		wantDepth(t, q, 0)
		pending, err := c.conn.Do(t.Context(), c.conn.B().Xpending().Key(c.shelf(drop()).keys.stream).Group(group).Build()).ToArray()
		must(t, err)
		if count, err := pending[0].AsInt64(); err != nil || count != 0 {
			t.Errorf("%d entries are pending, error %v; want none", count, err)
		}
		if shelf := c.look(t, drop()); shelf.Tickets != len(want) {
			t.Errorf("%d tickets in the outbox, want %d", shelf.Tickets, len(want))
		}
	})
}

func TestMostlyLostCallsBringTheirFewTickets(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 3)
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop})
	var asks []stock.Ask
	for n := range 100 {
		asks = append(asks, ask(n))
	}
	_, err := c.Stock().Reserve(t.Context(), drop(), asks, nil)
	must(t, err)
	want, err := c.Stock().Undecided(t.Context(), drop(), 10)
	must(t, err)
	got, _ := receive(t, q, 3)
	for i := range got {
		if got[i].Ticket != want[i] {
			t.Fatalf("ticket %d came as %+v, want %+v", i, got[i].Ticket, want[i])
		}
	}
}

func TestWhatADeadWorkerHadComesToAnother(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 100)
	for n := range 5 {
		c.reserve(t, n)
	}
	dead := c.Queue(QueueOptions{Name: "dead", Buckets: theDrop})
	ctx, die := context.WithCancel(t.Context())
	var dying sync.WaitGroup
	dying.Go(func() { _ = dead.Run(ctx) })
	got, _ := receive(t, dead, 5)
	must(t, dead.Ack(t.Context(), got[:1]))
	die()
	dying.Wait()
	heir := c.run1(t, QueueOptions{Name: "heir", Buckets: theDrop, Redeliver: 300 * time.Millisecond})
	began := time.Now()
	got, seqs := receive(t, heir, 4)
	if want := []int64{2, 3, 4, 5}; !slices.Equal(seqs, want) {
		t.Errorf("tickets %d came, want %d", seqs, want)
	}
	t.Logf("after %s", time.Since(began).Round(time.Millisecond))
	must(t, heir.Ack(t.Context(), got))
	wantDepth(t, heir, 0)
	one := &stream{Queue: heir, shelf: c.shelf(drop())}
	must(t, one.retire(t.Context(), time.Hour))
	if got, want := names(t, c), []string{"dead", "heir"}; !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
	must(t, one.retire(t.Context(), 0))
	if got, want := names(t, c), []string{"heir"}; !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
}

// names returns who reads the drop's stream, and read it.
func names(tb testing.TB, c *Client) []string {
	tb.Helper()
	text, err := oneRedis(tb).Do(tb.Context(), "XINFO", "CONSUMERS", c.shelf(drop()).keys.stream, group)
	must(tb, err)
	var all []string
	lines := strings.Split(text, "\n")
	for i := range lines {
		if lines[i] == "name" {
			all = append(all, lines[i+1])
		}
	}
	return all
}

func TestAWorkerThatComesBackGoesOnWithWhatItHad(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 100)
	for n := range 40 { // more entries than one look brings
		c.reserve(t, n)
	}
	before := c.Queue(QueueOptions{Name: "one", Buckets: theDrop})
	ctx, die := context.WithCancel(t.Context())
	var dying sync.WaitGroup
	dying.Go(func() { _ = before.Run(ctx) })
	receive(t, before, 40)
	die()
	dying.Wait()
	after := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: time.Hour})
	got, _ := receive(t, after, 40)
	must(t, after.Ack(t.Context(), got))
	wantDepth(t, after, 0)
}

func TestAnotherProcessesTicketsComeWithinASecond(t *testing.T) {
	server := oneRedis(t)
	o := options(server.URL())
	reader, writer := openAs(t, o), openAs(t, o)
	writer.stock(t, drop(), 1, 100)
	q := reader.run1(t, QueueOptions{Name: "one", Buckets: theDrop})
	for n := range 3 {
		began := time.Now()
		writer.reserve(t, n)
		got, _ := receive(t, q, 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("a ticket took %s", took)
		}
		must(t, q.Ack(t.Context(), got))
	}
}

func TestANewSaleIsReadAtOnce(t *testing.T) {
	c := open(t, oneRedis(t).URL())
	var mu sync.Mutex
	buckets := theDrop()
	q := c.run1(t, QueueOptions{Name: "one", Buckets: func() []shop.Bucket {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(buckets)
	}})
	late := shop.Bucket{Sale: "late"}
	c.stock(t, late, 1, 10)
	mu.Lock()
	buckets = append(buckets, late)
	mu.Unlock()
	began := time.Now()
	_, err := c.askIn(t, late, 1)
	must(t, err)
	got, _ := receive(t, q, 1)
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("the first ticket took %s", took)
	}
	must(t, q.Ack(t.Context(), got))
	mu.Lock()
	buckets = nil // closed and drained
	mu.Unlock()
	eventually(t, 3*time.Second, func() error {
		if c.shelf(late).tended.Load() != 0 {
			return errors.New("it is still read")
		}
		return nil
	})
}

// logged is a log that a test can read.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestAPoisonedEntryIsPutAwayOnce(t *testing.T) {
	server, log := oneRedis(t), &logged{}
	o := options(server.URL())
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	c := openAs(t, o)
	c.stock(t, drop(), 1, 100)
	c.reserve(t, 1)
	for _, entry := range [][]string{{"t", "poison"}, {"other", "field"}, {"t", ""}, {"s", "1234567812345678", "a", "n"}} {
		_, err := server.Do(t.Context(), append([]string{"XADD", c.shelf(drop()).keys.stream, "*"}, entry...)...)
		must(t, err)
	}
	c.reserve(t, 2)
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: 200 * time.Millisecond})
	got, seqs := receive(t, q, 2)
	if !slices.Equal(seqs, []int64{1, 2}) {
		t.Errorf("tickets %d came, want 1 and 2", seqs)
	}
	must(t, q.Ack(t.Context(), got))
	eventually(t, 3*time.Second, func() error {
		length, err := server.Do(t.Context(), "XLEN", c.shelf(drop()).keys.stream)
		if err == nil && length != "0" {
			err = fmt.Errorf("%s entries are left", length)
		}
		return err
	})
	wantDepth(t, q, 0)
	if got := q.Poisoned(); got != 4 || log.count("holds no tickets") != 4 {
		t.Errorf("%d poisoned, %d times said, want 4", got, log.count("holds no tickets"))
	}
}

func TestTrimmedStreamsLeaveTheOutboxWhole(t *testing.T) {
	server := oneRedis(t)
	c := stocked(t, server.URL(), 100)
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: 200 * time.Millisecond})
	for n := range 5 {
		c.reserve(t, n)
	}
	got, _ := receive(t, q, 5)
	stream := c.shelf(drop()).keys.stream
	_, err := server.Do(t.Context(), "XTRIM", stream, "MAXLEN", "2")
	must(t, err)
	entries, err := server.Do(t.Context(), "XRANGE", stream, "-", "+", "COUNT", "1")
	must(t, err)
	id, _, _ := strings.Cut(entries, "\n")
	_, err = server.Do(t.Context(), "XDEL", stream, id)
	must(t, err)
	tickets, err := c.Stock().Undecided(t.Context(), drop(), 10)
	must(t, err)
	if len(tickets) != 5 {
		t.Errorf("%d tickets in the outbox, want 5", len(tickets))
	}
	again, seqs := receive(t, q, 1) // what is left comes again, what was deleted is no trouble
	if !slices.Equal(seqs, []int64{5}) {
		t.Errorf("tickets %d came again, want 5", seqs)
	}
	must(t, q.Ack(t.Context(), append(got, again...)))
	wantDepth(t, q, 0)
	c.reserve(t, 6)
	wantDepth(t, q, 1)
}

func TestAStreamThatWasWipedIsReadAgain(t *testing.T) {
	server := ownRedis(t)
	c := stocked(t, server.URL(), 100)
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop})
	c.reserve(t, 1)
	got, _ := receive(t, q, 1)
	must(t, server.Wipe(t.Context()))
	eventually(t, 5*time.Second, func() error { return q.Ack(t.Context(), got) })
	eventually(t, 5*time.Second, func() error { return c.Stock().Start(t.Context(), drop(), 2) })
	c.stock(t, drop(), 2, 100)
	began := time.Now()
	c.reserve(t, 2)
	got, _ = receive(t, q, 1)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the first ticket after the wipe took %s", took)
	}
	if got[0].Ticket.Epoch != 2 {
		t.Errorf("ticket is %+v, want one of epoch 2", got[0].Ticket)
	}
}

func TestALostLookIsMadeUpFor(t *testing.T) {
	c, proxy := proxied(t, oneRedis(t))
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: time.Hour})
	for n := range 20 {
		c.reserve(t, n)
		proxy.DropReplies(1) // of whatever comes next: the look, or the next reservation
	}
	_, seqs := receive(t, q, 20)
	for i, seq := range seqs {
		if seq != int64(i+1) {
			t.Fatalf("tickets %d came", seqs)
		}
	}
}

func TestAFullBufferReadsOnWhenThereIsRoom(t *testing.T) {
	c := stocked(t, oneRedis(t).URL(), 1_000_000)
	q := c.run1(t, QueueOptions{Name: "one", Buckets: theDrop, Redeliver: time.Hour})
	const crowd = 4 * bufferMax
	var asks []stock.Ask
	for n := range crowd {
		asks = append(asks, ask(n))
	}
	_, err := c.Stock().Reserve(t.Context(), drop(), asks, nil)
	must(t, err)
	for came := 0; came < crowd; {
		got, _ := receive(t, q, min(700, crowd-came))
		came += len(got)
		must(t, q.Ack(t.Context(), got))
	}
	wantDepth(t, q, 0)
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries)+len(q.numbers)+len(q.waiting) != 0 {
		t.Errorf("%d entries, %d numbers, %d waiting are remembered", len(q.entries), len(q.numbers), len(q.waiting))
	}
}
