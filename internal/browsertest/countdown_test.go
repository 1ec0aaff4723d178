package browsertest

import (
	"strings"
	"testing"
	"time"
)

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
	must(t, before(tab, wrongClock))
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
	must(t, tab.Until(`result.dataset.status === "sold_out" && /none can come back/.test(result.innerText)`))
	f.soldOut(false)
	must(t, tab.Until(`!buy.disabled && !result.innerText`))
	f.set(func(f *fake) { f.forGood = true }) // and who never asked hears it from the state
	f.soldOut(true)
	must(t, tab.Until(`buy.disabled && /none can come back/.test(result.innerText)`))
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
