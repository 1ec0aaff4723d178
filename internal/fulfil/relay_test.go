package fulfil_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

var errBrokerDown = errors.New("the broker is away")

// stream is the stock's own queue, and broker where a relay carries its
// tickets. Either fails when it is told to.
type stream struct {
	queue.Queue
	mu  sync.Mutex
	ack error
}

func (s *stream) Ack(ctx context.Context, deliveries []queue.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ack != nil {
		return s.ack
	}
	return s.Queue.Ack(ctx, deliveries)
}

type broker struct {
	queue.Publisher
	mu      sync.Mutex
	fault   error
	calls   int
	largest int
}

func (b *broker) Publish(ctx context.Context, tickets []shop.Ticket) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.largest = max(b.largest, len(tickets))
	if b.fault != nil {
		return b.fault
	}
	return b.Publisher.Publish(ctx, tickets)
}

func (b *broker) set(fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

// road is a stream, a broker and relays between them, all in a bubble of
// their own time.
type road struct {
	t      *testing.T
	source *memory.Queue
	stream *stream
	target *memory.Queue
	broker *broker
	stop   func()
}

const streamRedelivery = 10 * time.Second

func openRoad(t *testing.T, relays int) *road {
	r := &road{
		t: t, source: memory.NewQueue(streamRedelivery, time.Now), target: memory.NewQueue(time.Hour, time.Now),
	}
	r.stream, r.broker = &stream{Queue: r.source}, &broker{Publisher: r.target}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	relay := &fulfil.Relay{Queue: r.stream, Publisher: r.broker, Log: slog.New(slog.DiscardHandler)}
	for range relays {
		all.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Errorf("a relay that was told to stop says %v", err)
			}
		})
	}
	r.stop = func() { cancel(); all.Wait() }
	return r
}

func (r *road) write(count int) {
	r.t.Helper()
	var tickets []shop.Ticket
	for n := range count {
		tickets = append(tickets, shop.Ticket{Seq: int64(n)})
	}
	if err := r.source.Publish(r.t.Context(), tickets); err != nil {
		r.t.Fatal(err)
	}
}

// carried returns how often each ticket reached the broker.
func (r *road) carried() map[int64]int {
	r.t.Helper()
	times := map[int64]int{}
	if r.depth(r.target) == 0 {
		return times
	}
	got, err := r.target.Receive(r.t.Context(), 1<<20, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range got {
		times[got[i].Ticket.Seq]++
	}
	return times
}

func (r *road) depth(q *memory.Queue) int {
	r.t.Helper()
	depth, err := q.Depth(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return depth
}

func TestRelaysCarryEachTicketToTheBrokerInBoundedBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRoad(t, 3)
		defer r.stop()
		r.write(5000)
		synctest.Wait()
		got := r.carried()
		if len(got) != 5000 || r.depth(r.source) != 0 {
			t.Errorf("%d of 5000 tickets carried, %d left", len(got), r.depth(r.source))
		}
		for seq, times := range got {
			if times != 1 {
				t.Errorf("ticket %d came %d times", seq, times)
			}
		}
		if r.broker.largest > 1024 {
			t.Errorf("%d tickets in one call, want 1024 or fewer", r.broker.largest)
		}
	})
}

func TestATicketThatTheBrokerDoesNotTakeStaysInTheStreamAndComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRoad(t, 1)
		defer r.stop()
		r.broker.set(errBrokerDown)
		r.write(10)
		time.Sleep(time.Minute)
		if depth := r.depth(r.source); depth != 10 {
			t.Fatalf("%d tickets wait in the stream while the broker is away, want 10", depth)
		}
		synctest.Wait()
		if r.broker.calls < 12 || r.broker.calls > 60 {
			t.Errorf("the broker was asked %d times in a minute, want patience with a bound", r.broker.calls)
		}
		r.broker.set(nil)
		time.Sleep(streamRedelivery + 3*time.Second)
		synctest.Wait()
		if got := r.carried(); len(got) != 10 || r.depth(r.source) != 0 {
			t.Errorf("%d of 10 tickets carried, %d left", len(got), r.depth(r.source))
		}
	})
}

func TestABlipOfTheBrokerCostsNoRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRoad(t, 1)
		defer r.stop()
		r.broker.set(errBrokerDown)
		r.write(10)
		synctest.Wait() // one try is made
		r.broker.set(nil)
		time.Sleep(time.Second)
		if got := r.carried(); len(got) != 10 {
			t.Errorf("%d of 10 tickets carried a second after the broker came back", len(got))
		}
	})
}

func TestATicketWhoseAcknowledgementFailsIsCarriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRoad(t, 1)
		defer r.stop()
		r.stream.ack = errBrokerDown
		r.write(1)
		synctest.Wait()
		r.stream.mu.Lock()
		r.stream.ack = nil
		r.stream.mu.Unlock()
		time.Sleep(streamRedelivery + time.Second)
		synctest.Wait()
		if got := r.carried(); got[0] != 2 || r.depth(r.source) != 0 {
			t.Errorf("the ticket came %d times and %d are left, want 2 and 0", got[0], r.depth(r.source))
		}
	})
}

func TestARelayEndsAtOnceAndLeavesWhatIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRoad(t, 2)
		r.broker.set(errBrokerDown)
		r.write(10)
		time.Sleep(time.Second)
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %s to end", took)
		}
		if depth := r.depth(r.source); depth != 10 {
			t.Errorf("%d tickets left in the stream, want 10", depth)
		}
	})
}
