// Package web is the buyers' door: HTTP in, the desk's answers and refusals
// out.
package web

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Door serves buyers over HTTP/1.1. Its exported fields are set once, before
// Serve.
type Door struct {
	Desk  *checkout.Desk
	Board *gate.Board
	Gate  *gate.Gate
	// Pressure bounds who waits at the desk; nil: as many as gate.OrdersMax.
	Pressure *gate.Pressure
	Pages    *page.Pages
	// Guests signs the tokens of those who buy without an account.
	Guests *gate.Signer
	// StartPayment returns where the order's owner can pay for it, or a
	// shop.Refusal.
	StartPayment func(ctx context.Context, who gate.Identity, id shop.ClaimID) (string, error)
	// Mounts are handlers off the buyers' road, such as a payment provider's
	// callback, by path: one that ends in a slash takes all below it. Their
	// bodies have the same bound.
	Mounts map[string]http.Handler
	// Ready reports whether this node should be sent buyers.
	Ready func() bool

	Now     func() time.Time    // the ledger's clock, which buyers are shown
	Wall    func() time.Time    // the machine's clock, for time limits
	NewName func() string       // unguessable, of letters and digits (crypto/rand.Text)
	Jitter  func(n int64) int64 // at random from [0, n) (math/rand/v2.Int64N)
	Log     *slog.Logger
	Options Options
	Counts  Counts

	places   map[shop.Code]int
	said     said
	showcase showcase
	mounted  []mount
	turned   turned
	origins  []byte // what allowOrigin writes, where that is always the same; nil where not
	dated    atomic.Pointer[dateText]
	answers  sync.Pool                 // of *[]byte: room for quick answers
	faulted  [toReady + 1]atomic.Int64 // by route, the second of the last logged fault
}

// Options are the door's settings. Zero bounds mean the usual ones.
type Options struct {
	Hosts              []string // accepted in Host, without port; empty: any
	PageOrigins        []string // whose scripts may read answers; "*": any
	CacheTagField      string   // header that names a sale's answers to a CDN; empty: none does
	ConnsMax           int
	ConnsPerAddressMax int           // trusted proxies are exempt
	RateLimitHeaders   bool          // on orders and on 429: what is left of the limits
	DrainMax           time.Duration // for what is in flight when Serve ends
}

// drainMax is the usual bound of a drain, of the 30 s that a node has to stop.
const drainMax = 20 * time.Second

// handle answers one request. The order of the checks is the order of their
// cost: what most of the crowd meets is decided first.
func (d *Door) handle(ctx context.Context, rc *fasthttp.RequestCtx) {
	defer d.survive(rc)
	route, name := find(pathOf(rc))
	if d.Options.RateLimitHeaders {
		defer d.budgets(rc, route)
	}
	method := rc.Method()
	if route.crossOrigin() || (route == nowhere && bytes.HasPrefix(pathOf(rc), []byte("/api/"))) {
		d.allowOrigin(rc, rc.Request.Header.Peek("Origin"))
	}
	switch {
	case !d.knowsHost(rc.Host()):
		d.say(rc, &d.said.wrongHost)
	case route == nowhere:
		d.elsewhere(rc)
	case string(method) == http.MethodOptions:
		d.options(rc, stop{route: route, name: name})
	case !route.allows(method):
		rc.Response.Header.Set("Allow", route.methods())
		d.say(rc, &d.said.wrongMethod)
	case route.limited() && !d.admit(rc, route.ask()): // has answered
	default:
		d.serve(ctx, rc, stop{route: route, name: name})
	}
}

// stop is where a request leads.
type stop struct {
	route route
	name  []byte // of the sale, order or asset in the path
}

func (d *Door) serve(ctx context.Context, rc *fasthttp.RequestCtx, at stop) {
	switch at.route {
	case toBuy:
		d.buy(ctx, rc, at.name)
	case toChallenge:
		d.challenge(rc, at.name)
	case toState:
		d.state(rc, at.name)
	case toPage:
		d.page(rc, at.name)
	case toAsset:
		d.asset(rc, at.name)
	case toSales:
		d.sales(rc)
	case toSale:
		d.sale(rc, at.name)
	case toOrders:
		d.orders(ctx, rc)
	case toOrder:
		d.order(ctx, rc, at.name)
	case toCancel:
		d.cancel(ctx, rc, at.name)
	case toPayment:
		d.payment(ctx, rc, at.name)
	case toGuests:
		d.guest(rc)
	case toOpenAPI:
		d.openAPI(rc)
	case toLive:
		d.live(rc)
	case toReady:
		d.ready(rc)
	case nowhere:
	}
}
