package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// salesMax caps the series: sales past it share the label "other".
	salesMax = 500
	// scrapeMax bounds what one scrape may cost.
	scrapeMax = 5 * time.Second
	// accountsMax bounds the ledger's part: while it hangs, the other figures are
	// what its operator looks for.
	accountsMax = 2 * time.Second
)

// collector reads the node when somebody scrapes it, so that buyers' requests
// pay for no metric but an atomic count.
type collector struct {
	node *Node

	refusals, gate, places     *prometheus.Desc
	orders                     *prometheus.Desc
	answers, reports, seconds  *prometheus.Desc
	units, free, depth, oldest *prometheus.Desc
	broken, bumps, leaks       *prometheus.Desc
	aside, poisoned, leads     *prometheus.Desc
	step, suspended, ready     *prometheus.Desc
	sheds, limit, inside       *prometheus.Desc
	suspects, strangers        *prometheus.Desc
	unsent                     *prometheus.Desc
}

func newCollector(n *Node) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("doorbuster_"+name, help, labels, nil)
	}
	return &collector{
		node:      n,
		refusals:  desc("refusals_total", "Buyers' requests refused, by code.", "code"),
		gate:      desc("gate_refusals_total", "Requests refused at the gate, by reason.", "reason"),
		suspects:  desc("suspects_total", "Orders whose buyer was suspected, by each reason; always with a challenge, never a ban.", "reason"),
		strangers: desc("operator_refusals_total", "Operators' calls refused for want of the token, by reason: no token at all, or a wrong one.", "reason"),
		unsent:    desc("gossip_dropped_total", "Pieces of news for the other nodes that were not sent because too many waited; the others find them in the ledger, later."),
		sheds:     desc("sheds_total", "Requests turned away because the node has more than it bears, by why.", "reason"),
		limit:     desc("limit_orders", "New orders that may be on their way at once; below its usual value while what stands behind is slow or the processor short."),
		inside:    desc("limit_orders_inside", "New orders that are on their way."),
		places:    desc("connections_refused_total", "Buyers' connections that found no place: none at all, or none for their address.", "reason"),
		orders:    desc("orders_total", "Orders decided by this node since it started, by the status decided.", "status"),
		answers:   desc("answers_total", "Buyers' requests answered without a refusal, by what they got.", "answer"),
		reports:   desc("payment_reports_total", "Reports of the payment provider, by what became of them.", "outcome"),
		seconds:   desc("order_seconds", "How long an order took at the desk, the wait for its decision included."),
		units:     desc("units", "Units of a sale by account of the ledger.", "sale", "account"),
		free:      desc("units_free", "Units of a sale that nobody holds.", "sale"),
		depth:     desc("queue_depth", "Tickets on their way to the ledger."),
		oldest:    desc("oldest_undecided_seconds", "Age of the oldest ticket that is not decided; 0: none."),
		broken:    desc("audit_broken_invariants", "Invariants broken at the last audit; any above 0 is an alarm."),
		aside:     desc("tickets_aside", "Tickets that cannot be decided; any above 0 is an alarm."),
		poisoned:  desc("tickets_poisoned_total", "Tickets and messages that nobody could read or decide for: refused for good or put away; each is an alarm."),
		leads:     desc("leads", "1 while this node is the one that supplies, sweeps and audits."),
		bumps:     desc("supply_bumps_total", "Epochs of the stock that were ended because its story differed from the ledger's."),
		leaks:     desc("supply_leaks_total", "Bumps because granted units were missing from the stock; each is an alarm."),
		step:      desc("clock_step_seconds", "How far the wall clock was set from the ledger's; expiry pauses while it is above 0."),
		suspended: desc("selling_suspended", "1 while the ledger cannot write and nothing is sold."),
		ready:     desc("ready", "1 when every sale is in the phase that its times ask for and supplied."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(into chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.refusals, c.gate, c.places, c.orders, c.answers, c.reports, c.seconds, c.units, c.free, c.depth, c.oldest,
		c.broken, c.aside, c.poisoned, c.leads, c.bumps, c.leaks, c.step, c.suspended, c.ready,
		c.sheds, c.limit, c.inside, c.suspects, c.strangers, c.unsent,
	} {
		into <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(into chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeMax)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
	}
	n := c.node
	c.funnel(counter)
	count, sum, upTo := n.door.Counts.Latency.Snapshot()
	into <- prometheus.MustNewConstHistogram(c.seconds, count, sum, upTo)
	if depth, err := n.queue.Depth(ctx); err == nil {
		gauge(c.depth, float64(depth))
	}
	gauge(c.oldest, n.oldestUndecided().Seconds())
	gauge(c.broken, float64(max(n.auditor.Broken(), 0)))
	gauge(c.aside, float64(n.worker.Aside()))
	counter(c.poisoned, float64(n.allPoisoned()))
	gauge(c.leads, truth(n.supplies()))
	bumps, leaks := n.supplier.Bumps()
	counter(c.bumps, float64(bumps))
	counter(c.leaks, float64(leaks))
	gauge(c.step, n.ledger.Clock().Step().Seconds())
	gauge(c.suspended, truth(n.board.Suspended() != nil))
	ready, _ := n.health()
	gauge(c.ready, truth(ready))
	gauge(c.limit, float64(n.pressure.Limit()))
	gauge(c.inside, float64(n.pressure.Inside()))
	counter(c.strangers, float64(n.admin.Refused.Missing.Load()), "missing")
	counter(c.strangers, float64(n.admin.Refused.Wrong.Load()), "wrong")
	counter(c.unsent, float64(n.unsent()))
	c.accounts(ctx, gauge)
}

// unsent counts what the other nodes were not told; a node that stands alone has
// nobody to tell.
func (n *Node) unsent() int64 {
	if n.gossip == nil {
		return 0
	}
	return n.gossip.Dropped()
}

// allPoisoned counts what worker and queues could not make sense of.
func (n *Node) allPoisoned() int64 {
	count := n.worker.Poisoned()
	for _, poisoned := range n.poisoned {
		count += poisoned()
	}
	return count
}

// funnel reports where buyers' requests ended.
func (c *collector) funnel(counter func(*prometheus.Desc, float64, ...string)) {
	n := c.node
	for reason, count := range n.gate.Counts.All() {
		counter(c.gate, float64(count), reason.String())
	}
	for signal, count := range n.gate.Suspicion.Counts() {
		counter(c.suspects, float64(count), signal.String())
	}
	for why, count := range n.pressure.Sheds() {
		counter(c.sheds, float64(count), why.String())
	}
	counter(c.places, float64(n.door.Counts.NoPlace.Load()), "full")
	counter(c.places, float64(n.door.Counts.NoPlaceForAddress.Load()), "address")
	for i, code := range shop.Codes() {
		counter(c.refusals, float64(n.door.Counts.Refusals(i)), string(code))
	}
	for _, status := range decidedStatuses() {
		counter(c.orders, float64(n.decided[status].Load()), status.String())
	}
	for outcome, count := range n.reports {
		counter(c.reports, float64(count.Load()), string(outcome))
	}
	for answer, count := range map[string]uint64{
		"decided": n.door.Counts.Decided.Load(), "pending": n.door.Counts.Pending.Load(),
		"repeated": n.door.Counts.Repeated.Load(), "state": n.door.Counts.States.Load(),
		"page": n.door.Counts.Pages.Load(), "guest": n.door.Counts.Guests.Load(),
		"challenge": n.door.Counts.Challenges.Load(),
	} {
		counter(c.answers, float64(count), answer)
	}
}

// holdings is who has the units of a sale, as it is reported.
type holdings struct {
	sale string
	ledger.Balance
	free int64
}

// accounts reports how the units of each sale are spread; of none, where the
// ledger does not say so in time.
func (c *collector) accounts(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) {
	ctx, cancel := context.WithTimeout(ctx, accountsMax)
	defer cancel()
	read := make(chan []holdings, 1)
	go func() { read <- c.holdings(ctx) }() // ends when the ledger's own time is up
	select {
	case all := <-read:
		for _, s := range all {
			gauge(c.units, float64(s.Pool), s.sale, "pool")
			gauge(c.units, float64(s.Granted), s.sale, "granted")
			gauge(c.units, float64(s.Held), s.sale, "held")
			gauge(c.units, float64(s.Sold), s.sale, "sold")
			gauge(c.units, float64(s.Withdrawn), s.sale, "withdrawn")
			gauge(c.free, float64(s.free), s.sale)
		}
	case <-ctx.Done():
	}
}

// holdings asks the ledger, sale by sale.
func (c *collector) holdings(ctx context.Context) []holdings {
	other := holdings{sale: "other"}
	notices := c.node.board.Notices()
	all := make([]holdings, 0, min(len(notices), salesMax)+1)
	for i, notice := range notices {
		stand, err := c.node.ledger.Stand(ctx, notice.Sale.ID)
		if ctx.Err() != nil {
			return nil // some of the sales would be too few
		}
		if err != nil {
			continue
		}
		one := holdings{sale: notice.Sale.ID}
		for _, balance := range stand.Items {
			one.Balance = plus(one.Balance, balance)
		}
		for j := range notice.Items {
			one.free += notice.Items[j].Free
		}
		if i >= salesMax {
			other.Balance, other.free = plus(other.Balance, one.Balance), other.free+one.free
			continue
		}
		all = append(all, one)
	}
	if len(notices) > salesMax {
		all = append(all, other)
	}
	return all
}

func plus(a, b ledger.Balance) ledger.Balance {
	return ledger.Balance{
		Total: a.Total + b.Total, Pool: a.Pool + b.Pool, Granted: a.Granted + b.Granted,
		Held: a.Held + b.Held, Sold: a.Sold + b.Sold, Withdrawn: a.Withdrawn + b.Withdrawn,
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// decidedStatuses are the statuses that a decision can lead to.
func decidedStatuses() []shop.Status {
	return []shop.Status{shop.AwaitingPayment, shop.Paid, shop.Refused}
}
