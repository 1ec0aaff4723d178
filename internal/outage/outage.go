// Package outage tells news from repetition. What is tried each second fails
// each second while a store is away; a log needs a line when that begins and one
// when it is over.
package outage

import (
	"sync"
	"sync/atomic"
)

// Watch watches one thing that may fail. The zero Watch takes it to work.
// Calls may come from any goroutine.
type Watch struct{ failing atomic.Bool }

// Note takes in how a try went, and reports whether an outage began or ended
// with it. Neither: nothing has changed.
func (w *Watch) Note(err error) (began, ended bool) {
	failing := err != nil
	changed := w.failing.Swap(failing) != failing
	return changed && failing, changed && !failing
}

// Group watches things that mostly fail together, such as all that one server
// holds: the outage begins with the first of them, and ends with the last. The
// zero Group takes all to work. Calls may come from any goroutine.
type Group[K comparable] struct {
	mu      sync.Mutex
	failing map[K]bool
}

// Note takes in how a try at one of them went, as Watch does. One that is tried
// no more is noted with nil: it must not keep the others' outage from ending.
func (g *Group[K]) Note(key K, err error) (began, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := len(g.failing)
	if err == nil {
		delete(g.failing, key)
		return false, before > 0 && len(g.failing) == 0
	}
	if g.failing == nil {
		g.failing = map[K]bool{}
	}
	g.failing[key] = true
	return before == 0, false
}
