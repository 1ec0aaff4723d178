package cashier_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func wantRefusal(t *testing.T, err error, code shop.Code) {
	t.Helper()
	if no, ok := errors.AsType[shop.Refusal](err); !ok || no.Code != code || no.Detail == "" {
		t.Errorf("%v; want a refusal %s with a sentence", err, code)
	}
}

func TestABuyerPaysAndTheOrderIsPaid(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.press(address, "pay"), "https://brand.example/drop#order="+order.ID.String(); got != want {
			t.Errorf("led back to %q, want %q", got, want)
		}
		if got := w.status(t, order.ID); got != shop.Paid {
			t.Errorf("the order is %s, want paid", got)
		}
		if w.count(cashier.Paid) != 1 || w.moved == 0 {
			t.Errorf("%d payments counted, %d moves told; want both", w.count(cashier.Paid), w.moved)
		}
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		wantRefusal(t, err, shop.WrongStatus)
	})
}

func TestOnlyTheOrdersOwnBuyerPaysInTime(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order, free := w.buy(t, "eu-42", "ann"), w.buy(t, "free", "bob")
		_, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "bob"}, order.ID)
		wantRefusal(t, err, shop.NotFound)
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann", Sale: "another"}, order.ID)
		wantRefusal(t, err, shop.NotFound)
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, shop.ClaimID{9})
		wantRefusal(t, err, shop.NotFound)
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "bob"}, free.ID)
		wantRefusal(t, err, shop.WrongStatus)

		w.ledger.Fail(ledger.ErrFull)
		if _, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID); !errors.Is(err, ledger.ErrFull) {
			t.Errorf("without a ledger: %v", err)
		}
		time.Sleep(2 * time.Minute) // nobody can expire it meanwhile
		w.ledger.Fail(nil)
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		wantRefusal(t, err, shop.WrongStatus)

		w.cashier.Provider = nil
		_, err = w.cashier.Start(t.Context(), gate.Identity{Buyer: "cid"}, w.buy(t, "eu-42", "cid").ID)
		wantRefusal(t, err, shop.NotFound)
	})
}

func TestAShopsOwnCheckoutIsWhereItsOrdersArePaid(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		own := sale()
		own.PayURL = "https://brand.example/checkout?order={order}"
		w.cashier.Board = emptyBoard()
		w.cashier.Board.Post(&gate.Notice{Sale: own, Phase: shop.Open})
		for name, provider := range map[string]payments.Provider{"beside the node's cashier": w.cashier.Provider, "alone": nil} {
			w.cashier.Provider = provider
			address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
			if want := "https://brand.example/checkout?order=" + order.ID.String(); err != nil || address != want {
				t.Errorf("%s: paid at %q, %v, want %q", name, address, err, want)
			}
		}
		_, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "bob"}, order.ID)
		wantRefusal(t, err, shop.NotFound)
	})
}

func TestASaleWithoutAPageOfItsOwnLeadsBackToOurs(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		w.cashier.Board = emptyBoard()
		_, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		wantRefusal(t, err, shop.Unavailable) // not yet
		own := sale()
		own.PageURL = ""
		w.cashier.Board.Post(&gate.Notice{Sale: own})
		address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.press(address, "leave"), "/s/retro-85#order="+order.ID.String(); got != want {
			t.Errorf("led back to %q, want %q", got, want)
		}
	})
}

func TestACancelledOrdersPageTakesNoMoney(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.cashier.Cancel(t.Context(), ledger.Cancellation{Order: order.ID, Buyer: "bob"}); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("cancel of somebody else's order: %v", err)
		}
		if _, err := w.cashier.Cancel(t.Context(), ledger.Cancellation{Order: order.ID, Buyer: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.press(address, "pay")
		if got := w.status(t, order.ID); got != shop.Cancelled {
			t.Errorf("the order is %s, want cancelled", got)
		}
		if _, paid, _ := w.Load().Paid(t.Context(), order.ID); paid {
			t.Error("the page took money for a cancelled order")
		}
	})
}

func TestTheMerchantsOwnReportEndsThePage(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			paid, err := w.cashier.Pay(t.Context(), ledger.Payment{Order: order.ID, Reference: "till 3, slip 12"})
			if err != nil || paid.Status != shop.Paid {
				t.Fatalf("paid: %s, %v", paid.Status, err)
			}
		}
		w.press(address, "pay")
		if _, paid, _ := w.Load().Paid(t.Context(), order.ID); paid {
			t.Error("the page took money for an order that was paid elsewhere")
		}
	})
}

func TestAnEventIsAcknowledgedOnlyWhenTheLedgerHasIt(t *testing.T) {
	for _, fault := range []error{ledger.ErrFull, errLine} {
		visit(t, func(t *testing.T, w *town) {
			order := w.buy(t, "eu-42", "ann")
			address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
			if err != nil {
				t.Fatal(err)
			}
			w.ledger.Fail(fault)
			w.press(address, "pay")
			synctest.Wait()
			answer := w.post(w.calls[0])
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
				t.Errorf("%v: the event is answered %d, want 503 with Retry-After", fault, answer.Code)
			}
			w.ledger.Fail(nil)
			time.Sleep(time.Minute) // the provider asks again
			if got := w.status(t, order.ID); got != shop.Paid {
				t.Errorf("the order is %s, want paid", got)
			}
			if replay := w.post(w.calls[0]); replay.Code != http.StatusNoContent {
				t.Errorf("a replay is answered %d, want 204", replay.Code)
			}
			if faults := w.ledger.Broken(w.taken(t)); len(faults) > 0 {
				t.Errorf("%q", faults)
			}
		})
	}
}

func TestMoneyThatPaysNothingIsKeptForRefund(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		dear := order
		dear.Amount = 1 // a page that somebody started at another price
		address, err := w.Start(t.Context(), dear, "/s/retro-85")
		if err != nil {
			t.Fatal(err)
		}
		w.press(address, "pay")
		if got := w.status(t, order.ID); got != shop.AwaitingPayment || w.count(cashier.Refused) != 1 {
			t.Errorf("paid with 1 of 12900: the order is %s, %d refused", got, w.count(cashier.Refused))
		}
		stranger := order
		stranger.ID = shop.ClaimID{0xff}
		if address, err = w.Start(t.Context(), stranger, "/s/retro-85"); err != nil {
			t.Fatal(err)
		}
		w.press(address, "pay")
		synctest.Wait()
		if w.count(cashier.Stranger) != 1 {
			t.Error("money for an order that nobody knows raises no alarm")
		}
		time.Sleep(time.Hour)
		if got := len(w.calls); got != 2 {
			t.Errorf("%d callbacks for two events that were acknowledged", got)
		}
		if faults := w.ledger.Broken(w.taken(t)); len(faults) > 0 {
			t.Errorf("%q", faults)
		}
	})
}

func TestTheCallbackTurnsAwayWhatIsNoEvent(t *testing.T) {
	visit(t, func(t *testing.T, w *town) {
		order := w.buy(t, "eu-42", "ann")
		address, err := w.cashier.Start(t.Context(), gate.Identity{Buyer: "ann"}, order.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.ledger.Fail(errLine)
		w.press(address, "pay")
		synctest.Wait()
		w.ledger.Fail(nil)
		genuine := w.calls[0]
		tampered := paymentstest.Call{Header: genuine.Header, Body: []byte(strings.Replace(string(genuine.Body), "12900", "12901", 1))}
		long := paymentstest.Call{Header: genuine.Header, Body: []byte(strings.Repeat(" ", 65<<10))}
		for name, c := range map[string]struct {
			answer *httptest.ResponseRecorder
			status int
			code   shop.Code
		}{
			"another amount": {w.post(tampered), 401, shop.Unauthorized},
			"too long":       {w.post(long), 413, shop.TooLarge},
			"not posted":     {w.get(), 405, shop.MethodNotAllowed},
			"unsigned":       {w.post(paymentstest.Call{Body: genuine.Body}), 401, shop.Unauthorized},
		} {
			var problem struct {
				Status int
				Code   shop.Code
				Detail string
			}
			if err := json.Unmarshal(c.answer.Body.Bytes(), &problem); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c.answer.Code != c.status || problem.Status != c.status || problem.Code != c.code || problem.Detail == "" {
				t.Errorf("%s: %d %+v", name, c.answer.Code, problem)
			}
		}
		if got := w.status(t, order.ID); got != shop.AwaitingPayment {
			t.Errorf("the order is %s, want awaiting_payment", got)
		}
	})
}
