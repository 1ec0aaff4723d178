package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/doorbuster/doorbuster/internal/servers"
)

// startMax bounds the start of a fleet: seconds, on a machine that does nothing
// else.
const startMax = 2 * time.Minute

// fleet starts two nodes behind nginx, each with a sandbox cashier, over one
// Redis and PostgreSQL. What it returns beside them is the first one's
// operator, and buyers who come in by nginx.
func fleet(t *testing.T) (*servers.Fleet, *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startMax)
	defer cancel()
	program := build(t)
	f, err := servers.StartFleet(ctx, servers.FleetOptions{
		Dir: t.TempDir(), Binary: program, Nodes: 2, Args: []string{"--payments", "sandbox"},
		Env: []string{
			"DOORBUSTER_BUYER_KEY=" + buyerKey, "DOORBUSTER_ADMIN_TOKEN=" + adminToken,
			"DOORBUSTER_ROOT_KEY=a-root-key-for-tests-0123456789-0123456789", "DOORBUSTER_PAYMENTS_KEY=a-payments-key-for-tests-0123456789-012345",
		},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f, &node{program: program, buyers: f.Nginx.URL(), operators: "http://" + f.Nodes[0].Operators}
}

// answered returns the number of the node that has answered most orders.
func answered(t *testing.T, f *servers.Fleet) int {
	t.Helper()
	found, most := 0, 0
	for i, n := range f.Nodes {
		_, text, err := (&node{operators: "http://" + n.Operators}).ask(http.MethodGet, "/metrics", nil)
		must(t, err)
		count := regexp.MustCompile(`(?m)^doorbuster_order_seconds_count (\d+)`).FindSubmatch(text)
		if count == nil {
			t.Fatalf("node %d does not count the orders that it answers", i+1)
		}
		if orders, err := strconv.Atoi(string(count[1])); err == nil && orders > most {
			found, most = i, orders
		}
	}
	if most == 0 {
		t.Fatal("no node has answered an order")
	}
	return found
}

// insist presses until the order is there, as a buyer does: the node that takes
// the order may open a moment later than the one that served the page.
func insist(t *testing.T, tab *Tab) string {
	t.Helper()
	must(t, tab.Until(`/^(awaiting_payment|paid)$/.test(result.dataset.status) || (buy.disabled || buy.click(), false)`))
	id, err := tab.Won()
	must(t, err)
	return id
}

func TestTheWholeWayOnTwoNodes(t *testing.T) {
	browser := start(t)
	f, n := fleet(t)
	sale := newLaunch(2, 2)
	sale.OpensAt = time.Now().Add(6 * time.Second)
	n.sell(t, sale)
	ada, ben := blank(t, browser, Desktop().in("en-GB")), blank(t, browser, Desktop())
	must(t, ada.Open(n.page()))
	must(t, ada.Until(`/^00\D+00\D+0[1-5]/.test(countdown.innerText) && buy.disabled`))
	id := insist(t, ada)
	served := answered(t, f)
	must(t, ada.Pay(func(tab *Tab) error {
		if err := tab.Until(fmt.Sprintf(`location.origin === %q && location.pathname.startsWith("/sandbox/")`, f.Nginx.URL())); err != nil {
			return err
		}
		return pay(tab)
	}))
	must(t, ada.Until(fmt.Sprintf(`location.href === %q`, n.page()+"#order="+id)))
	shoot(t, ada, "fleet-paid")

	must(t, ben.Open(n.page()))
	insist(t, ben)
	must(t, ben.Pay(func(tab *Tab) error { // he is at the cashier when a node dies
		t.Logf("node %d had answered the order; it dies", served+1)
		if err := f.Nodes[served].Kill(); err != nil {
			return err
		}
		return pay(tab)
	}))
	must(t, ada.Do(chromedp.Reload()))
	must(t, ada.Status("paid"))
	if shown, err := ada.Won(); err != nil || shown != id {
		t.Errorf("the other node shows order %s (%v), want %s", shown, err, id)
	}

	must(t, f.Nodes[served].Start())
	must(t, f.Nodes[served].Ready(t.Context()))
	for _, o := range n.orders(t) {
		if o.Status != "paid" {
			t.Errorf("order %s is %s, want paid", o.ID, o.Status)
		}
	}
	n.balanced(t)
}
