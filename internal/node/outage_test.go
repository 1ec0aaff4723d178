package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// lines counts what a node logs, by the sentence.
type lines struct {
	slog.Handler
	mu     sync.Mutex
	counts map[string]int
}

func newLines() *lines {
	return &lines{Handler: slog.NewTextHandler(io.Discard, nil), counts: map[string]int{}}
}

func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[r.Level.String()+" "+r.Message]++
	return nil
}

// says reports whether a sentence that was logged holds the words.
func (l *lines) says(words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range l.counts {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}

// since returns how often each sentence was logged, and forgets it.
func (l *lines) since() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.counts
	l.counts = map[string]int{}
	return before
}

// TestAnOutageIsToldOnce takes a store away from a node with many sales: its
// log says so, and says when the store is back, and does not grow in between.
func TestAnOutageIsToldOnce(t *testing.T) {
	const sales, away, most = 20, 5 * time.Second, 4
	q := openQuarter(t)
	log := newLines()
	var docs []shop.Sale
	for i := range sales {
		doc := sale(10, 100)
		doc.ID = fmt.Sprintf("retro-%d", i)
		docs = append(docs, doc)
	}
	n, err := New(t.Context(), Options{Config: q.settings(), Sales: docs, Log: slog.New(log), Stdout: io.Discard, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	h := run(t, n).ready()
	for name, server := range map[string]struct {
		end, begin func() error
	}{
		"Redis":      {q.redis.Kill, func() error { return q.redis.Start(t.Context()) }},
		"PostgreSQL": {q.pg.Kill, func() error { return q.pg.Restart(t.Context()) }},
	} {
		t.Run(name, func(t *testing.T) {
			log.since()
			if err := server.end(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(away) // that nothing is repeated shows in time alone
			if !log.says("cannot") {
				t.Error("the log says nothing of it")
			}
			if err := server.begin(); err != nil {
				t.Fatal(err)
			}
			h.ready()
			h.until("the log says that it is over", func() bool { return log.says("again") })
			said := log.since()
			for _, line := range slices.Sorted(maps.Keys(said)) {
				t.Logf("%4d × %s", said[line], line)
				if said[line] > most {
					t.Errorf("%d × %q in %s", said[line], line, away)
				}
			}
		})
	}
}
