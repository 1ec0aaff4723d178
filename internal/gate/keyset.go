package gate

import (
	"sync"
	"sync/atomic"
)

// KeySet is a set of 64-bit fingerprints that grows and never forgets. Readers
// take no lock and never wait, not even while it grows. It belongs to what
// stock bounds (winners and reservations), never to what a stranger may send:
// it costs 16 to 32 bytes a key.
//
// The keys are keyed hashes already, so their bits choose the place as they
// are. The zero KeySet is empty and ready.
type KeySet struct {
	table   atomic.Pointer[[]atomic.Uint64] // length a power of two; 0 marks a vacant place
	zero    atomic.Bool                     // whether the key 0 is in the set
	count   atomic.Int64
	writing sync.Mutex
}

// keySetMin is the smallest table: one page of 4 KiB.
const keySetMin = 512

// Has reports whether key was added before the call began. A key that is being
// added may be seen or not.
func (s *KeySet) Has(key uint64) bool {
	if key == 0 {
		return s.zero.Load()
	}
	table := s.table.Load()
	if table == nil {
		return false
	}
	_, found := place(*table, key)
	return found
}

// Add puts key into the set. Adding it twice changes nothing.
func (s *KeySet) Add(key uint64) {
	if key != 0 && s.Has(key) {
		return // the common repeat needs no lock
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if key == 0 {
		if !s.zero.Swap(true) {
			s.count.Add(1)
		}
		return
	}
	table := s.roomy()
	at, found := place(table, key)
	if found {
		return
	}
	table[at].Store(key)
	s.count.Add(1)
}

// Len returns how many keys are in the set.
func (s *KeySet) Len() int { return int(s.count.Load()) }

// roomy returns a table with room for one more key at half load, where a
// fruitless search looks at two or three places. The caller holds the lock.
func (s *KeySet) roomy() []atomic.Uint64 {
	old := s.table.Load()
	if old == nil {
		table := make([]atomic.Uint64, keySetMin)
		s.table.Store(&table)
		return table
	}
	if 2*(s.Len()+1) <= len(*old) {
		return *old
	}
	table := make([]atomic.Uint64, 2*len(*old))
	for i := range *old {
		if key := (*old)[i].Load(); key != 0 {
			at, _ := place(table, key)
			table[at].Store(key)
		}
	}
	s.table.Store(&table) // readers of the old one finish on what was true when they began
	return table
}

// place returns where key is, or the vacant place where it belongs. A table is
// at most half full, so the walk ends.
func place(table []atomic.Uint64, key uint64) (at uint64, found bool) {
	mask := uint64(len(table) - 1) //nolint:gosec // never empty
	for at = key & mask; ; at = (at + 1) & mask {
		switch table[at].Load() {
		case key:
			return at, true
		case 0:
			return at, false
		}
	}
}
