// Package node puts a node together: it chooses the machine that serves each
// station, wires the walkers, opens the doors, and closes them in order.
package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/expiry"
	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gossip"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/sandbox"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/supply"
	"github.com/doorbuster/doorbuster/internal/web"
)

const (
	// workers is how many run: while one tells buyers and the stock what was
	// decided, the other has the next batch decided.
	workers = 2
	// redeliver is long after every retry of a worker: a ticket that a living
	// worker holds does not come twice.
	redeliver = 30 * time.Second
	// drainMax is how long a stopping node may take for what is in flight.
	drainMax = 25 * time.Second
)

// Options is what a node is made from.
type Options struct {
	Config  *config.Config
	Sales   []shop.Sale // published at the start; publishing one again changes nothing
	Log     *slog.Logger
	Stdout  io.Writer // for the person who started it
	Version string
}

// Node is one running part of the shop.
type Node struct {
	machines
	options Options
	begun   time.Time

	gossip   *gossip.Gossip // nil: this node stands alone
	strange  strange        // secrets of other nodes
	mark     uint64         // in the nonces of its tickets
	board    *gate.Board
	gate     *gate.Gate
	pressure *gate.Pressure
	pages    *page.Pages
	sandbox  *sandbox.Provider // nil: the merchant's own cashier reports payments
	hasher   *shop.Hasher
	signer   *gate.Signer
	jwks     *gate.JWKS      // nil: buyers' tokens are signed with the buyer key
	doubted  *ledger.Doubted // the ledger, for whoever speaks of orders to the world
	desk     *checkout.Desk
	worker   *fulfil.Worker
	sweeper  *fulfil.Sweeper
	supplier *supply.Supplier
	herald   *herald.Herald
	lists    *herald.Lists
	expirer  *expiry.Expirer
	cashier  *cashier.Cashier
	auditor  *audit.Auditor
	door     *web.Door
	admin    *admin.Door

	buyers, operators net.Listener

	decided  map[shop.Status]*atomic.Int64
	reports  map[cashier.Outcome]*atomic.Int64
	draining atomic.Bool
}

// New takes the data folder and both addresses, and brings the books and the
// stock together. Nobody is served before Run. Close it when Run is not
// called.
func New(ctx context.Context, options Options) (*Node, error) {
	n := &Node{options: options, begun: time.Now(), board: gate.NewBoard()}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	if err := n.options.Config.Prepare(); err != nil {
		return err
	}
	var err error
	if n.hasher, err = shop.NewHasher(n.options.Config.RootKey.Reveal()); err != nil {
		return err
	}
	if n.pages, err = page.New(); err != nil {
		return err
	}
	if err := n.openMachines(ctx); err != nil {
		return err
	}
	if err := n.openGate(); err != nil {
		return err
	}
	if err := n.listen(ctx); err != nil { // the sandbox cashier has to know its address
		return err
	}
	if err := n.wireRoad(); err != nil {
		return err
	}
	n.wireDoors()
	return n.openBooks(ctx)
}

func (n *Node) openGate() error {
	c := n.options.Config
	var err error
	if c.BuyerJWKSURL != "" {
		if n.jwks, err = gate.NewJWKS(c.BuyerJWKSURL, outClient(1), n.options.Log); err != nil {
			return err
		}
	}
	if n.signer, err = gate.NewSigner(c.BuyerKey); err != nil {
		return err
	}
	tokens, err := gate.NewVerifier(c.BuyerKey, n.jwks, gate.TokensRemembered)
	if err != nil {
		return err
	}
	challenger, err := n.challenger()
	if err != nil {
		return err
	}
	n.gate = &gate.Gate{
		Proxies:    gate.NewProxies(c.TrustedProxies),
		Addresses:  gate.NewLadder(c.LimitAddress, c.LimitNetwork, gate.LimiterSlots),
		Guests:     gate.NewLadder(c.LimitGuests, c.LimitNetwork, gate.GuestSlots),
		Buyers:     gate.NewLimiter(c.LimitBuyer, gate.LimiterSlots),
		Sales:      gate.NewLimiter(c.LimitSale, gate.SaleSlots),
		Waiting:    waiting(c),
		Shared:     n.meter,
		Tokens:     tokens,
		Challenger: challenger,
		Suspicion:  gate.NewSuspicion(c.SuspectNoPage, n.ledger.Clock().Now().UnixNano()),
	}
	n.pressure = gate.NewPressure(gate.OrdersMax)
	n.pressure.Delay = newDelays().median
	return nil
}

// challenger is who poses what suspects, or all, have to solve.
func (n *Node) challenger() (gate.Challenger, error) {
	c := n.options.Config
	if c.CaptchaVerifyURL != "" {
		return gate.NewSiteVerify(c.CaptchaVerifyURL, c.CaptchaSecret, outClient(gate.SiteVerifyMax)), nil
	}
	return gate.NewAltcha(c.RootKey, rand.Reader)
}

// waiting bounds how many orders of a buyer, and of an address, wait at the
// desk, where the limit of that name is on.
func waiting(c *config.Config) *gate.Waiting {
	perBuyer, perAddress := int32(gate.WaitingPerBuyer), int32(gate.WaitingPerAddress)
	if c.LimitBuyer.Off() {
		perBuyer = 0
	}
	if c.LimitAddress.Off() {
		perAddress = 0
	}
	return gate.NewWaiting(perBuyer, perAddress)
}

// openBooks checks the books, publishes what the command line brought, and
// supplies the stock, so that the first buyer meets a sale that is ready.
func (n *Node) openBooks(ctx context.Context) error {
	broken, err := n.ledger.Check(ctx)
	if err != nil {
		return fmt.Errorf("check the books: %w", err)
	}
	if n.gossip == nil { // else each look at a sale catches up with its claims
		if err := n.desk.Known.Load(ctx, n.ledger); err != nil && broken[""] == "" {
			return err
		}
	}
	if err := n.halt(ctx, broken); err != nil {
		return err
	}
	for _, sale := range n.options.Sales {
		if err := n.publish(ctx, sale); err != nil {
			return err
		}
	}
	n.lists.Round(ctx)
	n.herald.Round(ctx, true)
	return nil
}

// halt keeps the sales from selling whose books do not balance. Damage that
// concerns the whole file halts every sale there is.
func (n *Node) halt(ctx context.Context, broken map[string]string) error {
	for sale, why := range broken {
		n.options.Log.Error("the books do not balance; nothing is sold", "sale", sale, "why", why)
		if sale != "" {
			n.herald.Halt(sale, "the books do not balance: "+why)
		}
	}
	damage, damaged := broken[""]
	if !damaged {
		return nil
	}
	n.board.Suspend(shop.Refusal{
		Code: shop.Unavailable, RetryAfter: time.Minute, Detail: "The shop cannot take orders at the moment.",
	})
	sales, err := n.ledger.Sales(ctx)
	if err != nil {
		return fmt.Errorf("the ledger is damaged (%s) and its sales cannot be read: restore a backup: %w", damage, err)
	}
	for _, listing := range sales {
		n.herald.Halt(listing.Sale.ID, "the ledger is damaged: "+damage)
	}
	return nil
}

func (n *Node) publish(ctx context.Context, sale shop.Sale) error {
	published, err := n.supplier.Publish(ctx, sale)
	if err != nil {
		return fmt.Errorf("publish sale %s: %w", sale.ID, err)
	}
	if published != ledger.Same {
		n.options.Log.Info("published a sale", "sale", sale.ID)
	}
	for _, doubt := range n.doubts(&sale, published) {
		n.options.Log.Warn("published, but "+doubt, "sale", sale.ID)
	}
	return nil
}

func (n *Node) listen(ctx context.Context) error {
	var listen net.ListenConfig
	var err error
	if n.buyers, err = listen.Listen(ctx, "tcp", n.options.Config.Listen); err != nil {
		return fmt.Errorf("listen for buyers (--listen): %w", err)
	}
	if n.operators, err = listen.Listen(ctx, "tcp", n.options.Config.AdminListen); err != nil {
		return fmt.Errorf("listen for operators (--admin-listen): %w", err)
	}
	return nil
}

// Close gives back what New took. Run does it by itself.
func (n *Node) Close() error {
	var faults []error
	for _, listener := range []net.Listener{n.buyers, n.operators} {
		if listener != nil {
			faults = append(faults, ignoreClosed(listener.Close()))
		}
	}
	if n.sandbox != nil {
		faults = append(faults, n.sandbox.Close())
	}
	return errors.Join(append(faults, n.closeMachines())...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// BuyersAddr is where buyers come in.
func (n *Node) BuyersAddr() net.Addr { return n.buyers.Addr() }

// OperatorsAddr is where operators come in.
func (n *Node) OperatorsAddr() net.Addr { return n.operators.Addr() }

// nonce tells two tickets of one claim apart.
func nonce() uint64 {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return binary.LittleEndian.Uint64(random[:])
}

// markBits of a ticket's nonce say at which node its buyer waits; the other 48
// tell tickets apart.
const markBits = 16

// ticketNonce is a nonce with this node's mark.
func (n *Node) ticketNonce() uint64 { return n.mark<<(64-markBits) | nonce()>>markBits }

// waitsHere reports whether the ticket's buyer waits at this node. Two nodes
// with the same mark take each other's tickets for their own: the buyers who
// wait then hear a second later, from the ledger.
func (n *Node) waitsHere(nonce uint64) bool { return nonce>>(64-markBits) == n.mark }
