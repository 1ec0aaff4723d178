// Package paymentstest is what every payment provider must do, and a ledger
// in memory to try it against.
package paymentstest

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Stage is a provider with the world around it in the test's hands.
type Stage struct {
	Provider payments.Provider

	// Press does what a buyer does who presses a button of the page at url,
	// and returns where the browser is led; empty: to no other page.
	Press func(t *testing.T, url string, button Button) string

	// Calls returns the callbacks that the provider sent since the last call,
	// each of which got the answer of Answer, once at least atLeast are there.
	Calls func(t *testing.T, atLeast int) []Call

	// Answer sets the status with which callbacks are answered from now on.
	Answer func(status int)

	// Pass lets time go by, for the provider and for who reads its events.
	Pass func(d time.Duration)
	Now  func() time.Time

	// Restart ends the provider without notice and returns it as it comes up.
	Restart func(t *testing.T) payments.Provider
}

// Button is what a buyer can press on a payment page.
type Button string

// The buttons of a payment page.
const (
	Pay     Button = "pay"
	Decline Button = "decline"
	Leave   Button = "leave"
)

// Call is one callback as it came over the wire.
type Call struct {
	Header http.Header
	Body   []byte
}

// Back is where the suite's payments lead back to.
const Back = "https://shop.example/drop?lang=en#order=0123"

// Run runs the suite. set builds a stage for a provider that has seen nothing
// yet, plays one case on it and clears it away; in a bubble of synctest, if
// the provider can do without a network.
func Run(t *testing.T, set func(t *testing.T, play func(t *testing.T, stage Stage))) {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, stage Stage)
	}{
		{"a second start leads to the same payment", startTwice},
		{"a payment is reported as it was ordered, and known when asked", payOnce},
		{"many clicks at once are one charge", clickTwice},
		{"after paying the buyer is led back to the shop", leadBack},
		{"a declined attempt is reported and can be followed by a payment", declineThenPay},
		{"a buyer who leaves is reported and may come back", leaveThenPay},
		{"an ended payment takes no money", endThenPay},
		{"ending a paid payment changes nothing", payThenEnd},
		{"ending what never started changes nothing", endUnknown},
		{"a payment takes no money past its time", payLate},
		{"an event that is not acknowledged comes again under the same id", again},
		{"a restart forgets no charge and no event", restart},
		{"an event that anybody touched is refused", tampered},
		{"an event older than the tolerance is refused", aged},
		{"whatever anybody posts is no event", garbage},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { set(t, c.run) })
	}
}

// Order returns an order that awaits payment, of one of 256 ids.
func Order(number byte, now time.Time) shop.Order {
	return shop.Order{
		ID: shop.ClaimID{0xa5, number}, Sale: "retro-85", Buyer: "ann", SKU: "eu-42", Quantity: 2,
		Status: shop.AwaitingPayment, Amount: 25800, Currency: "EUR", CreatedAt: now, PayBy: now.Add(10 * time.Minute),
	}
}

func (s *Stage) start(t *testing.T, order shop.Order) string {
	t.Helper()
	url, err := s.Provider.Start(t.Context(), order, Back)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return url
}

// events reads the calls since the last time, at least one, as events; one
// that does not verify fails the test.
func (s *Stage) events(t *testing.T) []payments.Event {
	t.Helper()
	var events []payments.Event
	for _, call := range s.Calls(t, 1) {
		event, err := s.Provider.Event(call.Header, call.Body)
		if err != nil {
			t.Fatalf("event %s: %v", call.Body, err)
		}
		events = append(events, event)
	}
	return events
}

// wantCharge checks that the provider took the order's money, and returns it.
func (s *Stage) wantCharge(t *testing.T, order shop.Order) payments.Charge {
	t.Helper()
	charge, there, err := s.Provider.Paid(t.Context(), order.ID)
	if err != nil || !there {
		t.Fatalf("paid: %v, %v; want the charge", there, err)
	}
	want := payments.Charge{Reference: charge.Reference, Order: order.ID, Amount: order.Amount, Currency: order.Currency}
	if diff := cmp.Diff(want, charge); diff != "" || charge.Reference == "" {
		t.Fatalf("charge %+v (-want +got):\n%s", charge, diff)
	}
	return charge
}

func (s *Stage) wantNoCharge(t *testing.T, id shop.ClaimID) {
	t.Helper()
	if charge, there, err := s.Provider.Paid(t.Context(), id); err != nil || there {
		t.Fatalf("paid: %+v, %v, %v; want no charge", charge, there, err)
	}
}

func startTwice(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	first, second := s.start(t, order), s.start(t, order)
	s.Press(t, first, Pay)
	charge := s.wantCharge(t, order)
	s.Press(t, second, Pay)
	if again := s.wantCharge(t, order); again != charge {
		t.Errorf("two starts, two charges: %+v and %+v", charge, again)
	}
	other := Order(2, s.Now())
	if url := s.start(t, other); url == first {
		t.Errorf("two orders share the page %s", url)
	}
	s.wantNoCharge(t, other.ID)
}

func payOnce(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	url := s.start(t, order)
	s.wantNoCharge(t, order.ID)
	s.Press(t, url, Pay)
	charge := s.wantCharge(t, order)
	event := s.events(t)[0]
	want := payments.Event{ID: event.ID, Kind: payments.Succeeded, At: event.At, Charge: charge, Order: order.ID}
	if diff := cmp.Diff(want, event); diff != "" || event.ID == "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func clickTwice(t *testing.T, s Stage) {
	const clicks = 20
	order := Order(1, s.Now())
	url := s.start(t, order)
	var all sync.WaitGroup
	for range clicks {
		all.Go(func() { s.Press(t, url, Pay) })
	}
	all.Wait()
	charge := s.wantCharge(t, order)
	for _, event := range s.events(t) {
		if event.Charge != charge {
			t.Errorf("%d clicks: a charge %+v beside %+v", clicks, event.Charge, charge)
		}
	}
}

func leadBack(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	if got := s.Press(t, s.start(t, order), Pay); got != Back {
		t.Errorf("the buyer is led to %q, want %q", got, Back)
	}
	for _, evil := range []string{"javascript:alert(1)", "//evil.example/x", "data:text/html,x", `/\evil.example`, "ftp://x/y", "drop"} {
		if _, err := s.Provider.Start(t.Context(), Order(2, s.Now()), evil); err == nil {
			t.Errorf("start with return address %q: no error", evil)
		}
	}
}

func declineThenPay(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	url := s.start(t, order)
	s.Press(t, url, Decline)
	if event := s.events(t)[0]; event.Kind != payments.Declined || event.Order != order.ID {
		t.Errorf("event %+v, want a declined attempt", event)
	}
	s.wantNoCharge(t, order.ID)
	s.Press(t, url, Pay)
	s.wantCharge(t, order)
}

func leaveThenPay(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	url := s.start(t, order)
	if got := s.Press(t, url, Leave); got != Back {
		t.Errorf("the buyer is led to %q, want %q", got, Back)
	}
	if event := s.events(t)[0]; event.Kind != payments.Abandoned || event.Order != order.ID {
		t.Errorf("event %+v, want an abandoned page", event)
	}
	s.wantNoCharge(t, order.ID)
	s.Press(t, s.start(t, order), Pay)
	s.wantCharge(t, order)
}

func endThenPay(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	url := s.start(t, order)
	for range 2 {
		if err := s.Provider.End(t.Context(), order.ID); err != nil {
			t.Fatalf("end: %v", err)
		}
	}
	s.Press(t, url, Pay)
	s.wantNoCharge(t, order.ID)
}

func payThenEnd(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	s.Press(t, s.start(t, order), Pay)
	charge := s.wantCharge(t, order)
	if err := s.Provider.End(t.Context(), order.ID); err != nil {
		t.Fatalf("end: %v", err)
	}
	if after := s.wantCharge(t, order); after != charge {
		t.Errorf("charge %+v after the end, want %+v", after, charge)
	}
}

func endUnknown(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	if err := s.Provider.End(t.Context(), order.ID); err != nil {
		t.Fatalf("end: %v", err)
	}
	s.wantNoCharge(t, order.ID)
}

func payLate(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	url := s.start(t, order)
	s.Pass(10 * time.Minute)
	s.Press(t, url, Pay)
	s.wantNoCharge(t, order.ID)
}

func again(t *testing.T, s Stage) {
	order := Order(1, s.Now())
	s.Answer(http.StatusServiceUnavailable)
	s.Press(t, s.start(t, order), Pay)
	first := s.events(t)[0]
	s.Pass(time.Minute)
	second := s.events(t)[0]
	s.Answer(http.StatusNoContent)
	s.Pass(2 * time.Minute)
	third := s.events(t)[0]
	if first != second || second != third {
		t.Errorf("three sendings of one event differ: %+v, %+v, %+v", first, second, third)
	}
}

func restart(t *testing.T, s Stage) {
	paid, open, ended := Order(1, s.Now()), Order(2, s.Now()), Order(3, s.Now())
	s.Answer(http.StatusServiceUnavailable)
	s.Press(t, s.start(t, paid), Pay)
	before := s.events(t)[0]
	url := s.start(t, open)
	dead := s.start(t, ended)
	if err := s.Provider.End(t.Context(), ended.ID); err != nil {
		t.Fatalf("end: %v", err)
	}
	s.Provider = s.Restart(t)
	s.Answer(http.StatusNoContent)
	s.Pass(time.Minute)
	if after := s.events(t)[0]; after != before {
		t.Errorf("event %+v after the restart, want %+v", after, before)
	}
	if charge := s.wantCharge(t, paid); charge != before.Charge {
		t.Errorf("charge %+v after the restart, want %+v", charge, before.Charge)
	}
	s.Press(t, url, Pay)
	s.wantCharge(t, open)
	s.Press(t, dead, Pay)
	s.wantNoCharge(t, ended.ID)
}

// paidCall returns the callback of a payment.
func (s *Stage) paidCall(t *testing.T) Call {
	t.Helper()
	s.Press(t, s.start(t, Order(1, s.Now())), Pay)
	return s.Calls(t, 1)[0]
}

func (s *Stage) wantForged(t *testing.T, what string, header http.Header, body []byte) {
	t.Helper()
	if event, err := s.Provider.Event(header, body); err != payments.ErrSignature { //nolint:errorlint // the contract names this very error
		t.Errorf("%s: %+v, %v; want %v", what, event, err, payments.ErrSignature)
	}
}

func tampered(t *testing.T, s Stage) {
	call := s.paidCall(t)
	for i := range call.Body {
		body := append([]byte(nil), call.Body...)
		body[i] ^= 0x01
		s.wantForged(t, "body changed", call.Header, body)
	}
	s.wantForged(t, "body longer", call.Header, append(append([]byte(nil), call.Body...), ' '))
	s.wantForged(t, "body shorter", call.Header, call.Body[:len(call.Body)-1])
	for name, values := range call.Header {
		if !strings.Contains(strings.ToLower(name), "webhook") && !strings.Contains(strings.ToLower(name), "signature") {
			continue
		}
		for _, other := range []string{"", "x" + values[0], values[0] + "0", strings.ToUpper(values[0]) + "="} {
			header := call.Header.Clone()
			header.Set(name, other)
			s.wantForged(t, name+" "+other, header, call.Body)
		}
	}
}

func aged(t *testing.T, s Stage) {
	call := s.paidCall(t)
	if _, err := s.Provider.Event(call.Header, call.Body); err != nil {
		t.Fatalf("fresh event: %v", err)
	}
	s.Pass(5*time.Minute + time.Second)
	s.wantForged(t, "five minutes old", call.Header, call.Body)
}

func garbage(t *testing.T, s Stage) {
	for _, body := range []string{"", "{}", "null", "\x00\xff", `{"type":"payment.succeeded"}`, strings.Repeat("[", 10_000)} {
		s.wantForged(t, body[:min(len(body), 40)], http.Header{}, []byte(body))
		header := http.Header{}
		for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Stripe-Signature"} {
			header.Set(name, "v1,AAAA")
		}
		s.wantForged(t, body[:min(len(body), 40)], header, []byte(body))
	}
}
