package node

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/web"
)

// wireDoors sets up what faces the network.
func (n *Node) wireDoors() {
	c := n.options.Config
	n.door = &web.Door{
		Desk: n.desk, Board: n.board, Gate: n.gate, Pressure: n.pressure, Pages: n.pages, Guests: n.signer,
		StartPayment: n.cashier.Start, Mounts: n.mounts(), Ready: n.ready,
		Now: n.ledger.Clock().Now, Wall: time.Now, NewName: rand.Text, Jitter: mathrand.Int64N,
		Log: n.options.Log,
		Options: web.Options{
			Hosts: c.Hosts, PageOrigins: c.PageOrigins, CacheTagField: c.CacheTags.Field(), RateLimitHeaders: c.LimitHeaders,
			ConnsMax: connsMax(openFiles()),
		},
	}
	n.admin = &admin.Door{
		Token: c.AdminToken, Publisher: n.publishNow, Sales: n.ledger, Orders: n.doubted, Supply: n.ledger,
		Audit: n.auditor.Sale, Warn: n.doubts, Order: n.doubted.Order, Pay: n.cashier.Pay, Cancel: n.cashier.Cancel, Changed: n.changed,
		Lists: n.ledger, Filed: n.lists.Filed, Listed: n.listed, Suspects: n.gate.Suspects, Now: n.ledger.Clock().Now,
		Health: n.adminHealth, Metrics: n.metrics(), Log: n.options.Log,
	}
}

// filesAside are kept from buyers where files are short: for the stores, the
// operators and the log. A node has some 20 connections to PostgreSQL, and a few
// to each node of Redis.
const filesAside = 128

// connsMax is how many buyers' connections a limit of open files allows.
func connsMax(files uint64) int {
	if files >= web.ConnsMax+filesAside {
		return web.ConnsMax
	}
	return int(max(files/2, files-min(files, filesAside)))
}

// openFiles is how many files this process may have open.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return web.ConnsMax + filesAside // as if there were no limit
	}
	return limit.Cur
}

// mounts are the sandbox cashier's pages and its callback.
func (n *Node) mounts() map[string]http.Handler {
	if n.sandbox == nil {
		return nil
	}
	return map[string]http.Handler{pagesPath: n.sandbox.Handler(), callbackPath: n.cashier.Callback()}
}

// publishNow publishes, and returns when the board shows it.
func (n *Node) publishNow(ctx context.Context, sale shop.Sale) (ledger.Published, error) {
	published, err := n.supplier.Publish(ctx, sale)
	if err == nil && published != ledger.Same {
		n.changed(sale.ID)
	}
	return published, err
}

// doubts is what an operator should know of a sale that was published.
func (n *Node) doubts(sale *shop.Sale, did ledger.Published) []string {
	if did != ledger.Same && !sale.ClosesAt.IsZero() && !sale.ClosesAt.After(n.ledger.Clock().Now()) {
		return []string{"closes_at is past, so it is closed, and that is final: mend the time, and publish it under another id"}
	}
	if !slices.ContainsFunc(sale.Items, func(item shop.Item) bool { return item.Price.Amount > 0 }) {
		return nil
	}
	if played := n.options.Config.PlayMoney(); played != "" {
		return []string{played}
	}
	if n.sandbox == nil && sale.PayURL == "" {
		return []string{"nothing says where buyers pay: the page's button has nowhere to lead; set pay_url to your checkout, or tell them otherwise"}
	}
	return nil
}

// played returns the only doubt of the settings that health shows: health asks
// for no token, and must not tell strangers that the token is short.
func (n *Node) played() []string {
	if doubt := n.options.Config.PlayMoney(); doubt != "" {
		return []string{doubt}
	}
	return nil
}

// showMax bounds how long an operator's call waits for the board.
const showMax = time.Second

// changed waits until the board shows what an operator did.
func (n *Node) changed(sale string) {
	if n.gossip != nil {
		n.gossip.TellChanged(sale)
	}
	await(n.herald.Renew(sale))
}

// listed waits until the gate knows what an operator did to its lists.
func (n *Node) listed() {
	if n.gossip != nil {
		n.gossip.TellListed()
	}
	await(n.lists.Renew())
}

// await waits for what is shown, within what an operator may wait.
func await(shown <-chan struct{}) {
	timer := time.NewTimer(showMax)
	defer timer.Stop()
	select {
	case <-shown:
	case <-timer.C:
	}
}

func (n *Node) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(n), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
