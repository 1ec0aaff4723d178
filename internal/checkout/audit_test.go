package checkout_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/supply"
)

// An auditor that cries wolf halts a sale for nothing. Units are taken, paid,
// given back, withdrawn and added while it looks.
func TestTheAuditorFindsNothingWhileACrowdBuys(t *testing.T) {
	const units, buyers = 80, 120
	for _, buckets := range []int{1, 4} {
		r := openBuckets(t, document(units), buckets)
		auditor := &audit.Auditor{
			Books: r.ledger, Supply: r.ledger, Stock: r.stock, Tickets: r.stock, Board: r.board, Now: time.Now,
			Halt: func(string, string) {}, Log: slog.New(slog.DiscardHandler),
		}
		var done atomic.Bool
		var watch sync.WaitGroup
		watch.Go(func() { r.audited(auditor, &done) })
		watch.Go(func() { r.restocked(units, &done) })
		var crowd sync.WaitGroup
		for i := range buyers {
			crowd.Go(func() { r.visitor(i) })
		}
		crowd.Wait()
		done.Store(true)
		watch.Wait()
		<-r.herald.Touch(sale)
		done.Store(true)
		r.audited(auditor, &done)
	}
}

// audited audits until it is done, and once more.
func (r *road) audited(auditor *audit.Auditor, done *atomic.Bool) {
	for last := false; !last; {
		last = done.Load()
		results, err := auditor.Sale(context.Background(), sale)
		if err != nil {
			r.t.Error(err)
			return
		}
		for _, result := range results {
			if result.State != audit.Holds {
				r.t.Errorf("%s is %s: %s", result.ID, result.State, result.Detail)
			}
		}
	}
}

// restocked raises and lowers the stock, so that units are reclaimed.
func (r *road) restocked(units int64, done *atomic.Bool) {
	supplier := &supply.Supplier{Ledger: r.ledger, Sales: r.ledger, Stock: r.stock, Log: slog.New(slog.DiscardHandler)}
	for i := int64(1); !done.Load(); i++ {
		doc := document(units + 10*(i%3))
		doc.Title = fmt.Sprint("Retro ", i)
		_, _ = supplier.Publish(context.Background(), doc) // too many may be held at this moment
		<-r.herald.Renew(sale)
	}
}

// visitor buys twice, and pays, gives back or leaves it.
func (r *road) visitor(i int) {
	buyer := fmt.Sprint("buyer", i)
	for try := range 3 {
		order, no := r.insist(buyer, 1)
		if no != "" {
			return
		}
		var err error
		switch (i + try) % 3 {
		case 0:
			_, err = r.desk.Cancel(context.Background(), gate.Identity{Buyer: buyer}, order.ID)
		case 1:
			_, err = r.ledger.Pay(context.Background(), ledger.Payment{Order: order.ID, Reference: fmt.Sprint(i, try)})
		}
		if err != nil {
			r.t.Error(err)
		}
	}
}
