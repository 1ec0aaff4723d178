package herald_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

// frail is a ledger whose lists cannot be read when it is told so.
type frail struct {
	ledger.Lists
	broken atomic.Bool
}

func (f *frail) Entries(ctx context.Context, seen int64) (int64, []shop.Entry, error) {
	if f.broken.Load() {
		return 0, nil, errors.New("the ledger is not there")
	}
	return f.Lists.Entries(ctx, seen)
}

// watch is a gate whose lists are kept true.
type watch struct {
	t      *testing.T
	now    time.Time
	ledger *frail
	file   string
	gate   gate.Gate
	lists  *herald.Lists
	log    bytes.Buffer
}

func openWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{t: t, now: noon(), file: filepath.Join(t.TempDir(), "block.txt")}
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	w.ledger = &frail{Lists: books}
	w.write("203.0.113.0/24 # hosters\n")
	w.lists = &herald.Lists{
		Ledger: w.ledger, Gate: &w.gate.Lists, Files: []herald.ListFile{{List: shop.Block, Path: w.file}},
		Now: func() time.Time { return w.now }, Wall: time.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	w.lists.Round(t.Context())
	return w
}

func (w *watch) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watch) enlist(list shop.List, text string, until time.Time) {
	w.t.Helper()
	subject, err := shop.ParseSubject(text)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.ledger.Enlist(w.t.Context(), shop.Entry{List: list, Subject: subject, Until: until}); err != nil {
		w.t.Fatal(err)
	}
}

// blocked wants an address turned away or not, after a look.
func (w *watch) blocked(what string, want bool, addrs ...string) {
	w.t.Helper()
	w.lists.Round(w.t.Context())
	for _, addr := range addrs {
		if got := w.gate.Admit(gate.AskOrder, netip.MustParseAddr(addr), 0) != nil; got != want {
			w.t.Errorf("%s: %s is turned away: %v, want %v", what, addr, got, want)
		}
	}
}

func TestFilesAndLedgerMakeOneList(t *testing.T) {
	w := openWatch(t)
	w.blocked("at the start", true, "203.0.113.9")
	w.blocked("at the start", false, "192.0.2.1")
	w.enlist(shop.Block, "192.0.2.1", time.Time{})
	w.enlist(shop.Allow, "203.0.113.9", time.Time{})
	w.blocked("by an operator", true, "192.0.2.1", "203.0.113.8")
	w.blocked("by an operator", false, "203.0.113.9")
	w.write("198.51.100.0/24\n")
	w.blocked("another file", true, "198.51.100.1", "192.0.2.1")
	w.blocked("another file", false, "203.0.113.8")
	if filed := w.lists.Filed(); len(filed) != 1 || filed[0].Subject.String() != "198.51.100.0/24" {
		t.Errorf("the file has %v, want its one prefix", filed)
	}
}

func TestAnEntryThatEndsIsForgottenInTime(t *testing.T) {
	w := openWatch(t)
	w.enlist(shop.Block, "192.0.2.1", w.now.Add(time.Minute))
	w.enlist(shop.Block, "192.0.2.2", w.now.Add(time.Hour))
	w.blocked("before", true, "192.0.2.1", "192.0.2.2")
	w.now = w.now.Add(time.Minute)
	w.blocked("after the first", false, "192.0.2.1")
	w.blocked("after the first", true, "192.0.2.2", "203.0.113.9")
	w.now = w.now.Add(time.Hour)
	w.blocked("after both", false, "192.0.2.1", "192.0.2.2")
}

func TestWhatCannotBeReadGoesOnCounting(t *testing.T) {
	w := openWatch(t)
	w.enlist(shop.Block, "192.0.2.1", time.Time{})
	w.blocked("while all is well", true, "192.0.2.1", "203.0.113.9")
	w.ledger.broken.Store(true)
	w.write("203.0.113.9/24\n192.0.2.9\n")
	for range 3 {
		w.blocked("with a wrong line", true, "192.0.2.1", "203.0.113.9")
	}
	w.blocked("with a wrong line", false, "192.0.2.9")
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	w.blocked("without the file", true, "192.0.2.1", "203.0.113.9")
	w.write("192.0.2.9\n")
	w.ledger.broken.Store(false)
	w.blocked("once both can be read", true, "192.0.2.1", "192.0.2.9")
	w.blocked("once both can be read", false, "203.0.113.9")
	log := w.log.String()
	for text, want := range map[string]int{
		w.file + ":1: has bits set": 1, "the ledger is not there": 1, "no such file": 1, "can be read again": 2, "203.0.113": 0,
	} {
		if got := strings.Count(log, text); got != want {
			t.Errorf("the log says %q %d times, want %d:\n%s", text, got, want, log)
		}
	}
}

func TestAHintIsHeardAtOnce(t *testing.T) {
	w := openWatch(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.lists.Run(ctx) }()
	w.enlist(shop.Block, "192.0.2.1", time.Time{})
	<-w.lists.Renew()
	if w.gate.Admit(gate.AskOrder, netip.MustParseAddr("192.0.2.1"), 0) == nil {
		t.Error("the gate does not know yet")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
