package node

import (
	"context"
	"time"

	"github.com/doorbuster/doorbuster/internal/gossip"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// wireGossip sets up what the nodes tell each other, where there are others.
func (n *Node) wireGossip() {
	if n.line == nil {
		return
	}
	n.warnings = append(n.warnings, func() []string { return n.strange.warnings(time.Now()) })
	self, suspicion := nonce(), n.gate.Suspicion
	suspicion.Join(self)
	n.gossip = &gossip.Gossip{
		Line: n.line, Self: self, Ours: n.waitsHere, Log: n.options.Log,
		Known: func(sale string, prints []ledger.Print) {
			if n.desk.HearPrints(sale, prints) {
				n.herald.Touch(sale)
			}
		},
		Decided: func(decisions []ledger.Decision) { n.desk.Hear(decisions) }, // hired later
		Moved:   func(sale string) { n.herald.Touch(sale) },
		Changed: func(sale string) { n.herald.Renew(sale) },
		Wanted:  n.wanted,
		Listed:  func() { n.lists.Renew() },
		Gap:     n.missed,
		Rumors:  suspicion.Rumors, Suspected: suspicion.Hear,
		Secrets: n.prints(), Secret: n.compare,
	}
}

// tend supplies a sale, where this node is the one that does.
func (n *Node) tend(ctx context.Context, sale string) error {
	if !n.supplies() {
		return nil
	}
	return n.supplier.Tend(ctx, sale)
}

// retire empties the stock of a sale that is over, where this node supplies.
// What it cannot reach now it tries again in the next round.
func (n *Node) retire(ctx context.Context, sale string) {
	if !n.supplies() {
		return
	}
	if err := n.supplier.Retire(ctx, sale); err != nil {
		n.options.Log.Debug("retire the stock of a closed sale", "sale", sale, "error", err)
	}
}

// catchUp makes known what other nodes decided.
func (n *Node) catchUp(ctx context.Context, sale string, newest int64) error {
	return n.desk.CatchUp(ctx, sale, newest)
}

// tell spreads the word of decisions, once they are on disk.
func (n *Node) tell(decisions []ledger.Decision) {
	for i := range decisions {
		if count, ok := n.decided[decisions[i].Order.Status]; ok {
			count.Add(1)
		}
	}
	n.desk.Hear(decisions)
	if n.gossip != nil {
		n.gossip.TellDecided(decisions)
	}
}

// settled asks for a look at the sales whose units moved.
func (n *Node) settled(decisions []ledger.Decision) {
	last := ""
	for i := range decisions {
		if sale := decisions[i].Order.Sale; sale != last { // a batch is mostly of one sale
			n.touch(sale)
			last = sale
		}
	}
}

// want passes a turned-away buyer's wish on to whoever supplies. The channel
// closes when the board has been looked over since he has.
func (n *Node) want(bucket shop.Bucket, sku string, quantity int64) <-chan struct{} {
	if n.supplies() {
		n.supplier.Want(bucket, sku, quantity)
		return n.herald.Touch(bucket.Sale)
	}
	looked := n.herald.Await()
	n.gossip.TellWanted(gossip.Want{Bucket: bucket, SKU: sku, Quantity: quantity})
	return looked
}

// wanted hears of a wish at another node.
func (n *Node) wanted(want gossip.Want) {
	if n.supplies() {
		n.supplier.Want(want.Bucket, want.SKU, want.Quantity)
		n.herald.Touch(want.Bucket.Sale)
	}
}

// served hears that demands of a sale were looked at.
func (n *Node) served(sale string) {
	if n.gossip != nil {
		n.gossip.TellMoved(sale)
	}
}

// moved hears of an order whose units moved between accounts.
func (n *Node) moved(order shop.Order) {
	n.desk.Standings.Forget(ledger.Holder{Sale: order.Sale, Buyer: order.Buyer})
	n.touch(order.Sale)
}

// giveBack cancels an order for its buyer, and waits until the board shows the
// units: whoever asks next must not hear "sold out".
func (n *Node) giveBack(ctx context.Context, cancellation ledger.Cancellation) (shop.Order, error) {
	order, err := n.cashier.Cancel(ctx, cancellation)
	if err == nil {
		await(n.herald.Touch(order.Sale))
	}
	return order, err
}

// released hears of sales to which units came back.
func (n *Node) released(sales []string) {
	for _, sale := range sales {
		n.touch(sale)
	}
}

// touch has a sale looked at, here and at the other nodes.
func (n *Node) touch(sale string) {
	n.herald.Touch(sale)
	if n.gossip != nil {
		n.gossip.TellMoved(sale)
	}
}

// missed hears that news may have been lost: every sale is looked at.
func (n *Node) missed() {
	n.lists.Renew()
	for _, notice := range n.board.Notices() {
		n.herald.Renew(notice.Sale.ID)
	}
}
