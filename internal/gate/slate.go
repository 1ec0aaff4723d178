package gate

import (
	"math/bits"
	"sync/atomic"
)

// wordBits is what a word of a slate has beside 16 bits of its key's hash. A
// stranger shares a word with someone once in 8,000 keys of a full table.
const wordBits = 48

// slate keeps a word per key: a time, then what its owner likes. The table is
// made once and never grows; it takes no lock and allocates nothing. Where a
// set is full, the key that was written the longest ago is forgotten.
type slate struct {
	slots    []atomic.Uint64
	sets     uint64 // mask
	restBits uint
	timeMask uint64 // in units of the owner's; times come round
	restMask uint64
}

// newSlate makes a slate of up to so many keys, 8 bytes each.
func newSlate(slots int, timeBits uint) slate {
	sets := uint64(1) << bits.Len64(uint64(max(slots, 1)-1)/setSlots)
	restBits := wordBits - timeBits
	return slate{
		slots: make([]atomic.Uint64, sets*setSlots), sets: sets - 1,
		restBits: restBits, timeMask: 1<<timeBits - 1, restMask: 1<<restBits - 1,
	}
}

// read returns how long ago the key was written, and what; the longest time and
// 0 for a key that is not there.
func (s *slate) read(hash, now uint64) (age, rest uint64) {
	_, word := s.find(hash, now)
	return s.kept(word, hash, now)
}

// write puts in the key's place what next makes of it; false: it stays as it is.
// A lost race asks next again.
func (s *slate) write(hash, now uint64, next func(age, rest uint64) (uint64, bool)) {
	for {
		slot, word := s.find(hash, now)
		rest, ok := next(s.kept(word, hash, now))
		if !ok || slot.CompareAndSwap(word, inkOf(hash)<<wordBits|now&s.timeMask<<s.restBits|rest&s.restMask) {
			return
		}
	}
}

// inkOf is what a word keeps of a key's hash. A word of 0 is a vacant one.
func inkOf(hash uint64) uint64 { return max(1, hash>>wordBits) }

// find returns the key's word, else the one that can best be spared.
func (s *slate) find(hash, now uint64) (spare *atomic.Uint64, word uint64) {
	first := hash & s.sets * setSlots
	set := s.slots[first : first+setSlots]
	oldest := uint64(0)
	for i := range set {
		w := set[i].Load()
		if w>>wordBits == inkOf(hash) {
			return &set[i], w
		}
		age := s.age(w, now)
		if w == 0 {
			age = s.timeMask + 1 // before any that is in use
		}
		if spare == nil || age > oldest {
			spare, word, oldest = &set[i], w, age
		}
	}
	return spare, word
}

func (s *slate) kept(word, hash, now uint64) (age, rest uint64) {
	if word>>wordBits != inkOf(hash) {
		return s.timeMask, 0
	}
	return s.age(word, now), word & s.restMask
}

// age is how long ago a word was written. Of two callers' clocks, one may be a
// unit behind.
func (s *slate) age(word, now uint64) uint64 {
	age := (now - word>>s.restBits) & s.timeMask
	if age == s.timeMask {
		return 0
	}
	return age
}
