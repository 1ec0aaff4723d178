package browsertest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// One browser serves all tests; every tab has storage of its own.
func TestBuyerPage(t *testing.T) {
	browser := start(t)
	for name, walk := range map[string]func(*testing.T, *Browser){
		"the countdown runs on the server's clock and opens the button":   countsDown,
		"an old state from a cache does not move the clock back":          keepsTheNewestClock,
		"a wrong clock of the buyer's changes nothing":                    ignoresTheBuyersClock,
		"a double click is one request and one order":                     pressesOnce,
		"a reload in mid-answer asks with the same key":                   reloadsInMidAnswer,
		"a lost answer is asked for with the same key":                    survivesALostAnswer,
		"the key is stored before the first request leaves":               storesTheKeyFirst,
		"busy answers are waited out and asked again with the same key":   waitsWhenBusy,
		"a pending order is followed until it is decided":                 followsAPendingOrder,
		"a pending order that was lost is asked for with the same key":    asksAgainForALostOrder,
		"a decided no frees the key, an undecided one keeps it":           keepsOrFreesTheKey,
		"offline is said, and the request goes on when the line is back":  goesOffline,
		"sold out, and the button wakes up when units come back":          wakesUp,
		"limit reached links to the order":                                linksToTheOrder,
		"an order is paid, and the way back shows it":                     pays,
		"an order can be given back":                                      givesBack,
		"an expired hold says so and the buyer may try again":             expires,
		"paused and closed are said and disable the button":               pausesAndCloses,
		"a token in the address is used, kept and removed from sight":     takesTheTokenOfTheAddress,
		"the shop's own script may bring the token":                       takesTheTokenOfTheShop,
		"a refused guest token is replaced once":                          renewsAGuest,
		"who is unknown is led to the shop's sign-in":                     leadsToSignIn,
		"a second tab finds the first one's order":                        sharesOneOrder,
		"Chinese readers read Chinese":                                    speaksChinese,
		"the facts are there without JavaScript":                          readsWithoutScript,
		"everything can be done with the keyboard, and the focus goes on": worksByKeyboard,
		"several units are bought up to the limit":                        buysSeveral,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, browser)
		})
	}
}

func countsDown(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.opensIn(25 * time.Second)
	tab := open(t, b, f.page())
	must(t, tab.Until(`/^00\D+00\D+[12]\d/.test(countdown.innerText)`))
	if !eval[bool](t, tab, `buy.disabled`) {
		t.Error("the button can be pressed before the opening")
	}
	f.opensIn(3 * time.Second)
	must(t, tab.Until(`!buy.disabled`))
	if early := time.Until(f.opensAt); early > 0 {
		t.Errorf("the button woke up %s before the opening", early)
	}
}

func keepsTheNewestClock(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.opensIn(25 * time.Second)
	tab := open(t, b, f.page())
	must(t, tab.Until(`/^00\D+00\D+[12]\d/.test(countdown.innerText)`))
	f.set(func(f *fake) { f.stale = time.Hour })
	polls := f.polled()
	must(t, f.until(func() bool { return f.polls > polls+1 }))
	if text := eval[string](t, tab, `countdown.innerText`); !strings.HasPrefix(text, "00") {
		t.Errorf("after an hour-old state the countdown says %q", text)
	}
}

func ignoresTheBuyersClock(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.opensIn(25 * time.Second)
	tab := blank(t, b, Desktop())
	must(t, before(tab, `{
		const Real = Date;
		Date = class extends Real {
			constructor(...a) { a.length ? super(...a) : super(Real.now() + 7200e3); }
			static now() { return Real.now() + 7200e3; }
		};
	}`))
	must(t, tab.Open(f.page()))
	must(t, tab.Until(`/^00\D+00\D+[12]\d/.test(countdown.innerText)`))
	if !eval[bool](t, tab, `buy.disabled`) {
		t.Error("two hours on the buyer's clock opened the sale")
	}
	f.opensIn(0)
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Until(`/^(10:00|9:5\d)$/.test(left.textContent)`))
}

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
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
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

func goesOffline(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, offline(tab, true))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("offline"))
	must(t, offline(tab, false))
	must(t, tab.Status("awaiting_payment"))
}

func wakesUp(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	f.soldOut(true)
	must(t, tab.Status("sold_out"))
	must(t, tab.Until(`buy.disabled && /comes back/.test(result.innerText)`))
	f.soldOut(false)
	must(t, tab.Until(`!buy.disabled && !result.innerText`))
	f.set(func(f *fake) {
		f.script = []reply{{status: 409, code: "sold_out", more: map[string]any{"may_return": false}}}
	})
	must(t, tab.Press("#buy"))
	must(t, tab.Until(`result.dataset.status === "sold_out" && /None will come back/.test(result.innerText)`))
}

func linksToTheOrder(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page()+"#token=ada")
	must(t, tab.Until(`!buy.disabled`))
	f.set(func(f *fake) {
		made, _ := f.order("ada", "elsewhere", "eu-40", 1)
		f.script = []reply{{status: 409, code: "limit_reached", more: map[string]any{"orders": []string{made.ID}}}}
	})
	must(t, tab.Press("#buy"))
	must(t, tab.Status("limit_reached"))
	must(t, tab.Press("#result a"))
	must(t, tab.Status("awaiting_payment"))
}

func pays(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Press("#pay"))
	must(t, tab.Until(`location.pathname === "/pay"`))
	id := eval[string](t, tab, `new URLSearchParams(location.search).get("order")`)
	must(t, tab.Open(f.page()+"#order="+id))
	must(t, tab.Status("awaiting_payment"))
	f.become("paid", "")
	must(t, tab.Status("paid"))
	if text := eval[string](t, tab, `document.getElementById("order-id").textContent`); text != id {
		t.Errorf("the page shows order %s, want %s", text, id)
	}
}

func givesBack(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Press("#back"))
	must(t, tab.Press("#no"))
	must(t, tab.Press("#back"))
	must(t, tab.Press("#yes"))
	must(t, tab.Status("cancelled"))
	must(t, tab.Press("#again"))
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].key == f.posts[1].key {
		t.Error("the new order was asked for with the key of the old one")
	}
}

func expires(t *testing.T, b *Browser) {
	f := newFake(t, func(sale *shop.Sale) { sale.Hold = 2 * time.Second })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Until(`/Time is up/.test(result.innerText) && pay.hidden`))
	f.become("expired", "")
	must(t, tab.Status("expired"))
	must(t, tab.Do(chromedp.Reload()))
	must(t, tab.Status("expired"))
	must(t, tab.Press("#again"))
	must(t, tab.Until(`!buy.disabled`))
}

func pausesAndCloses(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	for _, phase := range []string{"paused", "closed"} {
		f.set(func(f *fake) { f.phase = phase })
		must(t, tab.Status(phase))
		must(t, tab.Until(`buy.disabled`))
	}
}

func takesTheTokenOfTheAddress(t *testing.T, b *Browser) {
	f := newFake(t, func(sale *shop.Sale) { sale.Guests = false })
	tab := open(t, b, f.page()+"#token=ada")
	must(t, tab.Until(`!location.href.includes("ada")`))
	must(t, tab.Do(chromedp.Reload()))
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].token != "ada" {
		t.Errorf("asked as %q, want ada", f.posts[0].token)
	}
}

func takesTheTokenOfTheShop(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	for token, script := range map[string]string{
		"grace": `window.doorbuster = { token: "grace" }`,
		"linus": `window.doorbuster = { token: async () => "linus" }`,
	} {
		tab := blank(t, b, Desktop())
		must(t, before(tab, script))
		must(t, tab.Open(f.page()))
		must(t, tab.Until(`!buy.disabled`))
		must(t, tab.Press("#buy"))
		must(t, tab.Status("awaiting_payment"))
		f.mu.Lock()
		if last := f.posts[len(f.posts)-1]; last.token != token {
			t.Errorf("asked as %q, want %s", last.token, token)
		}
		f.mu.Unlock()
	}
}

func renewsAGuest(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.script = []reply{{status: 401, code: "unauthorized"}} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.guests != 2 || f.posts[0].token == f.posts[1].token {
		t.Errorf("%d guests were made, want 2, and the second one must ask", f.guests)
	}
}

func leadsToSignIn(t *testing.T, b *Browser) {
	f := newFake(t, func(sale *shop.Sale) { sale.Guests, sale.SignInURL = false, "https://shop.example/sign-in" })
	tab := open(t, b, f.page())
	must(t, tab.Status("unauthorized"))
	if href := eval[string](t, tab, `document.getElementById("sign-in").href`); href != f.sale.SignInURL {
		t.Errorf("the link leads to %s, want %s", href, f.sale.SignInURL)
	}
	if !eval[bool](t, tab, `buy.disabled`) {
		t.Error("nobody can press the button")
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

func speaksChinese(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	look := Phone()
	look.Language = "zh-CN"
	tab := blank(t, b, look)
	must(t, tab.Open(f.page()))
	must(t, tab.Until(`!buy.disabled && document.documentElement.lang === "zh-Hans" && /购买/.test(buy.innerText)`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Until(`/抢到了/.test(result.innerText)`))
}

func readsWithoutScript(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := blank(t, b, Phone())
	must(t, call(tab.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	must(t, tab.Open(f.page()))
	text, err := chromedp.Run(tab.ctx, chromedp.Text(chromedp.CSS("body")))
	must(t, err)
	for _, fact := range []string{f.sale.Title, f.sale.Description, "EU 45", "129.00 EUR", f.sale.OpensAt.Format("2006, 15:04 UTC"), "JavaScript", "启用"} {
		if !strings.Contains(text, fact) {
			t.Errorf("without JavaScript the page does not say %q:\n%s", fact, text)
		}
	}
	shoot(t, tab, "no-script-phone")
}

func worksByKeyboard(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	// Tab to the sizes, arrow to the next one, Tab to the button, Enter.
	must(t, tab.Do(chromedp.KeyEvent("\t"), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent("\t")))
	if id := eval[string](t, tab, `document.activeElement.id`); id != "buy" {
		t.Fatalf("after the sizes the focus is on %q, want the button", id)
	}
	must(t, tab.Do(chromedp.KeyEvent("\r")))
	must(t, tab.Status("awaiting_payment"))
	must(t, tab.Until(`document.activeElement === result`))
	must(t, tab.Do(chromedp.KeyEvent("\t")))
	if id := eval[string](t, tab, `document.activeElement.id`); id != "pay" {
		t.Errorf("after the result the focus goes to %q, want pay", id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[0].body != "1 eu-41" {
		t.Errorf("bought %s, want 1 eu-41", f.posts[0].body)
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
