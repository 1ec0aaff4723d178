package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func pressesOnce(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	hold := make(chan struct{})
	f.set(func(f *fake) { f.script = []reply{{hold: hold}} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Do(chromedp.DoubleClick(chromedp.CSS("#buy"))))
	must(t, tab.Until(`buy.disabled`))
	if _, err := Eval[bool](tab, `buy.click(), true`); err != nil {
		t.Fatal(err)
	}
	must(t, f.until(func() bool { return len(f.posts) == 1 }))
	close(hold)
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.posts) != 1 || f.most != 1 || len(f.orders) != 1 {
		t.Errorf("%d requests, %d at once, %d orders; want one of each", len(f.posts), f.most, len(f.orders))
	}
}

func reloadsInMidAnswer(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	hold := make(chan struct{})
	f.set(func(f *fake) { f.script = []reply{{hold: hold}} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press(`[value="eu-43"] + span`))
	must(t, tab.Press("#buy"))
	must(t, f.until(func() bool { return len(f.posts) == 1 }))
	must(t, tab.Do(chromedp.Reload()))
	close(hold)
	must(t, tab.Status("awaiting_payment"))
	f.sameKey(t, 2)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.orders) != 1 || f.posts[1].body != "1 eu-43" {
		t.Errorf("%d orders after the reload, want 1; it asked for %s", len(f.orders), f.posts[1].body)
	}
}

func survivesALostAnswer(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.script = []reply{{lose: true}, {refuse: true}} })
	win(t, b, f)
	f.sameKey(t, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.orders) != 1 {
		t.Errorf("%d orders, want 1", len(f.orders))
	}
}

func storesTheKeyFirst(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := blank(t, b, Desktop())
	must(t, before(tab, `{
		const real = fetch;
		window.fetch = (address, request) => {
			const key = request?.headers?.["Idempotency-Key"];
			if (key) window.stored = Object.values(localStorage).some((value) => value.includes(key));
			return real(address, request);
		};
	}`))
	must(t, tab.Open(f.page()))
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	if !eval[bool](t, tab, `window.stored`) {
		t.Error("the request left before its key was stored")
	}
}

func waitsWhenBusy(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) {
		f.script = []reply{
			{status: 503, code: "overloaded", after: "2"},
			{status: 429, code: "too_many_requests", after: "1"},
		}
	})
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	began := time.Now()
	must(t, tab.Press("#buy"))
	must(t, tab.Status("overloaded"))
	if !eval[bool](t, tab, `buy.disabled`) {
		t.Error("the button can be pressed while the page waits")
	}
	must(t, tab.Status("awaiting_payment"))
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("the order came after %s; the page was told to wait for 2 s and 1 s", took)
	}
	f.sameKey(t, 3)
}

func followsAPendingOrder(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.script = []reply{{pending: true}} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("pending"))
	f.become("refused", "missed")
	must(t, tab.Status("missed"))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].key == f.posts[1].key {
		t.Error("a key that was decided against was used again")
	}
}

func asksAgainForALostOrder(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.script = []reply{{pending: true}} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("pending"))
	f.set(func(f *fake) { clear(f.orders); clear(f.keys) })
	must(t, tab.Status("awaiting_payment"))
	f.sameKey(t, 2)
}

func keepsOrFreesTheKey(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) {
		f.script = []reply{
			{status: 409, code: "not_open"},
			{status: 409, code: "missed", decision: "refused"},
		}
	})
	tab := open(t, b, f.page())
	for _, code := range []string{"not_open", "missed", "awaiting_payment"} {
		must(t, tab.Until(`!buy.disabled`))
		must(t, tab.Press("#buy"))
		must(t, tab.Status(code))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].key != f.posts[1].key {
		t.Error("a no without an order changed the key")
	}
	if f.posts[1].key == f.posts[2].key {
		t.Error("a decided no did not free the key")
	}
}

func sharesOneOrder(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	first := open(t, b, f.page())
	must(t, first.Until(`!buy.disabled`))
	second, err := first.Sibling()
	must(t, err)
	t.Cleanup(second.Close)
	must(t, second.Open(f.page()))
	must(t, second.Until(`!buy.disabled`))
	must(t, first.Press("#buy"))
	must(t, first.Status("awaiting_payment"))
	must(t, second.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.orders) != 1 {
		t.Errorf("%d orders, want 1", len(f.orders))
	}
}

func buysSeveral(t *testing.T, b *Browser) {
	f := newFake(t, func(sale *shop.Sale) { sale.LimitPerBuyer = 3 })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Do(chromedp.SendKeys(chromedp.CSS("[name=quantity]"), "3")))
	must(t, tab.Until(`/3 × EU 40/.test(buy.innerText) && /387/.test(buy.innerText)`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].body != "3 eu-40" {
		t.Errorf("bought %s, want 3 eu-40", f.posts[0].body)
	}
}
