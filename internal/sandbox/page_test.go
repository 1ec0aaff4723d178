package sandbox

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func start(t *testing.T, s *stage, order shop.Order) string {
	t.Helper()
	address, err := s.Start(t.Context(), order, paymentstest.Back)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestThePageSaysWhereThePaymentStands(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		order := paymentstest.Order(1, time.Now())
		address := start(t, s, order)
		open := s.show(t, address)
		for _, want := range []string{"258.00 EUR", "Retro &lt;85&gt;", "EU 42", address + "/pay", address + "/decline", address + "/leave"} {
			if !strings.Contains(open, want) {
				t.Errorf("the open page does not hold %q:\n%s", want, open)
			}
		}
		declined := s.show(t, s.press(t, address, paymentstest.Decline))
		if declined == open || !strings.Contains(declined, address+"/pay") {
			t.Error("after a declined attempt the page does not say so, or takes no other")
		}
		s.press(t, address, paymentstest.Pay)
		paid := s.show(t, address)
		if strings.Contains(paid, address+"/pay") || !strings.Contains(paid, `href="`+strings.ReplaceAll(paymentstest.Back, "&", "&amp;")) {
			t.Errorf("the paid page can be paid, or does not lead back:\n%s", paid)
		}
		late := start(t, s, paymentstest.Order(2, time.Now()))
		time.Sleep(10 * time.Minute)
		if over := s.show(t, late); over == paid || strings.Contains(over, late+"/pay") {
			t.Error("past its time the page does not say so, or can be paid")
		}
		if _, known, _ := s.Paid(t.Context(), shop.ClaimID{2}); known {
			t.Error("an order that never started is paid")
		}
	})
}

func TestAPageOpensOnlyByItsOwnAddress(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		first := start(t, s, paymentstest.Order(1, time.Now()))
		second := start(t, s, paymentstest.Order(2, time.Now()))
		mark := func(address string) string { return address[strings.LastIndexByte(address, '-')+1:] }
		for _, address := range []string{
			pagePrefix, strings.TrimSuffix(first, mark(first)), strings.TrimSuffix(first, mark(first)) + mark(second),
			strings.ToUpper(first), first + "00", first[:len(first)-2], pagePrefix + "-", pagePrefix + "x-y", first + "/nothing", first + "/",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if code := s.ask(method, address).Code; code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: %d, want 404 or 405", method, address, code)
				}
			}
		}
		if code := s.ask(http.MethodGet, first+"/pay").Code; code != http.StatusMethodNotAllowed {
			t.Errorf("GET of what pays: %d, want 405", code)
		}
		header := s.ask(http.MethodGet, first).Header()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self' https://shop.example") {
			t.Errorf("Content-Security-Policy %q", policy)
		}
	})
}

func TestKeysAreExchangedWithoutLosingAnEventOrAPage(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		order := paymentstest.Order(1, time.Now())
		address := start(t, s, order)
		s.press(t, address, paymentstest.Pay)
		old := s.shop.take(t, 1)[0]
		later := start(t, s, paymentstest.Order(2, time.Now()))

		s.keys = []gate.Secret{keyOf("n"), keyOf("k")}
		s.restart(t)
		if _, err := s.Event(old.Header, old.Body); err != nil {
			t.Errorf("an event signed with the key before: %v", err)
		}
		s.press(t, later, paymentstest.Pay)
		fresh := s.shop.take(t, 1)[0]
		if _, err := s.Event(fresh.Header, fresh.Body); err != nil {
			t.Errorf("an event signed with the new key: %v", err)
		}

		s.keys = []gate.Secret{keyOf("n")}
		s.restart(t)
		if _, err := s.Event(old.Header, old.Body); err == nil {
			t.Error("an event signed with a key that is gone is believed")
		}
		if _, err := s.Event(fresh.Header, fresh.Body); err != nil {
			t.Errorf("an event signed with the key that stays: %v", err)
		}
	})
}

func TestEventsWaitLongerAndLongerForTheShop(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		s.shop.answer(http.StatusServiceUnavailable)
		s.press(t, start(t, s, paymentstest.Order(1, time.Now())), paymentstest.Pay)
		time.Sleep(30 * time.Second)
		if got := len(s.shop.take(t, 0)); got != 5 { // at 0, 1, 3, 7 and 15 s
			t.Errorf("%d posts in the first 30 s, want 5", got)
		}
		time.Sleep(time.Hour)
		if got := len(s.shop.take(t, 0)); got < 55 || got > 61 {
			t.Errorf("%d posts in an hour, want one a minute", got)
		}
		s.shop.answer(http.StatusNoContent)
		time.Sleep(time.Minute)
		s.shop.take(t, 1)
		time.Sleep(time.Hour)
		if got := len(s.shop.take(t, 0)); got != 0 {
			t.Errorf("%d posts of an event that the shop has", got)
		}
	})
}

func TestNoticesWithoutMoneyAreBounded(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		s.shop.answer(http.StatusServiceUnavailable)
		address := start(t, s, paymentstest.Order(1, time.Now()))
		for range 2 * noticesMax {
			s.press(t, address, paymentstest.Decline)
		}
		synctest.Wait()
		s.outbox.mu.Lock()
		if waiting := len(s.outbox.letters); waiting > noticesMax {
			t.Errorf("%d notices wait, want at most %d", waiting, noticesMax)
		}
		s.outbox.mu.Unlock()
		time.Sleep(5 * time.Minute)
		s.shop.take(t, 1)
		time.Sleep(time.Hour)
		if got := len(s.shop.take(t, 0)); got != 0 {
			t.Errorf("%d posts of notices an hour later, want them dropped", got)
		}
	})
}

func TestTheShopIsCalledByTheNameItAnswersTo(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		s.press(t, start(t, s, paymentstest.Order(1, time.Now())), paymentstest.Pay)
		s.shop.take(t, 1)
		s.host = "shop.example"
		s.restart(t)
		s.press(t, start(t, s, paymentstest.Order(2, time.Now())), paymentstest.Pay)
		s.shop.take(t, 1)
		if want := []string{"shop.test", "shop.example"}; !slices.Equal(s.shop.hosts, want) {
			t.Errorf("Host %q, want %q", s.shop.hosts, want)
		}
	})
}

// A pipe takes what is written and cannot be synced.
func TestMoneyIsTakenOnlyWhenItIsOnDisk(t *testing.T) {
	in(t, func(t *testing.T, s *stage) {
		order := paymentstest.Order(1, time.Now())
		address := start(t, s, order)
		reads, writes, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		file := s.journal.file
		s.journal.file = writes
		t.Cleanup(func() { _ = errors.Join(reads.Close(), file.Close()) })
		for range 2 {
			if got := s.ask(http.MethodPost, address+"/pay"); got.Code != http.StatusServiceUnavailable {
				t.Errorf("paid without a disk: %d, want 503", got.Code)
			}
		}
		if got := s.ask(http.MethodGet, address); got.Code != http.StatusServiceUnavailable {
			t.Errorf("the page without a disk: %d, want 503: whether it is paid is not known", got.Code)
		}
		if _, there, err := s.Paid(t.Context(), order.ID); there || err == nil {
			t.Errorf("paid: %v, %v; want an error, which is not a no", there, err)
		}
		time.Sleep(time.Minute)
		if calls := s.shop.take(t, 0); len(calls) > 0 {
			t.Errorf("money that may be lost is reported: %s", calls[0].Body)
		}
	})
}
