package memory

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/queue/queuetest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestQueue(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Machine {
		now := time.Now()
		q := NewQueue(time.Hour, func() time.Time { return now })
		return queuetest.Machine{Queue: q, Publisher: q, Redeliver: func() { now = now.Add(time.Hour) }}
	})
}

// publish appends n tickets.
func publish(t *testing.T, q *Queue, n int) {
	t.Helper()
	must(t, q.Publish(t.Context(), make([]shop.Ticket, n)))
}

func receive(t *testing.T, q *Queue, limit int) []queue.Delivery {
	t.Helper()
	got, err := q.Receive(t.Context(), limit, nil)
	must(t, err)
	return got
}

func TestAWaitingReceiverGetsWhatAnotherDidNotAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(time.Minute, time.Now)
		begin := time.Now()
		came := make(chan time.Duration, 1)
		time.AfterFunc(10*time.Second, func() { // while nothing waits and nothing is out
			receive(t, q, 1)
			came <- time.Since(begin)
		})
		time.AfterFunc(20*time.Second, func() { publish(t, q, 1) })
		first := <-came
		receive(t, q, 1)
		if again := time.Since(begin); first != 20*time.Second || again != 80*time.Second {
			t.Errorf("delivered after %s and %s, want 20s and 1m20s", first, again)
		}
	})
}

func TestAReceiverThatWaitsFirstStillGetsTheRedeliveryInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(time.Minute, time.Now)
		begin := time.Now()
		came := make(chan time.Duration, 2)
		for range 2 { // both wait before there is anything; neither acknowledges
			go func() {
				receive(t, q, 1)
				came <- time.Since(begin)
			}()
		}
		synctest.Wait()
		time.AfterFunc(30*time.Second, func() { publish(t, q, 1) })
		if first, again := <-came, <-came; first != 30*time.Second || again != 90*time.Second {
			t.Errorf("delivered after %s and %s, want 30s and 1m30s", first, again)
		}
	})
}

func TestEveryWaitingReceiverIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(time.Hour, time.Now)
		begin := time.Now()
		came := make(chan struct{})
		for range 3 {
			go func() {
				receive(t, q, 1)
				came <- struct{}{}
			}()
		}
		synctest.Wait()
		publish(t, q, 3) // one call for three
		for range 3 {
			<-came
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("tickets lay for %s while somebody waited", waited)
		}
	})
}

func TestACallIsNotLostWithTheReceiverWhoHeardIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(time.Hour, time.Now)
		begin := time.Now()
		for range 100 { // who hears the call, and ends, is chance
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				_, err := q.Receive(ctx, 1, nil)
				ended <- err
			}()
			came := make(chan struct{})
			synctest.Wait()
			go func() {
				receive(t, q, 1)
				close(came)
			}()
			synctest.Wait()
			publish(t, q, 1)
			end()
			if err := <-ended; err == nil {
				publish(t, q, 1) // it was quicker than its end
			}
			<-came
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("tickets lay for %s while somebody waited", waited)
		}
	})
}

func TestAFullQueueTakesWhatFitsAndSaysSo(t *testing.T) {
	q := NewQueue(time.Hour, time.Now)
	q.depthMax = 5
	publish(t, q, 3)
	got := receive(t, q, 2) // unacknowledged ones take room, too
	if err := q.Publish(t.Context(), make([]shop.Ticket, 3)); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v, want %v", err, ErrFull)
	}
	if err := q.Publish(t.Context(), make([]shop.Ticket, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v, want %v", err, ErrFull)
	}
	if depth, _ := q.Depth(t.Context()); depth != 5 {
		t.Errorf("depth is %d, want 5", depth)
	}
	must(t, q.Ack(t.Context(), got))
	publish(t, q, 2)
}
