package sandbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// orders is the shop's ledger as several sandboxes ask it.
type orders struct {
	mu    sync.Mutex
	known map[shop.ClaimID]shop.Order
	fault error
}

func (o *orders) order(_ context.Context, id shop.ClaimID) (shop.Order, string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order, ok := o.known[id]
	if !ok && o.fault == nil {
		return order, "", shop.Refusal{Code: shop.NotFound, Detail: "There is no such order."}
	}
	return order, paymentstest.Back, o.fault
}

func (o *orders) put(order shop.Order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[order.ID] = order
}

func (o *orders) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = err
}

// pair plays with the sandboxes of two nodes, in a bubble.
func pair(t *testing.T, play func(t *testing.T, here, there *stage, orders *orders)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		orders := &orders{known: map[shop.ClaimID]shop.Order{}}
		play(t, stageOf(t, "here", orders), stageOf(t, "there", orders), orders)
	})
}

// shows returns what state the order's page is in at a node.
func (s *stage) shows(t *testing.T, address string) page.SandboxState {
	t.Helper()
	body := s.show(t, address)
	for state, mark := range map[page.SandboxState]string{
		page.SandboxOpen: address + "/pay", page.SandboxPaid: "Payment received", page.SandboxEnded: "can no longer be paid",
	} {
		if strings.Contains(body, mark) {
			return state
		}
	}
	t.Fatalf("the page shows no state:\n%s", body)
	return ""
}

func TestAPageOfOneNodeIsPaidAtAnother(t *testing.T) {
	pair(t, func(t *testing.T, here, there *stage, orders *orders) {
		order := paymentstest.Order(1, time.Now())
		orders.put(order)
		address := start(t, here, order)
		if page := there.show(t, address); !strings.Contains(page, "258.00 EUR") || !strings.Contains(page, address+"/pay") {
			t.Errorf("the other node does not show what is to be paid:\n%s", page)
		}
		if got := there.press(t, address, paymentstest.Pay); got != paymentstest.Back {
			t.Errorf("the buyer is led to %q, want %q", got, paymentstest.Back)
		}
		call := there.shop.take(t, 1)[0]
		event, err := here.Event(call.Header, call.Body) // any node may hear of it
		if want := (payments.Charge{Reference: event.Charge.Reference, Order: order.ID, Amount: 25800, Currency: "EUR"}); err != nil || event.Charge != want {
			t.Errorf("reported %+v (%v), want %+v", event.Charge, err, want)
		}
		if calls := here.shop.take(t, 0); len(calls) > 0 {
			t.Errorf("the node that took nothing reports %s", calls[0].Body)
		}

		for i, s := range []*stage{here, there, here, there, here, there} {
			order.Status, order.PayBy = []shop.Status{shop.Paid, shop.RefundDue, shop.Refunded}[i/2], time.Time{}
			orders.put(order)
			if got := s.shows(t, address); got != page.SandboxPaid {
				t.Errorf("%s: at the node %s the page is %s, want paid", order.Status, s.name, got)
			}
			if got := s.press(t, address, paymentstest.Pay); got != paymentstest.Back {
				t.Errorf("%s: at the node %s a second click leads to %q, want %q", order.Status, s.name, got, paymentstest.Back)
			}
		}
		if _, charged, err := here.Paid(t.Context(), order.ID); charged || err != nil {
			t.Errorf("a paid order is charged again (%v)", err)
		}
	})
}

func TestAnotherNodesRestartForgetsNoCharge(t *testing.T) {
	pair(t, func(t *testing.T, here, there *stage, orders *orders) {
		order := paymentstest.Order(1, time.Now())
		orders.put(order)
		address := start(t, here, order)
		there.shop.answer(http.StatusServiceUnavailable)
		there.press(t, address, paymentstest.Pay)
		first := there.shop.take(t, 1)[0]
		there.restart(t)
		there.shop.answer(http.StatusNoContent)
		time.Sleep(time.Minute)
		if again := there.shop.take(t, 1)[0]; string(again.Body) != string(first.Body) {
			t.Errorf("after the restart it reports %s, want %s", again.Body, first.Body)
		}
		if got := there.shows(t, address); got != page.SandboxPaid {
			t.Errorf("after the restart the page is %s, want paid", got)
		}
		if got := here.shows(t, address); got != page.SandboxOpen {
			t.Errorf("before the ledger has heard of the money the page is %s elsewhere, want open", got)
		}
	})
}

func TestAnOrderThatIsOverShowsSoAtEveryNode(t *testing.T) {
	pair(t, func(t *testing.T, here, there *stage, orders *orders) {
		for i, status := range []shop.Status{shop.Expired, shop.Cancelled} {
			order := paymentstest.Order(byte(i), time.Now())
			orders.put(order)
			address := start(t, here, order)
			if got := there.shows(t, address); got != page.SandboxOpen {
				t.Fatalf("the page is %s elsewhere, want open", got)
			}
			order.Status, order.PayBy = status, time.Time{} // which a third node did
			orders.put(order)
			for _, s := range []*stage{here, there} {
				if got := s.shows(t, address); got != page.SandboxEnded {
					t.Errorf("%s: at the node %s the page is %s, want ended", status, s.name, got)
				}
				if got := s.press(t, address, paymentstest.Pay); got != address {
					t.Errorf("%s: at the node %s paying leads to %q, want the page that says so", status, s.name, got)
				}
				s.press(t, address, paymentstest.Decline)
				if _, charged, err := s.Paid(t.Context(), order.ID); charged || err != nil {
					t.Errorf("%s: money was taken at the node %s (%v)", status, s.name, err)
				}
				if calls := s.shop.take(t, 0); len(calls) > 0 {
					t.Errorf("%s: the node %s reports %s", status, s.name, calls[0].Body)
				}
			}
		}
		late := paymentstest.Order(9, time.Now())
		orders.put(late)
		address := start(t, here, late)
		time.Sleep(10 * time.Minute) // the expirer has not come to it yet
		there.press(t, address, paymentstest.Pay)
		if got := there.shows(t, address); got != page.SandboxEnded {
			t.Errorf("past its time the page is %s elsewhere, want ended", got)
		}
	})
}

func TestWithoutTheLedgerANodeTakesMoneyForWhatItWasToldOf(t *testing.T) {
	pair(t, func(t *testing.T, here, there *stage, orders *orders) {
		order := paymentstest.Order(1, time.Now())
		orders.put(order)
		address := start(t, here, order)
		orders.fail(errors.New("the ledger is away"))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			path := address
			if method == http.MethodPost {
				path += "/pay"
			}
			if got := there.ask(method, path); got.Code != http.StatusServiceUnavailable || strings.Contains(got.Body.String(), "away") {
				t.Errorf("%s where nothing is known: %d %s, want 503 without the reason", method, got.Code, got.Body)
			}
		}
		here.press(t, address, paymentstest.Pay)
		if got := here.shows(t, address); got != page.SandboxPaid {
			t.Errorf("the page is %s, want paid", got)
		}
		orders.fail(nil)
		strange := here.pageURL(paymentstest.Order(2, time.Now()).ID)
		if got := there.ask(http.MethodGet, strange); got.Code != http.StatusNotFound {
			t.Errorf("an order that nobody has: %d, want 404", got.Code)
		}
	})
}

func TestAFolderIsOneSandboxsAlone(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		second, err := Open(s.config)
		if err == nil {
			t.Fatal("two sandboxes append to one journal", second.Close())
		}
		if !strings.Contains(err.Error(), s.folder) || !strings.Contains(err.Error(), "--data") {
			t.Errorf("%q does not say which folder, or what to do", err)
		}
	})
}
