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
	written time.Time // when the copy that it has was
	count   int
	vain    int // polls since the second that found one that they had seen
	longest time.Duration
}

// kept returns when the state was written that is handed out now.
func (c *copies) kept(now time.Time) time.Time {
	age := now.Sub(c.written)
	switch {
	case age <= time.Second && c.count >= 2:
		c.vain++
	case age > time.Second:
		if c.count >= 2 {
			c.longest = max(c.longest, age)
		}
		c.written, c.count = now, c.count+1
	}
	return c.written
}

// A page alone behind a cache finds a new copy each time, and soon.
func asksWhenACacheLetsGo(t *testing.T, b *Browser) {
	f := newFake(t, nil)
	f.set(func(f *fake) { f.copies = &copies{written: time.Now().Add(-400 * time.Millisecond)} })
	tab := open(t, b, f.page())
	must(t, tab.Until(`!buy.disabled`))
	must(t, f.until(func() bool { return f.copies.count >= 6 }))
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.copies; c.vain > 1 || c.longest > 2*time.Second {
		t.Errorf("%d polls for %d copies were in vain, and one was %s old before the next; want none, and 1.2 s", c.vain, c.count, c.longest)
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
