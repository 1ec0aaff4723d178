package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/expiry"
	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/sandbox"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/supply"
)

const (
	callbackPath = "/payments/sandbox"
	pagesPath    = "/sandbox/"
	outMax       = 10 * time.Second // for one call to somebody else's server
	watched      = 20               // sales that one of several nodes looks at each second, to hear soon of a Redis that is gone
)

// wireRoad sets up the walkers over the machines.
func (n *Node) wireRoad() error {
	if err := n.openSandbox(); err != nil {
		return err
	}
	log := n.options.Log
	n.mark = nonce() >> (64 - markBits)
	n.wireGossip()
	n.doubted = &ledger.Doubted{Claims: n.ledger, Orders: n.ledger, Holds: n.ledger, Lost: n.board.Lost}
	n.supplier = &supply.Supplier{Ledger: n.ledger, Sales: n.ledger, Stock: n.stock, Served: n.served, Log: log}
	n.herald = &herald.Herald{
		Sales: n.ledger, Supply: n.ledger, Stock: n.stock, Board: n.board, Clock: n.ledger.Clock(),
		Tend: n.tend, Retire: n.retire, Told: true, Log: log,
	}
	n.lists = &herald.Lists{
		Ledger: n.ledger, Gate: &n.gate.Lists, Files: listFiles(n.options.Config), Now: n.ledger.Clock().Now, Wall: time.Now, Log: log,
	}
	if n.gossip != nil {
		n.herald.CatchUp, n.herald.Watch, n.herald.Flipped = n.catchUp, watched, n.gossip.TellChanged
	}
	n.worker = &fulfil.Worker{
		Queue: n.queue, Ledger: n.ledger, Stock: n.stock, Board: n.board, Decided: n.tell, Settled: n.settled, Pause: n.pause, Log: log,
	}
	n.sweeper = &fulfil.Sweeper{Worker: n.worker, Stock: n.stock, Buckets: n.buckets, Over: n.pastBuckets, Now: time.Now, Leads: n.supplies, Log: log}
	n.auditor = &audit.Auditor{
		Books: n.ledger, Supply: n.ledger, Stock: n.stock, Tickets: n.stock, Board: n.board,
		Now: time.Now, Halt: n.herald.Halt, Leads: n.supplies, Log: log,
	}
	n.wirePayments()
	n.wireDesk()
	return nil
}

func (n *Node) wireDesk() {
	n.desk = &checkout.Desk{
		Hasher: n.hasher, Board: n.board, Known: &checkout.Known{}, Stock: n.stock, Claims: n.doubted,
		Decisions: checkout.NewDecisions(), Standings: checkout.NewStandings(n.doubted, time.Now),
		Nonce: n.ticketNonce, Now: time.Now, Want: n.want, GiveBack: n.giveBack,
	}
	n.decided = map[shop.Status]*atomic.Int64{}
	for _, status := range decidedStatuses() {
		n.decided[status] = &atomic.Int64{}
	}
}

func (n *Node) wirePayments() {
	n.reports = map[cashier.Outcome]*atomic.Int64{}
	for _, outcome := range cashier.Outcomes() {
		n.reports[outcome] = &atomic.Int64{}
	}
	n.cashier = &cashier.Cashier{
		Orders: n.doubted, Claims: n.doubted, Board: n.board, Now: n.ledger.Clock().Now,
		Late: n.supplier.Fetch, Moved: n.moved, Count: func(o cashier.Outcome) { n.reports[o].Add(1) }, Log: n.options.Log,
	}
	n.expirer = &expiry.Expirer{
		Holds: n.doubted, Orders: n.doubted, Clock: n.ledger.Clock(), Released: n.released, Leads: n.releases, Log: n.options.Log,
	}
	if n.sandbox != nil { // a nil *Provider in an interface is not nil
		n.cashier.Provider, n.expirer.Provider = n.sandbox, n.sandbox
	}
}

// listFiles are the files that the gate's lists are kept in.
func listFiles(c *config.Config) (files []herald.ListFile) {
	for _, file := range []herald.ListFile{{List: shop.Block, Path: c.BlockList}, {List: shop.Allow, Path: c.AllowList}} {
		if file.Path != "" {
			files = append(files, file)
		}
	}
	return files
}

// openSandbox opens the cashier that only pretends, where it was asked for.
func (n *Node) openSandbox() error {
	c := n.options.Config
	if c.Payments != config.Sandbox {
		return nil
	}
	var host string // one that --hosts lets in: the callback's own address need not be among them
	if len(c.Hosts) > 0 {
		host = c.Hosts[0]
	}
	provider, err := sandbox.Open(sandbox.Config{
		Folder: c.Data, Keys: []gate.Secret{c.PaymentsKey}, Callback: "http://" + n.buyers.Addr().String() + callbackPath, Host: host,
		Client: &http.Client{Timeout: outMax}, Now: n.ledger.Clock().Now, Random: rand.Text, Log: n.options.Log,
		Order: n.payable, Names: n.names, Render: n.pages.SandboxPage,
	})
	if err != nil {
		return fmt.Errorf("open the sandbox cashier: %w", err)
	}
	n.sandbox = provider
	return nil
}

// payable asks the cashier about an order that is to be paid. The sandbox is
// made before the cashier, so it cannot be given the cashier's own method.
func (n *Node) payable(ctx context.Context, id shop.ClaimID) (shop.Order, string, error) {
	return n.cashier.Order(ctx, id)
}

// names returns what a sale and its item are called.
func (n *Node) names(sale, sku string) (title, item string, ok bool) {
	notice, ok := n.board.Notice(sale)
	if !ok {
		return "", "", false
	}
	found, _, ok := notice.Item(sku)
	if !ok {
		return notice.Sale.Title, sku, true
	}
	return notice.Sale.Title, found.Title, true
}

// buckets lists every bucket that may hold tickets.
func (n *Node) buckets() []shop.Bucket { return n.listBuckets(false) }

// pastBuckets lists the buckets of sales that are over.
func (n *Node) pastBuckets() []shop.Bucket { return n.listBuckets(true) }

func (n *Node) listBuckets(over bool) []shop.Bucket {
	var all []shop.Bucket
	for _, notice := range n.board.Notices() {
		for number := range notice.Buckets {
			if notice.Over == over {
				all = append(all, shop.Bucket{Sale: notice.Sale.ID, Number: number})
			}
		}
	}
	return all
}

// oldestUndecided returns for how long the oldest ticket waits.
func (n *Node) oldestUndecided() time.Duration {
	at := n.sweeper.Oldest()
	if at.IsZero() {
		return 0
	}
	return time.Since(at)
}

// outClient returns a client for one server of somebody else's, which keeps so
// many connections. It follows no redirect: the address that the operator named
// is the one to trust.
func outClient(kept int) *http.Client {
	return &http.Client{
		Timeout: outMax,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: outMax}).DialContext, MaxIdleConns: kept, MaxIdleConnsPerHost: kept},
	}
}
