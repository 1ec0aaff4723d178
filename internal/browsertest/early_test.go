package browsertest

import (
	"testing"
	"time"
)

func bearsTheOpeningKey(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.opensIn(3 * time.Second)
	f.set(func(f *fake) { f.pass = "0123456789abcdef0123456789abcdef" })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Status("awaiting_payment"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if got, want := f.posts[0].opening, "opening="+f.pass; got != want {
		t.Errorf("the order came with %q, want %q", got, want)
	}
}

// copies is a cache that keeps the state for a second.
type copies struct {
	written       time.Time // when the copy that it has was
	fresh, looked int       // polls that found none, and all of them
	longest       time.Duration
}

// kept returns when the state was written that is handed out now.
func (c *copies) kept(now time.Time) time.Time {
	c.looked++
	if age := now.Sub(c.written); age > time.Second {
		if c.fresh > 0 {
			c.longest = max(c.longest, age)
		}
		c.written, c.fresh = now, c.fresh+1
	}
	return c.written
}

// A page alone behind a cache finds a new copy each time, and soon.
func asksWhenACacheLetsGo(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.copies = &copies{written: time.Now().Add(-400 * time.Millisecond)} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, f.until(func() bool { return f.copies.looked >= 8 }))
	f.mu.Lock()
	defer f.mu.Unlock()
	// The first copy's age is not known yet, so one poll more may be in vain.
	if c := f.copies; c.fresh < c.looked-2 {
		t.Errorf("%d of %d polls found a new copy, want all but two", c.fresh, c.looked)
	}
	if longest := f.copies.longest; longest > 2*time.Second {
		t.Errorf("a copy was %s old before the page asked for the next one", longest)
	}
}

func waitsLongerThanTold(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.script = []reply{{status: 503, code: "overloaded", after: "3"}} })
	tab := blank(t, b, Desktop())
	must(t, before(tab, `Math.random = () => 0.99`))
	must(t, tab.Open(f.page()))
	must(t, tab.Until(`!buy.disabled`))
	must(t, tab.Press("#buy"))
	must(t, tab.Until(`/again in [56] s/.test(buy.innerText)`))
}
