package checkout

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// placesMax bounds one generation of remembered places, about 4 MB. A ticket
	// whose place was forgotten is looked for.
	placesMax = 1 << 15
	// asksMax is how many sales a node asks in a second for tickets whose place it
	// does not know: whoever makes up ids must not keep Redis from selling. Each is
	// two short reads there.
	asksMax = 10_000
)

// undecided returns the buyer's order as its ticket tells it. An order's id does
// not tell its sale, but the token may, or this node has seen the ticket before:
// then one bucket is asked. Else any sale may have it: another node wrote it, or
// this one before it started anew. An error says that nobody knows: it is not a
// no.
func (d *Desk) undecided(ctx context.Context, who gate.Identity, id shop.ClaimID) (shop.Order, bool, error) {
	sale := who.Sale
	if sale == "" {
		sale = d.places.of(id)
	}
	var ticket *shop.Ticket
	var err error
	if sale == "" {
		ticket, err = d.search(ctx, who.Buyer, id)
	} else if _, ok := d.Board.Notice(sale); ok {
		ticket, err = d.ticket(ctx, d.bucket(sale, who.Buyer), id)
	}
	if ticket == nil || ticket.Buyer != who.Buyer {
		return shop.Order{}, false, err
	}
	d.places.note(id, ticket.Bucket.Sale)
	return d.pending(ticket), true, nil
}

// search asks all sales at once: one that does not answer costs its time-out
// once, and hides no ticket of another one.
func (d *Desk) search(ctx context.Context, buyer string, id shop.ClaimID) (*shop.Ticket, error) {
	var buckets []shop.Bucket
	for _, notice := range d.Board.Notices() {
		if !notice.Over { // else nobody has a ticket there
			buckets = append(buckets, d.bucket(notice.Sale.ID, buyer))
		}
	}
	if !d.places.afford(len(buckets), d.Now()) {
		return nil, shop.Refusal{Code: shop.Unavailable, RetryAfter: askAgain, Detail: "This cannot be answered at the moment; ask again."}
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	tickets, faults := make([]*shop.Ticket, len(buckets)), make([]error, len(buckets))
	var all sync.WaitGroup
	for i, bucket := range buckets {
		all.Go(func() {
			if tickets[i], faults[i] = d.ticket(ctx, bucket, id); tickets[i] != nil {
				enough()
			}
		})
	}
	all.Wait()
	for _, ticket := range tickets {
		if ticket != nil {
			return ticket, nil
		}
	}
	return nil, firstOf(faults)
}

// firstOf stands for all faults: of hundreds of sales most are the same.
func firstOf(faults []error) (first error) {
	count := 0
	for _, fault := range faults {
		if fault == nil {
			continue
		}
		if count++; first == nil {
			first = fault
		}
	}
	if count > 1 {
		return fmt.Errorf("%d of %d sales do not answer; the first: %w", count, len(faults), first)
	}
	return first
}

// ticket returns the claim's ticket, nil where the bucket has none.
func (d *Desk) ticket(ctx context.Context, bucket shop.Bucket, id shop.ClaimID) (*shop.Ticket, error) {
	ticket, found, err := d.Stock.Ticket(ctx, bucket, id)
	if err != nil {
		return nil, fmt.Errorf("look for ticket %s: %w", id, err)
	}
	if !found {
		return nil, nil
	}
	return &ticket, nil
}

// places is where tickets are, as far as a node has seen. It is bounded by
// placesMax.
type places struct {
	mu         sync.Mutex
	young, old map[shop.ClaimID]string // the claim's sale, which never changes
	second     int64                   // in which so many sales were asked
	asks       int
}

// note remembers in which sale a claim has its ticket.
func (p *places) note(claim shop.ClaimID, sale string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.young) >= placesMax || p.young == nil {
		p.young, p.old = map[shop.ClaimID]string{}, p.young
	}
	p.young[claim] = sale
}

// of returns the claim's sale, empty where it is not known.
func (p *places) of(claim shop.ClaimID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sale, ok := p.young[claim]; ok {
		return sale
	}
	return p.old[claim]
}

// afford reports whether so many sales may be asked now. One search a second is
// always granted, or a shop of many sales would have none.
func (p *places) afford(asks int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if second := now.Unix(); second != p.second {
		p.second, p.asks = second, 0
	}
	if p.asks > 0 && p.asks+asks > asksMax {
		return false
	}
	p.asks += asks
	return true
}
