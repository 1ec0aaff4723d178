package fulfil_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// journal is a log that a test reads while others write it.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) count(of string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), of)
}

func TestAPoisonedTicketEndsInARefusalAndAnAlarm(t *testing.T) {
	h := open(t)
	var log journal
	h.worker.Log = slog.New(slog.NewTextHandler(&log, nil))
	for i := range 20 {
		h.take(fmt.Sprintf("buyer %03d", i), "a")
		h.take(fmt.Sprintf("haunt %03d", i), ghost)
	}
	h.run(h.worker)
	for buyer, status := range h.buyers(40) {
		want := shop.AwaitingPayment
		if strings.HasPrefix(buyer, "haunt") {
			want = shop.Refused
		}
		if status != want {
			t.Errorf("%s is %s, want %s", buyer, status, want)
		}
	}
	h.until("all are settled", func() bool {
		shelf, err := h.stock.Shelf(t.Context(), bucket)
		return err == nil && shelf.Tickets == 0 && shelf.Free[ghost] == units && shelf.Free["a"] == units-20
	})
	h.until("the queue is empty", func() bool {
		depth, err := h.queue.Depth(t.Context())
		return err == nil && depth == 0
	})
	if got := h.worker.Poisoned(); got != 20 {
		t.Errorf("%d poisoned tickets are counted, want 20", got)
	}
	if got := log.count("level=ERROR"); got != 1 { // all of them waited when the worker began
		t.Errorf("%d alarms, want one for the batch", got)
	}
	if h.worker.Aside() != 0 || h.board.Suspended() != nil {
		t.Errorf("%d tickets are put aside, selling is suspended: %v", h.worker.Aside(), h.board.Suspended())
	}
	if broken, err := h.ledger.Check(t.Context()); err != nil || len(broken) > 0 {
		t.Errorf("check: %v, %v", broken, err)
	}
}
