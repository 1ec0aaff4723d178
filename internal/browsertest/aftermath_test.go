package browsertest

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func comesBack(t *testing.T, b *Browser, program string) {
	n := serve(t, program)
	sale := newLaunch(1, 1)
	sale.Hold = "30s" // the shortest
	n.sell(t, sale)
	desktop, phone := Desktop().in("zh-CN"), Phone().in("en-GB")
	ada, cleo := blank(t, b, desktop), blank(t, b, phone)
	_, err := ada.Win(n.page())
	must(t, err)
	ben := blank(t, b, Desktop())
	_, err = ben.Win(n.page() + "#token=" + n.token(t, "ben"))
	must(t, err)
	must(t, ben.Pay(pay))
	must(t, cleo.Open(n.page()))
	must(t, cleo.Status("sold_out"))
	must(t, cleo.Until(`buy.disabled && /comes back/.test(result.innerText)`))
	phone.judge(t, cleo, "node-sold-out")
	must(t, ada.Until(`/^0:(1\d|0\d)$/.test(left.textContent)`))
	desktop.judge(t, ada, "node-last-seconds")

	must(t, ada.Status("expired"))
	desktop.judge(t, ada, "node-expired")
	must(t, ada.Until(`document.querySelector("[value=eu-41]").parentNode.dataset.state !== "sold_out" && !again.hidden`))
	must(t, cutState(ada)) // she goes on with a state that will be old
	must(t, ada.Press("#again"))
	must(t, ada.Until(`!buy.disabled`))
	must(t, cleo.Until(`!buy.disabled && !result.innerText`))
	must(t, cleo.Press("#buy"))
	_, err = cleo.Won()
	must(t, err)
	must(t, cleo.Pay(pay))

	must(t, ada.Press("#buy"))
	must(t, ada.Status("sold_out"))
	must(t, ada.Until(`/已无剩余/.test(result.innerText)`))
	desktop.judge(t, ada, "node-sold-out-for-good")
	count := map[string]int{}
	for _, o := range n.orders(t) {
		count[o.Status]++
	}
	if count["paid"] != 2 || count["expired"] != 1 || len(count) != 2 {
		t.Errorf("the node counts %v, want 2 paid and 1 expired", count)
	}
	n.balanced(t)
}

func showsLimitAndPhases(t *testing.T, b *Browser, program string) {
	n := serve(t, program)
	sale := newLaunch(2, 3)
	sale.Guests, sale.SignInURL = false, "https://shop.example/sign-in"
	n.sell(t, sale)
	look := Phone().in("zh-CN")
	stranger, ada, elsewhere, ben := blank(t, b, look), blank(t, b, look), blank(t, b, look), blank(t, b, look)
	must(t, stranger.Open(n.page()))
	must(t, stranger.Status("unauthorized"))
	look.judge(t, stranger, "node-sign-in")
	token := n.token(t, "ada")
	must(t, elsewhere.Open(n.page()+"#token="+token))
	must(t, elsewhere.Until(`!buy.disabled`))
	id, err := ada.Win(n.page() + "#token=" + token)
	must(t, err)
	must(t, elsewhere.Press("#buy"))
	must(t, elsewhere.Status("limit_reached"))
	look.judge(t, elsewhere, "node-limit")
	must(t, elsewhere.Press("#result a"))
	if shown, err := elsewhere.Won(); err != nil || shown != id {
		t.Errorf("the link leads to order %s (%v), want %s", shown, err, id)
	}
	must(t, ben.Open(n.page()+"#token="+n.token(t, "ben")))
	must(t, ben.Until(`!buy.disabled`))
	for _, move := range []struct{ verb, shows, picture string }{
		{"pause", `buy.disabled && result.dataset.status === "paused"`, "node-paused"},
		{"resume", `!buy.disabled && !result.dataset.status`, ""},
		{"close", `buy.disabled && result.dataset.status === "closed"`, "node-closed"},
	} {
		n.move(t, move.verb)
		moved := time.Now()
		must(t, ben.Until(move.shows))
		if took := time.Since(moved); took > soon {
			t.Errorf("the page shows %s after %s; want %s at most", move.verb, took, soon)
		} else {
			t.Logf("%s shows after %d ms", move.verb, took.Milliseconds())
		}
		if move.picture != "" {
			look.judge(t, ben, move.picture)
		}
	}
	must(t, ada.Pay(pay)) // what was won before the end can be paid
	n.has(t, order{ID: id, Status: "paid"})
}

func buysFromAnExport(t *testing.T, b *Browser, program string) {
	folder := t.TempDir()
	cdn := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(func() { cdn.CloseClientConnections(); cdn.Close() })
	n := serve(t, program, "--page-origins", cdn.URL)
	sale := newLaunch(2, 3)
	sale.PageURL = cdn.URL + "/s/" + launchID + "/"
	n.sell(t, sale)
	n.run(t, "export", "--sale", launchID, "--out", folder, "--api-origin", n.buyers, "--data", n.dir)
	look := Phone().in("en-GB")
	tab := blank(t, b, look)
	id, err := tab.Win(sale.PageURL)
	must(t, err)
	must(t, tab.Pay(pay))
	must(t, tab.Until(`location.href === "`+sale.PageURL+`#order=`+id+`"`))
	look.judge(t, tab, "node-exported")
	n.has(t, order{ID: id, Status: "paid"})
	n.move(t, "close")
	must(t, tab.Until(`document.body.dataset.phase === "closed"`)) // the state comes from the other origin too
}

func paysAtTheShop(t *testing.T, b *Browser, program string) {
	n := serve(t, program, "--payments", "none")
	checkout := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("order")
		if r.Method == http.MethodGet {
			_, _ = fmt.Fprintf(w, `<title>Checkout</title><form method="post"><button id="pay" name="order" value="%s">Pay</button></form>`, html.EscapeString(id))
			return
		}
		status, answer, err := n.ask(http.MethodPost, "/admin/api/v1/orders/"+id+"/paid", map[string]string{"reference": "payment-1"}) //nolint:contextcheck // has a bound of its own
		if err != nil || status != http.StatusOK {
			t.Errorf("report: %d %s, %v", status, answer, err)
		}
		http.Redirect(w, r, n.page()+"#order="+id, http.StatusSeeOther)
	}))
	t.Cleanup(func() { checkout.CloseClientConnections(); checkout.Close() })
	sale := newLaunch(2)
	sale.PayURL = checkout.URL + "/checkout?order={order}"
	n.sell(t, sale)
	look := Phone().in("en-GB")
	tab := blank(t, b, look)
	id, err := tab.Win(n.page())
	must(t, err)
	must(t, tab.Pay(func(tab *Tab) error { return tab.Press("#pay") }))
	n.has(t, order{ID: id, Status: "paid"})
	n.balanced(t)

	must(t, tab.Open(n.page()+"/"))
	must(t, tab.Until(`/There is no sale here/.test(document.body.innerText)`))
	look.judge(t, tab, "node-lost")
	desktop := Desktop().in("zh-CN")
	other := blank(t, b, desktop)
	must(t, other.Open(n.buyers))
	must(t, other.Until(`/这里没有/.test(document.body.innerText)`))
	desktop.judge(t, other, "node-nothing-here")
}
