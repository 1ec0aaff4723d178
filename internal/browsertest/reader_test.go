package browsertest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/doorbuster/doorbuster/internal/shop"
)

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
	win(t, b, f)
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

func buysFromAnotherOrigin(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	folder := t.TempDir()
	must(t, f.pages.Export(folder, f.sale, f.URL))
	for _, address := range []string{"/s/retro-85/", "/s/retro-85/index.html"} {
		cdn := httptest.NewServer(http.FileServer(http.Dir(folder)))
		t.Cleanup(cdn.Close)
		f.set(func(f *fake) { f.cors = cdn.URL })
		tab := blank(t, b, Phone())
		_, err := tab.Win(cdn.URL + address)
		must(t, err)
		tab.Close()
		cdn.CloseClientConnections()
	}
}
