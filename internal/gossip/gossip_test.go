package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ears is a node that only listens.
type ears struct {
	*Gossip
	mu        sync.Mutex
	decisions []ledger.Decision
	prints    map[string][]ledger.Print
	moved     []string
	changed   []string
	wants     []Want
	listed    int
	rumors    []gate.Rumor
	secrets   []Secret
	gaps      atomic.Int64
	news      chan struct{}
}

func listen(t *testing.T, line Line, self uint64) *ears {
	t.Helper()
	e := &ears{prints: map[string][]ledger.Print{}, news: make(chan struct{}, 1<<16)}
	note := func(change func()) {
		e.mu.Lock()
		change()
		e.mu.Unlock()
		e.news <- struct{}{}
	}
	e.Gossip = &Gossip{
		Line: line, Self: self, Log: slog.New(slog.DiscardHandler),
		Decided: func(d []ledger.Decision) { note(func() { e.decisions = append(e.decisions, d...) }) },
		Known: func(sale string, prints []ledger.Print) {
			note(func() { e.prints[sale] = append(e.prints[sale], prints...) })
		},
		Moved:   func(sale string) { note(func() { e.moved = append(e.moved, sale) }) },
		Changed: func(sale string) { note(func() { e.changed = append(e.changed, sale) }) },
		Wanted:  func(w Want) { note(func() { e.wants = append(e.wants, w) }) },
		Listed:  func() { note(func() { e.listed++ }) },
		Gap:     func() { note(func() { e.gaps.Add(1) }) },

		Secret:    func(s Secret) { note(func() { e.secrets = append(e.secrets, s) }) },
		Suspected: func(r gate.Rumor) { note(func() { e.rumors = append(e.rumors, r) }) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	var walker sync.WaitGroup
	walker.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() { cancel(); walker.Wait() })
	e.until(t, "it listens", func() bool { return e.gaps.Load() > 0 })
	return e
}

func (e *ears) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		e.mu.Lock()
		ok := done()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-e.news:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func decision(n int) ledger.Decision {
	d := ledger.Decision{Order: shop.Order{
		ID: shop.ClaimID{byte(n), byte(n >> 8), byte(n >> 16)}, Sale: "retro-85", Buyer: fmt.Sprint("buyer-", n), SKU: "eu-42", Quantity: 2,
		Status: shop.AwaitingPayment, Amount: 25800, Currency: "EUR", AsOf: int64(n),
		CreatedAt: time.UnixMilli(1_790_000_000_123).UTC(), PayBy: time.UnixMilli(1_790_000_600_123).UTC(),
	}}
	d.Ticket.Claim, d.Ticket.KeyPrint, d.Row = d.Order.ID, uint64(n)<<40, int64(n)+7
	return d
}

func TestNewsReachesEveryOtherNode(t *testing.T) {
	line := &memory.Line{}
	a, b, c := listen(t, line, 1), listen(t, line, 2), listen(t, line, 3)
	refused := decision(2)
	refused.Nonce = 1 << 63
	refused.Order.Status, refused.Order.Reason, refused.Order.PayBy = shop.Refused, shop.Missed, time.Time{}
	said := []ledger.Decision{decision(1), refused}
	want := Want{Bucket: shop.Bucket{Sale: "retro-85", Number: 3}, SKU: "eu-42", Quantity: 2}
	a.TellDecided(said)
	a.TellMoved("retro-85")
	a.TellChanged("ticket-26")
	a.TellWanted(want)
	a.TellListed()
	for _, other := range []*ears{b, c} {
		other.until(t, "all is heard", func() bool {
			return len(other.decisions) == 2 && len(other.moved) == 1 && len(other.changed) == 1 && len(other.wants) == 1 && other.listed == 1
		})
		if diff := cmp.Diff(said, other.decisions); diff != "" {
			t.Errorf("decisions (-said +heard)\n%s", diff)
		}
		if other.moved[0] != "retro-85" || other.changed[0] != "ticket-26" || other.wants[0] != want {
			t.Errorf("heard %v and %v", other.moved, other.wants)
		}
	}
	if len(a.decisions)+len(a.moved)+len(a.wants)+a.listed > 0 {
		t.Error("a node hears itself")
	}
}

// Nobody else waits for what a node decides for its own buyers.
func TestOfANodesOwnBuyersTheOthersHearOnlyWhatTheyNeed(t *testing.T) {
	line := &memory.Line{}
	a, b := listen(t, line, 1), listen(t, line, 2)
	a.Ours = func(nonce uint64) bool { return nonce == 9 }
	said := []ledger.Decision{decision(1), decision(2), decision(3), decision(4)}
	for i := range said {
		if i != 1 {
			said[i].Ticket.Nonce = 9
		}
	}
	said[3].Order.Sale = "other"
	a.TellDecided(said)
	b.until(t, "all is heard", func() bool {
		return len(b.decisions) == 1 && len(b.prints["retro-85"]) == 2 && len(b.prints["other"]) == 1
	})
	of := func(d *ledger.Decision) ledger.Print {
		return ledger.Print{Claim: d.Order.ID, KeyPrint: d.Ticket.KeyPrint, Row: d.Row}
	}
	want := map[string][]ledger.Print{"retro-85": {of(&said[0]), of(&said[2])}, "other": {of(&said[3])}}
	if diff := cmp.Diff(want, b.prints); diff != "" {
		t.Errorf("prints (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(said[1:2], b.decisions); diff != "" {
		t.Errorf("decisions (-want +got)\n%s", diff)
	}
}

func TestMuchNewsGoesInSeveralMessages(t *testing.T) {
	line := &memory.Line{}
	a, b := listen(t, line, 1), listen(t, line, 2)
	const many = 20_000 // some 2 MB
	all := make([]ledger.Decision, many)
	for i := range all {
		all[i] = decision(i)
	}
	a.TellDecided(all)
	b.until(t, "all is heard", func() bool { return len(b.decisions) == many })
	if diff := cmp.Diff(all, b.decisions); diff != "" {
		t.Errorf("(-said +heard)\n%s", diff)
	}
}

// deaf is a line that takes nothing.
type deaf struct{ tried chan struct{} }

func (d deaf) Send(context.Context, []byte) error {
	d.tried <- struct{}{}
	return errors.New("nobody there")
}

func (deaf) Hear(ctx context.Context, _ func([]byte), gap func()) error {
	gap()
	<-ctx.Done()
	return nil
}

func TestNewsThatCannotBeSentIsDroppedNotKept(t *testing.T) {
	d := deaf{tried: make(chan struct{}, 64)}
	a := listen(t, d, 1)
	a.TellMoved("retro-85")
	<-d.tried
	a.TellMoved("retro-85") // it goes on
	<-d.tried

	idle := &Gossip{} // nobody sends: the pile must not grow for ever
	for range 2*pileMax/messageMax + 2 {
		idle.TellDecided(make([]ledger.Decision, messageMax/40))
	}
	if idle.Dropped() == 0 || len(idle.pile) > 2*pileMax {
		t.Errorf("%d dropped, %d bytes wait", idle.Dropped(), len(idle.pile))
	}
}

func FuzzHear(f *testing.F) {
	sample := &Gossip{Self: 7, Ours: func(nonce uint64) bool { return nonce == 9 }}
	own := decision(3)
	own.Ticket.Nonce = 9
	sample.TellDecided([]ledger.Decision{own})
	sample.TellDecided([]ledger.Decision{decision(1), decision(2)})
	sample.TellMoved("retro-85")
	sample.TellChanged("retro-85")
	sample.TellListed()
	sample.TellWanted(Want{Bucket: shop.Bucket{Sale: "s", Number: 1}, SKU: "x", Quantity: 1})
	sample.Rumors = func() []gate.Rumor { return []gate.Rumor{rumor(1), {}} }
	f.Add(sample.next())
	f.Add(sample.rumors())
	f.Add([]byte{})
	f.Add([]byte{layout, 0, 0, 0, 0, 0, 0, 0, 1, itemMoved, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(_ *testing.T, message []byte) {
		g := &Gossip{Self: 1, Decided: func([]ledger.Decision) {}, Known: func(string, []ledger.Print) {}, Moved: func(string) {}, Changed: func(string) {}, Wanted: func(Want) {}, Listed: func() {}, Suspected: func(gate.Rumor) {}}
		g.hear(message)
	})
}
