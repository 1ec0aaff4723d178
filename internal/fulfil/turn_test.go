package fulfil_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestWhatComesWhileABatchIsDecidedMakesOneBatch(t *testing.T) {
	h := open(t)
	begun, decide, sizes := make(chan struct{}, 10), make(chan struct{}), make(chan int, 10)
	h.faulty.fail(func(tickets []shop.Ticket) error {
		begun <- struct{}{}
		sizes <- len(tickets)
		<-decide
		return nil
	})
	h.run(h.worker, h.worker)
	h.take("first", "a")
	<-begun
	for n := range 5 {
		h.take(fmt.Sprintf("later-%d", n), "a")
	}
	close(decide)
	h.buyers(6)
	if first, second := <-sizes, <-sizes; first != 1 || second != 5 {
		t.Errorf("batches of %d and %d, want 1 and 5", first, second)
	}
}

func TestWhatComesDuringThePauseMakesOneBatch(t *testing.T) {
	h := open(t)
	sizes := make(chan int, 10)
	h.faulty.fail(func(tickets []shop.Ticket) error {
		sizes <- len(tickets)
		return nil
	})
	var gathered sync.Once
	h.worker.Pause = func() time.Duration {
		gathered.Do(func() {
			for n := range 5 {
				h.take(fmt.Sprintf("buyer-%d", n), "a")
			}
		})
		return time.Nanosecond
	}
	h.run(h.worker, h.worker)
	h.buyers(5)
	if size := <-sizes; size != 5 {
		t.Errorf("a batch of %d, want 5", size)
	}
}

func TestABatchThatTheLedgerDoesNotTakeKeepsNoOtherWaiting(t *testing.T) {
	h := open(t)
	again, end := make(chan struct{}), make(chan struct{})
	var tries int
	h.faulty.fail(func(tickets []shop.Ticket) error {
		if tickets[0].SKU != ghost {
			return nil
		}
		if tries++; tries == 2 {
			close(again)
			<-end
		}
		return errConstraint
	})
	h.run(h.worker, h.worker)
	defer close(end)
	h.take("choking", ghost)
	<-again
	h.take("somebody", "a")
	if got := h.buyers(1)["somebody"]; got != shop.AwaitingPayment {
		t.Errorf("the buyer behind it is %s", got)
	}
}
