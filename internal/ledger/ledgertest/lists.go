package ledgertest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func gateCases() []suiteCase {
	return []suiteCase{
		{"an entry stands in its list as it was written", entryStands},
		{"the same entry again changes nothing, another reason or end does", entryAgain},
		{"an entry is struck out once, and can be written anew", entryStruck},
		{"who has seen the last change reads nothing", entriesSeen},
		{"changes made at once are counted one by one", entriesAtOnce},
	}
}

func (b *bench) subject(text string) shop.Subject {
	b.Helper()
	subject, err := shop.ParseSubject(text)
	if err != nil {
		b.Fatalf("%s: %v", text, err)
	}
	return subject
}

func (b *bench) enlist(entry shop.Entry, want ledger.Published) {
	b.Helper()
	if got, err := b.Enlist(b.ctx, entry); err != nil || got != want {
		b.Errorf("enlist %s in %s: %v, %v; want %v", entry.Subject, entry.List, got, err, want)
	}
}

func (b *bench) strike(list shop.List, subject string, want bool) {
	b.Helper()
	if got, err := b.Strike(b.ctx, list, b.subject(subject)); err != nil || got != want {
		b.Errorf("strike %s from %s: %v, %v; want %v", subject, list, got, err, want)
	}
}

// listed wants the lists at that change, whatever the entries' times are.
func (b *bench) listed(change int64, want ...shop.Entry) {
	b.Helper()
	got, entries, err := b.Entries(b.ctx, -1)
	if err != nil || got != change {
		b.Errorf("at change %d, %v; want %d", got, err, change)
	}
	same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(shop.Entry{}, "At"), cmp.Comparer(func(a, b shop.Subject) bool { return a == b })}
	if diff := cmp.Diff(want, entries, same); diff != "" {
		b.Errorf("-want +got\n%s", diff)
	}
}

func entryStands(b *bench) {
	b.listed(0)
	until := b.time.Wall().Add(time.Minute)
	want := []shop.Entry{
		{List: shop.Block, Subject: b.subject("2001:db8::/48"), Reason: "a hoster’s", By: "ann"},
		{List: shop.Block, Subject: b.subject("203.0.113.9"), Until: until},
		{List: shop.Allow, Subject: b.subject("203.0.113.0/24")},
		{List: shop.Allow, Subject: b.subject("buyer:Zoë / 'press'"), Reason: "x", By: "y"},
	}
	for i := range want {
		b.enlist(want[i], ledger.Created)
	}
	b.listed(4, want...)
	_, entries, err := b.Entries(b.ctx, 0)
	if err != nil || !entries[0].At.Equal(b.time.Wall()) {
		b.Errorf("written at %v, %v; want %v", entries[0].At, err, b.time.Wall())
	}
	b.time.Pass(time.Hour) // whoever reads them sorts out what has ended
	b.reopen()
	b.listed(4, want...)
}

func entryAgain(b *bench) {
	entry := shop.Entry{List: shop.Block, Subject: b.subject("buyer:bot"), Reason: "bought 40 pairs", By: "ann"}
	b.enlist(entry, ledger.Created)
	again := entry
	again.By = "bob"
	b.enlist(again, ledger.Same)
	b.listed(1, entry)
	other := entry
	other.List = shop.Allow
	b.enlist(other, ledger.Created) // the lists know nothing of each other
	entry.Reason, entry.By = "bought 41 pairs", "bob"
	b.enlist(entry, ledger.Changed)
	entry.Until = b.time.Wall().Add(time.Hour)
	b.enlist(entry, ledger.Changed)
	b.listed(4, entry, other)
}

func entryStruck(b *bench) {
	b.strike(shop.Block, "203.0.113.9", false)
	b.enlist(shop.Entry{List: shop.Block, Subject: b.subject("203.0.113.9"), Reason: "old"}, ledger.Created)
	b.strike(shop.Allow, "203.0.113.9", false)
	b.strike(shop.Block, "203.0.113.0/24", false)
	b.listed(1, shop.Entry{List: shop.Block, Subject: b.subject("203.0.113.9"), Reason: "old"})
	b.strike(shop.Block, "::ffff:203.0.113.9", true)
	b.strike(shop.Block, "203.0.113.9", false)
	b.listed(2)
	b.enlist(shop.Entry{List: shop.Block, Subject: b.subject("203.0.113.9")}, ledger.Created)
	b.listed(3, shop.Entry{List: shop.Block, Subject: b.subject("203.0.113.9")})
}

func entriesSeen(b *bench) {
	b.enlist(shop.Entry{List: shop.Block, Subject: b.subject("203.0.113.9")}, ledger.Created)
	if change, entries, err := b.Entries(b.ctx, 1); err != nil || change != 1 || len(entries) != 0 {
		b.Errorf("change %d with %d entries, %v; want 1 with none", change, len(entries), err)
	}
	if change, entries, err := b.Entries(b.ctx, 2); err != nil || change != 1 || len(entries) != 1 { // of a ledger that was restored
		b.Errorf("change %d with %d entries, %v; want 1 with one", change, len(entries), err)
	}
}

func entriesAtOnce(b *bench) {
	const writers, each = 4, 10
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				b.enlist(shop.Entry{List: shop.Block, Subject: b.subject(fmt.Sprintf("buyer:%d-%d", w, i))}, ledger.Created)
			}
		})
	}
	seen := int64(0)
	for seen < writers*each { // what a node does: it reads again when the number is another
		change, entries, err := b.Entries(b.ctx, seen)
		if err != nil || change < seen || change > seen && int64(len(entries)) < change {
			b.Errorf("after change %d: change %d with %d entries, %v", seen, change, len(entries), err)
			break
		}
		seen = change
	}
	all.Wait()
	if change, entries, err := b.Entries(b.ctx, 0); err != nil || change != writers*each || len(entries) != writers*each {
		b.Errorf("change %d with %d entries, %v; want %d with as many", change, len(entries), err, writers*each)
	}
}
