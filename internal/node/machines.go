package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gossip"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// books is a ledger, whichever machine keeps it.
type books interface {
	ledger.Claims
	ledger.Orders
	ledger.Holds
	ledger.Supply
	ledger.Sales
	ledger.Books
	ledger.Lists
	// Clock is the ledger's own.
	Clock() *ledger.Clock
	// Fatal yields an error when the process must end at once.
	Fatal() <-chan error
	Close() error
}

// counter is a fast stock, whichever machine keeps it.
type counter interface {
	stock.Counter
	stock.Supply
}

// office is what one node at a time does, for economy.
type office interface {
	Run(ctx context.Context) error
	Held() bool
}

// machines are what serves the stations of this node.
type machines struct {
	ledger books
	stock  counter
	queue  queue.Queue          // what the workers read: the stock's own, or a broker behind it
	pause  func() time.Duration // between the workers' batches; nil: none
	line   gossip.Line          // nil: this node stands alone
	meter  gate.Meter           // nil: each node counts for itself

	supplyOffice office // nil: this node supplies, sweeps and audits
	expiryOffice office // nil: this node ends holds

	engines  map[string]walker // what the machines need to run
	warnings []func() []string // what an operator should know of them
	poisoned []func() int64    // how many messages they could not read
	closers  []func() error    // in the order to call them
}

// openMachines opens what serves the stations.
func (n *Node) openMachines(ctx context.Context) error {
	n.engines = map[string]walker{}
	n.warnings = append(n.warnings, n.played)
	if n.options.Config.Embedded() {
		return n.openEmbedded(ctx)
	}
	return n.openDistributed(ctx)
}

// openEmbedded keeps everything in this process and its folder.
func (n *Node) openEmbedded(ctx context.Context) error {
	books, err := sqlite.Open(ctx, sqlite.Options{
		Dir: n.options.Config.Data, Now: time.Now, Buckets: 1, Log: n.options.Log, // one slot in memory
	})
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	n.ledger = books
	n.closers = append(n.closers, books.Close)
	n.openMemory()
	return nil
}

// openMemory keeps stock and queue in this process.
func (n *Node) openMemory() {
	tickets := memory.NewQueue(redeliver, time.Now)
	n.queue = tickets
	n.stock = memory.NewStock(time.Now, tickets)
}

// closeMachines gives back what openMachines took.
func (m *machines) closeMachines() error {
	var faults []error
	for _, end := range m.closers {
		faults = append(faults, end())
	}
	m.closers = nil
	return errors.Join(faults...)
}

// supplies reports whether this node is the one that supplies, sweeps and
// audits.
func (m *machines) supplies() bool { return m.supplyOffice == nil || m.supplyOffice.Held() }

// releases reports whether this node is the one that ends holds.
func (m *machines) releases() bool { return m.expiryOffice == nil || m.expiryOffice.Held() }

// warns lists what an operator should know of the machines.
func (m *machines) warns() []string {
	var all []string
	for _, warnings := range m.warnings {
		all = append(all, warnings()...)
	}
	return all
}
