// Package gossip is what the nodes of one shop tell each other: what was
// decided, which sales moved, which units are wanted, who is suspect. All of it is
// a hint, and may be lost, late or doubled: each node looks at the ledger by
// itself, too, and what is said of suspects is said again.
package gossip

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/outage"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// messageMax bounds a message: longer news goes in several.
	messageMax = 256 << 10
	// pileMax bounds what waits to be sent, some ten thousand decisions. What
	// does not fit is dropped: the others find it in the ledger.
	pileMax = 4 << 20
	// sendMax is how long one message may take; later news waits that long.
	sendMax = 2 * time.Second
	// rumorsEvery is how often the others are told of suspects, however many
	// orders there are.
	rumorsEvery = time.Second
	// secretsEvery is how often they are told the prints of the secrets.
	secretsEvery = 5 * time.Second
)

// Line carries messages to every node that hears, the sender among them. A
// message is heard once, twice or not at all, in any order.
type Line interface {
	// Send puts a message on the line. An error means that some, all or none
	// hear it.
	Send(ctx context.Context, message []byte) error

	// Hear calls hear with every message until ctx ends, and gap whenever some
	// may have been missed, also at the beginning. It comes back by itself after
	// a failure. message is hear's only until it returns.
	Hear(ctx context.Context, hear func(message []byte), gap func()) error
}

// Want is a demand of units that a bucket could not meet.
type Want struct {
	Bucket   shop.Bucket
	SKU      string
	Quantity int64
}

// Secret is the print of a secret that all nodes share, as one of them has it.
type Secret struct {
	Name  string
	Print uint64 // keyed, so that whoever hears it learns nothing of the secret
}

// Gossip tells the other nodes what happened here and hears what happened
// there. Its fields are set once.
type Gossip struct {
	Line Line
	Self uint64 // tells this node's messages from the others'

	// Ours reports whether the buyer of a ticket with that nonce waits at this
	// node: the others then hear only that it was decided. nil: that is known
	// of nobody.
	Ours func(nonce uint64) bool

	Decided func([]ledger.Decision) // of another node; only Order, Row, Nonce and Ticket.KeyPrint are known
	// Known hears what another node decided for buyers of its own.
	Known   func(sale string, prints []ledger.Print)
	Moved   func(sale string) // units of a sale moved
	Changed func(sale string) // its document or its phase changed
	Wanted  func(Want)
	Listed  func() // the block or the allow list changed
	Gap     func() // anything may have happened
	Log     *slog.Logger

	Rumors    func() []gate.Rumor // what to say of suspects now; nil: nothing, ever
	Suspected func(gate.Rumor)    // at another node

	Secrets []Secret     // of which all nodes need the same
	Secret  func(Secret) // as another node has it

	once    sync.Once
	mu      sync.Mutex
	pile    []byte        // items that wait to be sent
	cuts    []int         // where the items in pile end
	hint    chan struct{} // something waits
	dropped atomic.Int64
}

func (g *Gossip) init() { g.once.Do(func() { g.hint = make(chan struct{}, 1) }) }

// TellDecided passes decisions on, once they are on disk.
func (g *Gossip) TellDecided(decisions []ledger.Decision) {
	g.tell(func(to []byte, cut func(end int)) []byte {
		for i := range decisions {
			if g.Ours != nil && g.Ours(decisions[i].Ticket.Nonce) {
				to = appendPrint(to, &decisions[i])
			} else {
				to = appendDecision(to, &decisions[i])
			}
			cut(len(to))
		}
		return to
	})
}

// TellMoved says that units of a sale moved.
func (g *Gossip) TellMoved(sale string) { g.tellSale(itemMoved, sale) }

// TellChanged says that a sale's document or phase changed.
func (g *Gossip) TellChanged(sale string) { g.tellSale(itemChanged, sale) }

// TellListed says that the block or the allow list changed.
func (g *Gossip) TellListed() {
	g.tell(func(to []byte, cut func(end int)) []byte {
		to = append(to, itemListed)
		cut(len(to))
		return to
	})
}

func (g *Gossip) tellSale(item byte, sale string) {
	g.tell(func(to []byte, cut func(end int)) []byte {
		to = appendText(append(to, item), sale)
		cut(len(to))
		return to
	})
}

// TellWanted passes a demand on to whoever supplies.
func (g *Gossip) TellWanted(want Want) {
	g.tell(func(to []byte, cut func(end int)) []byte {
		to = appendWant(to, &want)
		cut(len(to))
		return to
	})
}

// tell lets add append items to the pile. It never waits.
func (g *Gossip) tell(add func(to []byte, cut func(end int)) []byte) {
	g.init()
	g.mu.Lock()
	if len(g.pile) < pileMax {
		g.pile = add(g.pile, func(end int) { g.cuts = append(g.cuts, end) })
	} else {
		g.dropped.Add(1)
	}
	g.mu.Unlock()
	g.wake()
}

func (g *Gossip) wake() {
	select {
	case g.hint <- struct{}{}:
	default: // a hint is waiting already
	}
}

// Dropped returns how often news was not sent because too much waited.
func (g *Gossip) Dropped() int64 { return g.dropped.Load() }

// Run sends and hears until ctx ends.
func (g *Gossip) Run(ctx context.Context) error {
	g.init()
	var ears sync.WaitGroup
	ears.Go(func() {
		if err := g.Line.Hear(ctx, g.hear, g.Gap); err != nil && ctx.Err() == nil {
			g.Log.Error("hear the other nodes", "error", err)
		}
	})
	defer ears.Wait()
	ticker := time.NewTicker(rumorsEvery)
	defer ticker.Stop()
	check := time.NewTicker(secretsEvery)
	defer check.Stop()
	var sends outage.Watch
	for {
		var message []byte
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			message = g.rumors()
		case <-check.C:
			message = g.secrets()
		case <-g.hint:
			if message = g.next(); message != nil {
				g.wake() // more may wait; rumors have their turn all the same
			}
		}
		if message == nil {
			continue
		}
		err := g.send(ctx, message)
		if ctx.Err() != nil {
			return nil
		}
		switch began, ended := sends.Note(err); {
		case began:
			g.Log.Warn("the other nodes cannot be told; they look at the ledger until they can", "error", err)
		case ended:
			g.Log.Info("the other nodes can be told again")
		}
	}
}

func (g *Gossip) send(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendMax)
	defer cancel()
	return g.Line.Send(ctx, message)
}

// next takes a message's worth of items off the pile; nil: nothing waits.
func (g *Gossip) next() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.cuts) == 0 {
		return nil
	}
	count := 1
	for count < len(g.cuts) && g.cuts[count] <= messageMax {
		count++
	}
	end := g.cuts[count-1]
	message := append(g.head(), g.pile[:end]...)
	g.pile = append(g.pile[:0], g.pile[end:]...)
	g.cuts = append(g.cuts[:0], g.cuts[count:]...)
	for i := range g.cuts {
		g.cuts[i] -= end
	}
	return message
}

// rumors is a message of what is to be said of suspects, and of nothing else:
// nodes that know no rumors lose nothing by it. nil: there is nothing to say.
func (g *Gossip) rumors() []byte {
	if g.Rumors == nil {
		return nil
	}
	var message []byte
	for _, rumor := range g.Rumors() {
		if message == nil {
			message = g.head()
		}
		message = appendRumor(message, &rumor)
	}
	return message
}

// secrets is a message of the secrets' prints, and of nothing else. nil: there
// are none.
func (g *Gossip) secrets() []byte {
	if len(g.Secrets) == 0 {
		return nil
	}
	message := g.head()
	for _, secret := range g.Secrets {
		message = appendSecret(message, secret)
	}
	return message
}

func (g *Gossip) head() []byte { return binary.BigEndian.AppendUint64([]byte{layout}, g.Self) }

// hear takes in another node's message. One that cannot be read is of another
// version: its node's word is found in the ledger, or is of suspects alone.
func (g *Gossip) hear(message []byte) {
	r := reader{rest: message}
	if r.byte() != layout || r.uint64() == g.Self {
		return
	}
	var heard news
	for len(r.rest) > 0 && !r.bad {
		switch item := r.byte(); item {
		case itemDecision:
			heard.decision(&r)
		case itemPrint:
			heard.print(&r, g.Known)
		default:
			g.take(item, &r)
		}
	}
	heard.tell(g.Known)
	if len(heard.decisions) > 0 {
		g.Decided(heard.decisions)
	}
}

// news gathers what a message says of decisions, so that it is passed on at
// once.
type news struct {
	decisions []ledger.Decision
	sale      string // of prints
	prints    []ledger.Print
}

func (n *news) decision(r *reader) {
	before := &ledger.Decision{}
	if len(n.decisions) > 0 {
		before = &n.decisions[len(n.decisions)-1]
	}
	if d := r.decision(before); !r.bad {
		n.decisions = append(n.decisions, d)
	}
}

func (n *news) print(r *reader, known func(string, []ledger.Print)) {
	sale, print := r.print(n.sale)
	if r.bad {
		return
	}
	if sale != n.sale {
		n.tell(known)
		n.sale = sale
	}
	n.prints = append(n.prints, print)
}

// tell passes on the prints of one sale.
func (n *news) tell(known func(string, []ledger.Print)) {
	if len(n.prints) > 0 {
		known(n.sale, n.prints)
		n.prints = n.prints[:0]
	}
}

// take takes in an item that is no decision.
func (g *Gossip) take(item byte, r *reader) {
	switch item {
	case itemMoved, itemChanged:
		sale, hear := r.text(), g.Moved
		if item == itemChanged {
			hear = g.Changed
		}
		if !r.bad {
			hear(sale)
		}
	case itemWant:
		if want := r.want(); !r.bad {
			g.Wanted(want)
		}
	case itemListed:
		g.Listed()
	case itemRumor:
		if rumor := r.rumor(); !r.bad {
			g.Suspected(rumor)
		}
	case itemSecret:
		secret := Secret{Name: r.text(), Print: r.uint64()}
		if !r.bad {
			g.Secret(secret)
		}
	default:
		r.bad = true
	}
}
