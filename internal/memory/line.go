package memory

import (
	"context"
	"slices"
	"sync"
)

// Line carries messages between the nodes of one process, which tests are.
type Line struct {
	mu    sync.Mutex
	heard []*ear
}

// ear is one listener. Its calls come one at a time.
type ear struct {
	mu   sync.Mutex
	hear func(message []byte)
}

// Send implements gossip.Line.
func (l *Line) Send(_ context.Context, message []byte) error {
	l.mu.Lock()
	ears := slices.Clone(l.heard)
	l.mu.Unlock()
	for _, e := range ears {
		e.mu.Lock()
		e.hear(message)
		e.mu.Unlock()
	}
	return nil
}

// Hear implements gossip.Line.
func (l *Line) Hear(ctx context.Context, hear func(message []byte), gap func()) error {
	e := &ear{hear: hear}
	l.mu.Lock()
	l.heard = append(l.heard, e)
	l.mu.Unlock()
	gap()
	<-ctx.Done()
	l.mu.Lock()
	l.heard = slices.DeleteFunc(l.heard, func(other *ear) bool { return other == e })
	l.mu.Unlock()
	e.mu.Lock() // a call that runs ends before Hear does
	e.hear = func([]byte) {}
	e.mu.Unlock()
	return nil
}
