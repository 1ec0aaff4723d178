package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

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
	tab := blank(t, b, Desktop())
	id, err := tab.Win(f.page())
	must(t, err)
	must(t, tab.Pay(func(tab *Tab) error {
		if paying := eval[string](t, tab, `new URLSearchParams(location.search).get("order")`); paying != id {
			t.Errorf("the cashier is asked for order %s, want %s", paying, id)
		}
		if err := tab.Open(f.page() + "#order=" + id); err != nil {
			return err
		}
		if err := tab.Status("awaiting_payment"); err != nil { // the money is late
			return err
		}
		f.become("paid", "")
		return nil
	}))
	if shown := eval[string](t, tab, `document.getElementById("order-id").textContent`); shown != id {
		t.Errorf("the page shows order %s, want %s", shown, id)
	}
}

func givesBack(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	tab := win(t, b, f)
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
	tab := win(t, b, f)
	must(t, tab.Until(`/Time is up/.test(result.innerText) && pay.hidden`))
	f.become("expired", "")
	must(t, tab.Status("expired"))
	must(t, tab.Do(chromedp.Reload()))
	must(t, tab.Status("expired"))
	must(t, tab.Press("#again"))
	must(t, tab.Until(`!buy.disabled`))
}
