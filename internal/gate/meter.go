package gate

import (
	"context"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Meter counts the orders of each buyer by one rate, here or for several nodes
// together. It may forget a buyer, which favours him; it never holds one buyer's
// orders against another.
type Meter interface {
	// Take takes one order of the buyer and returns 0, or takes none and returns
	// after what time the next one will pass. now is in Unix nanoseconds; the
	// clocks of two callers may differ a little. An error says that nothing is
	// known; the order may have been taken.
	Take(ctx context.Context, buyer string, now int64) (wait time.Duration, err error)
}

// AdmitShared lets an order pass that every node counts, or returns the refusal.
// It asks another machine: only orders that go to the desk come here. Where that
// machine does not answer, the node's own limit has decided already.
func (g *Gate) AdmitShared(ctx context.Context, buyer string, now int64) error {
	if g.Shared == nil || g.Lists.buyer(buyer) == shop.Allow {
		return nil
	}
	wait, err := g.Shared.Take(ctx, buyer, now)
	if err != nil || wait == 0 {
		return nil //nolint:nilerr // see above
	}
	g.Counts.add(SharedLimit)
	return g.Buyers.refusal(wait)
}
