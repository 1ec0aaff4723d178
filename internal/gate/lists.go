package gate

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Lists say who is turned away and who passes the limits. The zero Lists name
// nobody. A look-up takes no lock and allocates nothing.
//
// Of the prefixes that hold an address, the longest decides: a block of a
// network spares the address that is allowed in it, and the other way round.
// Where one prefix, or one buyer, stands in both lists, the block counts.
type Lists struct {
	table atomic.Pointer[table]
}

// table is both lists as they stood at one moment.
type table struct {
	prefixes bart.Table[shop.List]
	buyers   map[string]shop.List
}

// Post puts lists in the place of the earlier ones, at once for every request
// that comes after.
func (l *Lists) Post(entries []shop.Entry) {
	if len(entries) == 0 {
		l.table.Store(nil)
		return
	}
	next := &table{buyers: map[string]shop.List{}}
	for i := range entries {
		subject, list := entries[i].Subject, entries[i].List
		if subject.Buyer != "" {
			next.buyers[subject.Buyer] = graver(next.buyers[subject.Buyer], list)
			continue
		}
		next.prefixes.Modify(subject.Prefix, func(there shop.List, _ bool) (shop.List, bool) {
			return graver(there, list), false
		})
	}
	l.table.Store(next)
}

// graver returns the one of two lists that counts.
func graver(a, b shop.List) shop.List {
	if a == shop.Block {
		return a
	}
	return b
}

// address returns the list that decides on an address; 0: none.
func (l *Lists) address(addr netip.Addr) shop.List {
	t := l.table.Load()
	if t == nil {
		return 0
	}
	list, _ := t.prefixes.Lookup(plain(addr))
	return list
}

// buyer returns the list that decides on a buyer; 0: none.
func (l *Lists) buyer(id string) shop.List {
	t := l.table.Load()
	if t == nil {
		return 0
	}
	return t.buyers[id]
}

// Allows reports whether an address passes the limits.
func (l *Lists) Allows(addr netip.Addr) bool { return l.address(addr) == shop.Allow }
