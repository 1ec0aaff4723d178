package browsertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// soon is how long the page may take to show what the operator did: it asks
// every second or so, and may be given what is a second old. The rest is for a
// machine that does much else.
const soon = 6 * time.Second

// One browser, and a node for each walk. The first one waits for a hold to run
// out; the others walk meanwhile.
func TestTheWholeWayOnARealNode(t *testing.T) {
	program, browser := build(t), start(t)
	for _, walk := range []struct {
		name string
		walk func(*testing.T, *Browser, string)
	}{
		{"a unit that is not paid for comes back and is sold to who waits, until all are sold", comesBack},
		{"the countdown opens, a double click is one order, declined once and paid", func(t *testing.T, b *Browser, program string) {
			goesTheWholeWay(t, b, program, Desktop().in("en-GB"))
		}},
		{"the same on a phone in Chinese", func(t *testing.T, b *Browser, program string) {
			goesTheWholeWay(t, b, program, Phone().in("zh-CN"))
		}},
		{"a reload in mid-answer finds the order that was made", findsTheOrderAgain},
		{"the node is killed while buyers wait, and all come to their orders", survivesKills},
		{"who has a share is led to it, and the operator's moves show at once", showsLimitAndPhases},
		{"an exported page on another origin buys and pays", buysFromAnExport},
		{"the shop's own checkout takes the money, and a wrong address says so", paysAtTheShop},
		{"who has to solve a challenge solves it, on a phone and over plain HTTP", solvesForANode},
	} {
		t.Run(walk.name, func(t *testing.T) {
			t.Parallel()
			walk.walk(t, browser, program)
		})
	}
}

func goesTheWholeWay(t *testing.T, b *Browser, program string, look Look) {
	n := serve(t, program)
	sale := newLaunch(2, 3)
	sale.OpensAt = time.Now().Add(29 * time.Second)
	n.sell(t, sale)
	tab := blank(t, b, look)
	must(t, before(tab, wrongClock))
	must(t, tab.Open(n.page()))
	must(t, tab.Until(`/^00\D+00\D+\d\d/.test(countdown.innerText) && buy.disabled`))
	look.judge(t, tab, "node-scheduled")
	must(t, tab.Run(`window.reloaded = false`))
	sale.OpensAt = time.Now().Add(5 * time.Second)
	n.sell(t, sale)
	must(t, tab.Until(`/^00\D+00\D+0[1-5]/.test(countdown.innerText) && buy.disabled`))
	must(t, tab.Until(`!buy.disabled`))
	if early := time.Until(sale.OpensAt); early > 0 {
		t.Errorf("the button woke up %s before the opening", early)
	}
	if eval[any](t, tab, `window.reloaded ?? "yes"`) != false {
		t.Error("the page was loaded anew to open")
	}
	look.judge(t, tab, "node-open")
	must(t, tab.Do(chromedp.DoubleClick(chromedp.CSS("#buy"))))
	id, err := tab.Won()
	must(t, err)
	n.has(t, order{ID: id, Status: "awaiting_payment"})
	must(t, tab.Until(`/^(10:00|9:[0-5]\d)$/.test(left.textContent) && !pay.hidden`))
	look.judge(t, tab, "node-won")
	must(t, tab.Pay(func(tab *Tab) error {
		look.judge(t, tab, "node-cashier")
		if err := decline(tab); err != nil {
			return err
		}
		look.judge(t, tab, "node-declined")
		return pay(tab)
	}))
	must(t, tab.Until(fmt.Sprintf(`location.href === "%s#order=%s" && document.getElementById("order-id").textContent === %q`, n.page(), id, id)))
	look.judge(t, tab, "node-paid")
	n.has(t, order{ID: id, Status: "paid"})
	n.balanced(t)
}

func findsTheOrderAgain(t *testing.T, b *Browser, program string) {
	n := serve(t, program)
	n.sell(t, newLaunch(2, 3))
	tab := open(t, b, n.page())
	must(t, tab.Until(`!buy.disabled`))
	answer, err := hold(tab)
	must(t, err)
	must(t, tab.Press(`[value="eu-42"] + span`))
	must(t, tab.Press("#buy"))
	_, err = answer.came()
	must(t, err)
	must(t, tab.Until(`buy.disabled && result.innerText && !result.dataset.status`))
	must(t, tab.Do(chromedp.Reload()))
	id, err := tab.Won()
	must(t, err)
	n.has(t, order{ID: id, Status: "awaiting_payment", SKU: "eu-42"})
}

func survivesKills(t *testing.T, b *Browser, program string) {
	n := serve(t, program)
	sale := newLaunch(3, 3)
	n.sell(t, sale)
	holder, asker, waiter := open(t, b, n.page()), open(t, b, n.page()), open(t, b, n.page())
	for _, tab := range []*Tab{holder, asker, waiter} {
		must(t, tab.Until(`!buy.disabled`))
	}
	must(t, holder.Press("#buy"))
	first, err := holder.Won()
	must(t, err)
	answer, err := hold(asker)
	must(t, err)
	must(t, asker.Press("#buy"))
	lost, err := answer.came()
	must(t, err)
	second := n.orders(t)[1].ID // the ledger has it, the buyer does not know
	n.freeze(t)
	must(t, waiter.Press("#buy")) // the node will never read it
	must(t, waiter.Until(`buy.disabled && result.innerText`))
	n.kill()
	must(t, answer.lose(lost))
	for _, tab := range []*Tab{asker, waiter} {
		must(t, tab.Status("offline"))
	}
	Desktop().judge(t, waiter, "node-offline")
	n.start(t)
	third, err := waiter.Won()
	must(t, err)
	again, err := asker.Won()
	must(t, err)
	if again != second {
		t.Errorf("after the kill the page shows order %s, want %s", again, second)
	}
	must(t, holder.Pay(pay))
	n.has(t, order{ID: first, Status: "paid"}, order{ID: second, Status: "awaiting_payment"}, order{ID: third, Status: "awaiting_payment"})
	n.balanced(t)
}

// has wants exactly these orders, oldest first.
func (n *node) has(t *testing.T, want ...order) {
	t.Helper()
	got := n.orders(t)
	for i, o := range got {
		if i < len(want) && o.ID == want[i].ID && o.Status == want[i].Status && (want[i].SKU == "" || o.SKU == want[i].SKU) {
			continue
		}
		t.Fatalf("the node has the orders\n%+v, want\n%+v", got, want)
	}
	if len(got) != len(want) {
		t.Fatalf("the node has %d orders, want %d", len(got), len(want))
	}
}

// decline and pay are the sandbox's buttons.
func decline(tab *Tab) error {
	if err := tab.Press(`[action$="/decline"] button`); err != nil {
		return err
	}
	return tab.Until(`location.search === "?declined" && document.readyState === "complete"`)
}

func pay(tab *Tab) error { return tab.Press(`[action$="/pay"] button`) }
