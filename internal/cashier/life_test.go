package cashier_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func emptyBoard() *gate.Board { return gate.NewBoard() }

func (w *town) get() *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.cashier.Callback().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/payments/sandbox/events", http.NoBody))
	return recorder
}

// taken returns the reference of every charge that the provider took for an
// order that the ledger knows.
func (w *town) taken(t *testing.T) []string {
	t.Helper()
	orders, _, err := w.ledger.List(t.Context(), ledger.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var references []string
	for _, order := range orders {
		for _, node := range w.nodes() {
			charge, there, err := node.Load().Paid(t.Context(), order.ID)
			if err != nil {
				t.Fatal(err)
			}
			if there {
				references = append(references, charge.Reference)
			}
		}
	}
	return references
}

// step is one thing that happens in the life of a shop; n chooses to whom.
type step struct {
	action string
	n      int
}

func lives() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{rapid.SampledFrom([]string{
			"buy", "buy", "start", "start", "pay", "pay", "pay", "decline", "leave", "cancel", "call off", "paid",
			"wait", "wait", "replay", "full", "restart", "weather", "weather",
		}).Draw(rt, "action"), rapid.IntRange(0, 1000).Draw(rt, "n")}
	}), 10, 60)
}

// Random buyers, a merchant, a bad line and time do to a shop what they can.
// design: protocol.md, I2, I3 and I8; faults.md 46 to 50.
func TestEachChargeIsOnePaidOrderOrOneRefundDue(t *testing.T) {
	t.Run("at one node", func(t *testing.T) { liveAndSettle(t, newTown) })
	t.Run("at two nodes", func(t *testing.T) {
		liveAndSettle(t, func(t *testing.T) *town {
			t.Helper()
			here, _ := newTwins(t)
			return here
		})
	})
}

func liveAndSettle(t *testing.T, build func(*testing.T) *town) {
	ends := map[shop.Status]int{}
	rapid.Check(t, func(rt *rapid.T) {
		steps, seed := lives().Draw(rt, "steps"), rapid.Uint64().Draw(rt, "line")
		var fault string
		synctest.Test(t, func(t *testing.T) {
			w := build(t)
			for _, node := range w.nodes() {
				defer node.stop()
			}
			if fault = w.live(t, steps, seed); fault == "" {
				fault = w.settle(t, ends)
			}
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
	for _, status := range []shop.Status{shop.Paid, shop.Expired, shop.Cancelled, shop.RefundDue} {
		if ends[status] == 0 {
			t.Errorf("no order ended %s: %v", status, ends)
		}
	}
}

// live takes the steps and returns what does not add up after one of them.
func (w *town) live(t *testing.T, steps []step, seed uint64) string {
	for i, node := range w.nodes() {
		node.chance = rand.New(rand.NewPCG(seed, uint64(i)))
		node.turn(mixed)
	}
	var pages []string
	var orders []shop.Order
	for i, step := range steps {
		if len(orders) == 0 || step.action == "buy" {
			if order, err := w.ledger.Buy("retro-85", "eu-42", []string{"ann", "bob", "cid"}[step.n%3]); err == nil {
				orders = append(orders, order)
			}
		}
		if len(orders) == 0 {
			continue
		}
		order, here := orders[step.n%len(orders)], w.at(step.n/100)
		switch step.action {
		case "start":
			if page, err := here.cashier.Start(t.Context(), gate.Identity{Buyer: order.Buyer}, order.ID); err == nil {
				pages = append(pages, page)
			}
		case "pay", "decline", "leave":
			if len(pages) > 0 {
				here.press(pages[step.n%len(pages)], step.action)
			}
		case "replay":
			synctest.Wait()
			if len(w.calls) > 0 {
				here.post(w.calls[step.n%len(w.calls)])
			}
		case "wait":
			time.Sleep(time.Duration(step.n%180) * time.Second)
		case "full":
			w.ledger.Fail([]error{nil, nil, ledger.ErrFull}[step.n%3])
		case "restart":
			here.reopen(t)
		case "weather":
			here.turn(weather(step.n) % seasons)
		default:
			here.merchant(t, step, &order)
		}
		synctest.Wait()
		if faults := w.ledger.Broken(nil); len(faults) > 0 {
			return fmt.Sprintf("after step %d, %s: %q", i, step.action, faults)
		}
	}
	return ""
}

// merchant is what is done to an order without the provider. That some of it
// is refused is part of life.
func (w *town) merchant(t *testing.T, step step, order *shop.Order) {
	switch step.action {
	case "cancel":
		_, _ = w.cashier.Cancel(t.Context(), ledger.Cancellation{Order: order.ID, Buyer: order.Buyer})
	case "call off":
		_, _ = w.cashier.Cancel(t.Context(), ledger.Cancellation{Order: order.ID, Restock: step.n%2 == 0})
	case "paid":
		_, _ = w.cashier.Pay(t.Context(), ledger.Payment{Order: order.ID, Reference: []string{"slip 1", "slip 2"}[step.n%2]})
	}
}

// settle heals everything, lets time go by and returns what does not add up.
func (w *town) settle(t *testing.T, ends map[shop.Status]int) string {
	for _, node := range w.nodes() {
		node.turn(fair)
	}
	w.ledger.Fail(nil)
	time.Sleep(6 * time.Minute) // a hold, and the longest wait before an event is sent again
	synctest.Wait()
	if faults := w.ledger.Broken(w.taken(t)); len(faults) > 0 {
		return fmt.Sprintf("in the end: %q", faults)
	}
	orders, _, err := w.ledger.List(t.Context(), ledger.Query{})
	if err != nil {
		return err.Error()
	}
	for _, order := range orders {
		if order.Status == shop.AwaitingPayment {
			return fmt.Sprintf("order %s still awaits payment", order.ID)
		}
		ends[order.Status]++
	}
	return ""
}
