package browsertest

import (
	"fmt"
	"testing"
	"time"
)

// set changes the fake while nobody looks.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// become moves every order to a status.
func (f *fake) become(status, reason string) {
	f.set(func(f *fake) {
		for _, o := range f.orders {
			o.Status, o.Reason = status, reason
			if status != "awaiting_payment" {
				o.PayBy = nil
			}
		}
	})
}

// soldOut says of every item that nothing is free, or that something is.
func (f *fake) soldOut(gone bool) {
	f.set(func(f *fake) {
		for _, item := range f.sale.Items {
			delete(f.states, item.SKU)
			if gone {
				f.states[item.SKU] = "sold_out"
			}
		}
	})
}

// opensIn schedules the sale.
func (f *fake) opensIn(wait time.Duration) {
	f.set(func(f *fake) { f.phase, f.opensAt = "scheduled", time.Now().Add(wait) })
}

func (f *fake) polled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.polls
}

// until waits for something to be so at the fake.
func (f *fake) until(so func() bool) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for {
		yes := false
		f.set(func(*fake) { yes = so() })
		if yes {
			return nil
		}
		select {
		case <-look.C:
		case <-deadline:
			return fmt.Errorf("waited %s for the page to ask", patience)
		}
	}
}

// sameKey fails unless all POSTs, want of them (0: any number), bore one key.
func (f *fake) sameKey(t *testing.T, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if want > 0 && len(f.posts) != want {
		t.Errorf("%d requests, want %d", len(f.posts), want)
	}
	for _, p := range f.posts {
		if p.key == "" || p.key != f.posts[0].key {
			t.Errorf("the keys differ: %q and %q", f.posts[0].key, p.key)
		}
	}
}
