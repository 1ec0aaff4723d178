package herald

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// listsEvery is how often files and ledger are looked at: whom an operator
// blocks at one node is turned away at each a second later, also where nothing
// was heard.
const listsEvery = time.Second

const (
	// listsMax is how long the ledger may take to tell a full list.
	listsMax = 5 * time.Second
	// listsRest keeps looking under a fifth of a core: after a look that took t,
	// hints wait 4 t.
	listsRest = 4
)

// ListFile is a file that one of the lists is kept in.
type ListFile struct {
	List shop.List
	Path string
}

// Lists keeps the gate's lists true: what operators wrote into the ledger, and
// what stands in files. Where one of them cannot be read, what it said last goes
// on counting. Its fields are set once.
type Lists struct {
	Ledger ledger.Lists
	Gate   *gate.Lists
	Files  []ListFile
	Now    func() time.Time // by which entries end
	Wall   func() time.Time // by which files change
	Log    *slog.Logger

	once   sync.Once
	hint   chan struct{} // somebody changed something
	mu     sync.Mutex
	looked chan struct{} // closes when the next look is over
	files  []listFile    // as they were read last

	change  int64 // of the ledger's lists, as they were read last
	ours    []shop.Entry
	ends    time.Time // when the next entry that counts ends; zero: none does
	failing string    // the ledger's last fault, so that it is logged once
}

// listFile is a file as it was read last.
type listFile struct {
	about   fs.FileInfo // nil: not yet
	entries []shop.Entry
	failing string // its last fault, so that it is logged once
}

func (l *Lists) init() {
	l.once.Do(func() {
		l.hint, l.looked = make(chan struct{}, 1), make(chan struct{})
		l.files = make([]listFile, len(l.Files))
		l.change = -1 // what an empty ledger has is no news either
	})
}

// Renew says that the ledger's lists have changed. The channel closes when the
// gate knows.
func (l *Lists) Renew() <-chan struct{} {
	l.init()
	l.mu.Lock()
	looked := l.looked
	l.mu.Unlock()
	select {
	case l.hint <- struct{}{}:
	default: // a hint is waiting already
	}
	return looked
}

// Filed returns the entries that stand in files.
func (l *Lists) Filed() (all []shop.Entry) {
	l.init()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.files {
		all = append(all, l.files[i].entries...)
	}
	return all
}

// Run looks until ctx ends.
func (l *Lists) Run(ctx context.Context) error {
	l.init()
	due, rest := time.NewTicker(listsEvery), time.NewTimer(0)
	defer due.Stop()
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
		case <-l.hint:
			select {
			case <-ctx.Done():
				return nil
			case <-rest.C:
			}
		}
		began := l.Wall()
		l.Round(ctx)
		rest.Reset(listsRest * l.Wall().Sub(began))
	}
}

// Round looks once. Run does this by itself; a node that starts calls it before
// it opens its doors.
func (l *Lists) Round(ctx context.Context) {
	l.init()
	l.mu.Lock()
	looked := l.looked
	l.looked = make(chan struct{})
	l.mu.Unlock()
	defer close(looked) // after the gate knows
	news := l.ask(ctx)
	for i := range l.Files {
		news = l.read(ctx, i) || news
	}
	now := l.Now()
	if !news && (l.ends.IsZero() || now.Before(l.ends)) {
		return
	}
	var counting []shop.Entry
	l.ends = time.Time{}
	for _, entry := range append(l.Filed(), l.ours...) {
		if entry.Ended(now) {
			continue
		}
		counting = append(counting, entry)
		if !entry.Until.IsZero() && (l.ends.IsZero() || entry.Until.Before(l.ends)) {
			l.ends = entry.Until
		}
	}
	l.Gate.Post(counting)
}

// ask reads the ledger's lists where they have changed.
func (l *Lists) ask(ctx context.Context) (news bool) {
	ctx, cancel := context.WithTimeout(ctx, listsMax)
	defer cancel()
	change, entries, err := l.Ledger.Entries(ctx, l.change)
	l.fault(ctx, &l.failing, "the ledger", err)
	if err != nil || change == l.change {
		return false
	}
	l.change, l.ours = change, entries
	return true
}

// read reads a file where it has changed.
func (l *Lists) read(ctx context.Context, i int) (news bool) {
	file, path := &l.files[i], l.Files[i].Path
	about, err := os.Stat(path)
	same := err == nil && l.unchanged(file.about, about)
	var entries []shop.Entry
	if err == nil && !same {
		entries, err = gate.ReadEntries(l.Files[i].List, path)
	}
	l.fault(ctx, &file.failing, path, err)
	if same || err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	file.about, file.entries = about, entries
	return true
}

// unchanged reports whether a file is as it was. One that was written to a
// moment ago may have been since, without its time telling.
func (l *Lists) unchanged(before, now fs.FileInfo) bool {
	return before != nil && os.SameFile(before, now) && before.Size() == now.Size() &&
		before.ModTime().Equal(now.ModTime()) && l.Wall().Sub(now.ModTime()) > 2*listsEvery
}

// fault logs what keeps a list from being read, and when it can be again.
func (l *Lists) fault(ctx context.Context, failing *string, where string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if *failing == text || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	*failing = text
	if text == "" {
		l.Log.Info("the list can be read again", "where", where)
		return
	}
	l.Log.Error("a list cannot be read; what it said last goes on counting", "where", where, "error", fmt.Sprintf("%.500s", text))
}
