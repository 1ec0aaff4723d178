package browsertest

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// axe finds what keeps people out (WCAG 2.2 A and AA, and its best practices).
//
//go:embed testdata/axe.min.js
var axe string

// smallest is the width of the smallest phone, in CSS pixels.
const smallest = 320

// scene is one state of the page and the way into it.
type scene struct {
	name  string
	shop  func(*shop.Sale)
	fake  func(*fake)
	steps func(*testing.T, *fake, *Tab)
}

func TestEveryStateIsOpenToEverybody(t *testing.T) {
	browser := start(t)
	for _, look := range looks() {
		t.Run(look.Name, func(t *testing.T) {
			t.Parallel()
			for _, s := range scenes() {
				t.Run(s.name, func(t *testing.T) { show(t, browser, look, s) })
			}
			t.Run("sandbox", func(t *testing.T) { showSandbox(t, browser, look) })
		})
	}
}

// looks are both sizes in both colours, and each of these in one language.
func looks() []Look {
	phone, phoneDark, desktop, desktopDark := Phone(), Phone(), Desktop(), Desktop()
	phoneDark.Dark, desktopDark.Dark = true, true
	phoneDark.Language, desktop.Language = "zh-CN", "zh-CN"
	phoneDark.Name, desktopDark.Name = "phone-dark", "desktop-dark"
	return []Look{phone, phoneDark, desktop, desktopDark}
}

func scenes() []scene {
	return []scene{
		{name: "scheduled", fake: func(f *fake) { f.phase, f.opensAt = "scheduled", time.Now().Add(52*time.Hour+3*time.Minute) }, steps: waitFor(`/\d/.test(countdown.innerText)`)},
		{name: "minutes", fake: func(f *fake) { f.phase, f.opensAt = "scheduled", time.Now().Add(9*time.Minute) }, steps: waitFor(`/\d/.test(countdown.innerText)`)},
		{name: "open", fake: some, steps: waitFor(`!buy.disabled`)},
		{name: "closing", fake: func(f *fake) { f.closesAt = time.Now().Add(time.Hour) }, steps: waitFor(`/\d/.test(countdown.innerText)`)},
		{name: "tickets", shop: concert, steps: waitFor(`!buy.disabled`)},
		{name: "asking", fake: func(f *fake) { f.script = []reply{{hold: make(chan struct{})}} }, steps: press(``)},
		{name: "busy", fake: script(reply{status: 503, code: "overloaded", after: "9"}), steps: press(`overloaded`)},
		{name: "pending", fake: script(reply{pending: true}), steps: press(`pending`)},
		{name: "won", steps: press(`awaiting_payment`)},
		{name: "sure", steps: func(t *testing.T, f *fake, tab *Tab) {
			press(`awaiting_payment`)(t, f, tab)
			must(t, tab.Press("#back"))
		}},
		{name: "last-minute", shop: func(s *shop.Sale) { s.Hold = 50 * time.Second }, steps: press(`awaiting_payment`)},
		{name: "paid", steps: become("paid")},
		{name: "free", shop: gift, steps: press(`paid`)},
		{name: "expired", steps: become("expired")},
		{name: "cancelled", steps: become("cancelled")},
		{name: "refund-due", steps: become("refund_due")},
		{name: "sold-out", steps: func(t *testing.T, f *fake, tab *Tab) {
			f.soldOut(true)
			must(t, tab.Status("sold_out"))
		}},
		{name: "sold-out-for-good", fake: script(reply{status: 409, code: "sold_out", more: map[string]any{"may_return": false}}), steps: press(`sold_out`)},
		{name: "limit", fake: script(reply{status: 409, code: "limit_reached", more: map[string]any{"orders": []string{"5ca1ab1e0ddba115ca1ab1e0ddba1100"}}}), steps: press(`limit_reached`)},
		{name: "missed", fake: script(reply{status: 409, code: "missed", decision: "refused"}), steps: press(`missed`)},
		{name: "paused", fake: func(f *fake) { f.phase = "paused" }, steps: status(`paused`)},
		{name: "closed", fake: func(f *fake) { f.phase = "closed" }, steps: status(`closed`)},
		{name: "proving", shop: guard, fake: func(f *fake) { f.script, f.pose = asks(1), hang }, steps: func(t *testing.T, f *fake, tab *Tab) {
			press(``)(t, f, tab)
			must(t, tab.Until(provingShows))
		}},
		{name: "unproven", shop: guard, fake: func(f *fake) { f.script, f.pose = asks(2), easy }, steps: press(`challenge_required`)},
		{name: "offline", fake: func(f *fake) { f.down = true }, steps: status(`offline`)},
		{name: "sign-in", shop: func(s *shop.Sale) { s.Guests, s.SignInURL = false, "https://shop.example/in" }, steps: status(`unauthorized`)},
	}
}

func show(t *testing.T, b *Browser, look Look, s scene) {
	f := newFake(t, s.shop)
	if s.fake != nil {
		f.set(s.fake)
	}
	look.Still = true
	tab := blank(t, b, look)
	must(t, tab.Open(f.page()))
	s.steps(t, f, tab)
	look.judge(t, tab, s.name)
}

func showSandbox(t *testing.T, b *Browser, look Look) {
	f := newFake(t, nil)
	tab := blank(t, b, look)
	for _, state := range []page.SandboxState{page.SandboxOpen, page.SandboxPaid} {
		f.set(func(f *fake) { f.sandbox = state })
		must(t, tab.Open(f.URL+"/sandbox"))
		look.judge(t, tab, "sandbox-"+string(state))
	}
}

// judge holds the page against axe and against its own width, for a phone
// against the smallest one's too, and leaves a picture of it.
func (l Look) judge(t *testing.T, tab *Tab, name string) {
	t.Helper()
	shoot(t, tab, name+"-"+l.Name)
	must(t, tab.Run(axe))
	found := eval[[]string](t, tab, `axe.run().then(({violations}) => violations.flatMap(
		({id, help, nodes}) => nodes.map(({html, failureSummary}) => id + ": " + help + "\n" + html + "\n" + failureSummary)))`)
	if len(found) > 0 {
		t.Errorf("axe finds:\n%s", strings.Join(found, "\n\n"))
	}
	widths := []int64{l.Width}
	if l.Width < 600 {
		widths = append(widths, smallest)
	}
	for _, width := range widths {
		must(t, l.resize(tab, width))
		if wide := eval[int](t, tab, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
			t.Errorf("%s is %d pixels wider than its window of %d", name, wide, width)
		}
	}
	must(t, l.resize(tab, l.Width))
}

func waitFor(expression string) func(*testing.T, *fake, *Tab) {
	return func(t *testing.T, _ *fake, tab *Tab) { must(t, tab.Until(expression)) }
}

func status(want string) func(*testing.T, *fake, *Tab) {
	return func(t *testing.T, _ *fake, tab *Tab) { must(t, tab.Status(want)) }
}

// press buys and waits for a status; the empty one is an answer that is out.
func press(want string) func(*testing.T, *fake, *Tab) {
	return func(t *testing.T, _ *fake, tab *Tab) {
		must(t, tab.Until(`!buy.disabled`))
		must(t, tab.Press("#buy"))
		must(t, tab.Status(want))
		must(t, tab.Until(`result.innerText`))
	}
}

func become(want string) func(*testing.T, *fake, *Tab) {
	return func(t *testing.T, f *fake, tab *Tab) {
		press("awaiting_payment")(t, f, tab)
		f.become(want, "")
		must(t, tab.Do(chromedp.Reload())) // which looks at once
		must(t, tab.Status(want))
	}
}

func script(replies ...reply) func(*fake) {
	return func(f *fake) { f.script = replies }
}

func some(f *fake) { f.states["eu-43"], f.states["eu-45"] = "low", "sold_out" }

func concert(s *shop.Sale) {
	s.Title, s.Description = "Nils Frahm, one night at the Funkhaus", "Saal 1, doors at seven. A piano, four synthesizers and a room built for listening."
	s.ID, s.LimitPerBuyer, s.Items = "funkhaus", 4, nil
	for i, name := range []string{"Parkett", "Balcony, restricted view", "Standing"} {
		s.Items = append(s.Items, shop.Item{SKU: fmt.Sprint("t", i), Title: name, Stock: 9, Price: shop.Money{Amount: int64(9400 - 2650*i), Currency: "EUR"}})
	}
}

func gift(s *shop.Sale) {
	s.ID, s.Title, s.Description = "poster", "The anniversary poster", ""
	s.Items = []shop.Item{{SKU: "a2", Title: "Poster, A2", Stock: 100, Price: shop.Money{Currency: "EUR"}}}
}
