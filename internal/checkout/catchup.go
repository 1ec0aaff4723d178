package checkout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// progress is how far a node has read what others decided.
type progress struct {
	mu   sync.Mutex       // one reader of the ledger at a time
	rows map[string]int64 // by sale: the row up to which its claims were read
}

// CatchUp makes every claim of the sale known that was decided up to that row,
// and tells those who wait here: other nodes decide too, and their word may be
// lost. It is called before the board shows what is left at that row, so that
// whoever has an answer never hears "sold out" instead.
func (d *Desk) CatchUp(ctx context.Context, sale string, newest int64) error {
	p := &d.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rows[sale] >= newest {
		return nil
	}
	if p.rows == nil {
		p.rows = map[string]int64{}
	}
	var awaited []shop.ClaimID
	for print, err := range d.Claims.Decided(ctx, sale, p.rows[sale]) {
		if err != nil {
			return fmt.Errorf("read what was decided in %s: %w", sale, err)
		}
		d.Known.Add(print)
		p.rows[sale] = print.Row
		if d.Decisions.awaits(print.Claim) {
			awaited = append(awaited, print.Claim)
		}
	}
	return d.tell(ctx, awaited)
}

// tell brings decided orders to those who wait for them.
func (d *Desk) tell(ctx context.Context, claims []shop.ClaimID) error {
	for _, claim := range claims {
		order, err := d.Claims.Order(ctx, claim)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read a decided order: %w", err)
		}
		d.Decisions.Announce([]ledger.Decision{{Order: order}})
	}
	return nil
}
