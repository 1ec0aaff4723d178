package checkout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

// Hear takes in decisions, of this node or another, once they are on disk: it
// makes their claims known and tells those who wait for them here.
func (d *Desk) Hear(decisions []ledger.Decision) {
	for i := range decisions {
		d.Known.Add(ledger.Print{Claim: decisions[i].Order.ID, KeyPrint: decisions[i].Ticket.KeyPrint})
	}
	d.progress.note(decisions)
	d.Decisions.Announce(decisions)
}

// HearPrints takes in what another node decided for buyers of its own, all of
// one sale. It reports whether somebody waits for one of them here all the
// same: CatchUp will read that one from the ledger.
func (d *Desk) HearPrints(sale string, prints []ledger.Print) (awaited bool) {
	heard := make([]int64, 0, len(prints))
	for i := range prints {
		d.Known.Add(prints[i])
		if d.Decisions.awaits(prints[i].Claim) {
			awaited = true
			continue // of this row all is not known
		}
		heard = append(heard, prints[i].Row)
	}
	d.progress.noteRows(sale, heard)
	return awaited
}

// CatchUp makes every claim of the sale known that was decided up to that row,
// and tells those who wait here: other nodes decide too, and their word may be
// lost. It is called before the board shows what is left at that row, so that
// whoever has an answer never hears "sold out" instead. What was heard of is
// not read.
func (d *Desk) CatchUp(ctx context.Context, sale string, newest int64) error {
	d.reading.Lock()
	defer d.reading.Unlock()
	known := d.progress.upTo(sale)
	if known >= newest {
		return nil
	}
	var awaited []ledger.Print
	for print, err := range d.Claims.Decided(ctx, sale, known) {
		if err != nil {
			return fmt.Errorf("read what was decided in %s: %w", sale, err)
		}
		d.Known.Add(print)
		if d.Decisions.awaits(print.Claim) {
			awaited = append(awaited, print)
		}
		d.progress.read(sale, print.Row)
	}
	return d.tell(ctx, awaited)
}

// tell brings decided orders to those who wait for them.
func (d *Desk) tell(ctx context.Context, prints []ledger.Print) error {
	for i := range prints {
		order, err := d.Claims.Order(ctx, prints[i].Claim)
		// Of a sale that is taken for lost no order is told; this look may be the
		// one that finds it again.
		if errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrBehind) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read a decided order: %w", err)
		}
		d.Decisions.Announce([]ledger.Decision{{Order: order, Nonce: prints[i].Nonce}})
	}
	return nil
}

// spansMax bounds what a sale's progress remembers: with as many gaps, nodes
// hear so little of each other that reading is due.
const spansMax = 64

// progress is which rows of the sales' claims a node knows.
type progress struct {
	mu    sync.Mutex
	sales map[string]*rows
}

// rows are those of one sale: all up to one, and some beyond it.
type rows struct {
	all    int64
	beyond []span // in order, with a gap before each
}

// span is the rows from first to last.
type span struct{ first, last int64 }

func (p *progress) upTo(sale string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of(sale).all
}

// of returns the sale's rows. The caller holds p.mu.
func (p *progress) of(sale string) *rows {
	known, ok := p.sales[sale]
	if !ok {
		if p.sales == nil {
			p.sales = map[string]*rows{}
		}
		known = &rows{}
		p.sales[sale] = known
	}
	return known
}

// read says that the ledger told every row up to this one.
func (p *progress) read(sale string, row int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(sale).add(span{0, row})
}

// note says that decisions were heard of.
func (p *progress) note(decisions []ledger.Decision) {
	var numbers []int64
	for i := range decisions {
		numbers = append(numbers, decisions[i].Row)
		if last := i+1 == len(decisions); last || decisions[i+1].Order.Sale != decisions[i].Order.Sale {
			p.noteRows(decisions[i].Order.Sale, numbers)
			numbers = numbers[:0]
		}
	}
}

// noteRows says the same of rows of one sale.
func (p *progress) noteRows(sale string, numbers []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.of(sale)
	for i := 0; i < len(numbers); {
		heard := span{numbers[i], numbers[i]}
		for i++; i < len(numbers) && numbers[i] == heard.last+1; i++ {
			heard.last++ // a batch is mostly one run
		}
		if heard.first > 0 { // of row 0 nobody knows where it is
			known.add(heard)
		}
	}
}

// add joins a span with what it touches. Too many of them, and the furthest
// are forgotten: they will be read.
func (r *rows) add(s span) {
	if s.first <= r.all+1 {
		r.all = max(r.all, s.last)
		for len(r.beyond) > 0 && r.beyond[0].first <= r.all+1 {
			r.all = max(r.all, r.beyond[0].last)
			r.beyond = r.beyond[1:]
		}
		return
	}
	var joined []span
	for _, other := range r.beyond {
		switch {
		case other.last+1 < s.first:
			joined = append(joined, other)
		case s.last+1 < other.first:
			joined = append(joined, s)
			s = other
		default:
			s = span{min(s.first, other.first), max(s.last, other.last)}
		}
	}
	joined = append(joined, s)
	r.beyond = joined[:min(len(joined), spansMax)]
}
