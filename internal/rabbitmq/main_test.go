package rabbitmq

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/queue/queuetest"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// the broker of all tests; each has queues of its own.
var (
	server *servers.RabbitMQ //nolint:gochecknoglobals // starting one takes six seconds
	shops  atomic.Int64      //nolint:gochecknoglobals // tells the tests' queues apart
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServer{m}) }

type withServer struct{ *testing.M }

func (m withServer) Run() int {
	dir, err := os.MkdirTemp("", "rabbitmq")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		server, err = servers.StartRabbitMQ(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = server.Kill() }()
	return m.M.Run()
}

func open(t testing.TB, options Options) *Broker {
	t.Helper()
	if options.URL == "" {
		options.URL = server.URL()
	}
	if options.Name == "" {
		options.Name = fmt.Sprint("shop-", shops.Add(1))
	}
	if testing.Verbose() {
		options.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestQueue(t *testing.T) {
	for name, options := range map[string]Options{
		"packed":                 {},
		"one ticket per message": {TicketsMax: 1, Prefetch: 5000}, // the suite keeps many
		"three per message":      {TicketsMax: 3, Prefetch: 2000},
	} {
		t.Run(name, func(t *testing.T) {
			queuetest.Run(t, func(t *testing.T) queuetest.Machine {
				b := open(t, options)
				return queuetest.Machine{Queue: b, Publisher: b, Redeliver: func() { redeliver(t, b) }}
			})
		})
	}
}

// redeliver breaks the consumer's connection once the broker has read all that
// was acknowledged, and waits until what was not is here again.
func redeliver(t testing.TB, b *Broker) {
	t.Helper()
	k := b.receive.now()
	held, err := b.Depth(t.Context()) // which may be on their way here still
	if err != nil {
		t.Fatal(err)
	}
	if err := k.conn.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the tickets are here again", func() error {
		if now := b.receive.now(); now == nil || now == k {
			return fmt.Errorf("no new connection: %v", b.Warnings())
		}
		if tickets, _ := b.inbox.holds(); tickets != held {
			return fmt.Errorf("%d tickets, want %d", tickets, held)
		}
		return nil
	})
}

// until polls for what becomes true soon.
func until(t testing.TB, what string, is func() error) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for err := is(); err != nil; err = is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it does not come about that %s: %v", what, err)
		}
	}
}

func tickets(from, to int) []shop.Ticket {
	all := make([]shop.Ticket, 0, to-from)
	for n := from; n < to; n++ {
		t := shop.Ticket{
			Bucket: shop.Bucket{Sale: "retro-85", Number: 3}, Epoch: 2, Seq: int64(n), Nonce: uint64(n) << 40,
			KeyPrint: uint64(n) * 0x9e3779b97f4a7c15, Buyer: fmt.Sprint("buyer-", n), SKU: "eu-42", Quantity: 1,
			At: time.Unix(1_800_000_000, int64(n)).UTC(),
		}
		copy(t.Claim[:], fmt.Sprintf("%016d", n))
		all = append(all, t)
	}
	return all
}

func publish(t testing.TB, b *Broker, from, to int) {
	t.Helper()
	if err := b.Publish(t.Context(), tickets(from, to)); err != nil {
		t.Fatal(err)
	}
}

// drain receives and acknowledges until each ticket below count came.
func drain(t testing.TB, b *Broker, count int) map[int64]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	came := map[int64]int{}
	for len(came) < count {
		got, err := b.Receive(ctx, 1000, nil)
		if err != nil {
			t.Fatalf("%d of %d tickets came: %v", len(came), count, err)
		}
		for i := range got {
			came[got[i].Ticket.Seq]++
		}
		if err := b.Ack(ctx, got); err != nil {
			t.Log(err) // they come again
		}
	}
	return came
}
