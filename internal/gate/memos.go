package gate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// TokensRemembered is the usual size of a verifier's memory: 15 to 35 MB when
// full.
const TokensRemembered = 1 << 17

// memoWays is how many places a set has. A memo may lie in any place of its
// set.
const memoWays = 4

// memoSet is one cache line. A mark is 32 bits of a memo's print, then the second
// in which it expires: a look-up follows the one pointer that it needs, and
// forgetting follows none. Mark and memo are stored one after the other. Where
// two writers meet, a mark may stand before the other's memo, which is then not
// found until somebody brings its token again.
type memoSet struct {
	marks [memoWays]atomic.Uint64
	memos [memoWays]atomic.Pointer[memo]
}

// tokenPrint is a 128-bit keyed hash of a token.
type tokenPrint [aes.BlockSize]byte

// memo is what a signed token says. It is never changed.
type memo struct {
	print   tokenPrint
	turn    uint64 // of the shop's keys when it was judged
	payload payload
}

// memos remembers signed tokens by their prints, in places that are made once.
// Only signed tokens get in, and where there is no room the memo that expires
// first goes: nobody can make it grow, or have it take one token for another.
// Times are not part of the verdict: they are looked at on each use.
//
// The print is the GMAC of the token under a random key of this process: four
// times as fast as SHA-256. Its tags are never shown, so its fixed nonce gives
// nothing away, and two tokens share one with a chance below 2^-119.
type memos struct {
	aead    cipher.AEAD
	scratch sync.Pool // of *printing
	sets    []memoSet
	mask    uint64
}

// printing is what a GMAC needs, kept so that printing allocates nothing.
type printing struct {
	nonce [12]byte
	tag   tokenPrint
}

func newMemos(size int) (*memos, error) {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make token memory: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make token memory: %w", err)
	}
	sets := uint64(1) << bits.Len64(uint64(max(size, 1)-1)/memoWays)
	return &memos{
		aead:    aead,
		scratch: sync.Pool{New: func() any { return &printing{} }},
		sets:    make([]memoSet, sets),
		mask:    sets - 1,
	}, nil
}

func (m *memos) print(token []byte) tokenPrint {
	p := m.scratch.Get().(*printing)
	defer m.scratch.Put(p)
	m.aead.Seal(p.tag[:0], p.nonce[:], nil, token)
	return p.tag
}

// set returns where a print may lie.
func (m *memos) set(print *tokenPrint) *memoSet {
	return &m.sets[binary.LittleEndian.Uint64(print[:])&m.mask]
}

// markOf is the mark of a memo: its print and when it expires.
func markOf(print *tokenPrint, expires int64) uint64 {
	second := uint64(min(max(expires/int64(time.Second), 0), math.MaxUint32))
	return printPart(print) | second
}

// printPart is a mark's share of the print: bits that do not choose the set.
func printPart(print *tokenPrint) uint64 {
	return uint64(binary.LittleEndian.Uint32(print[8:])) << 32
}

// recall returns what a token says, if it was judged in this turn of the
// shop's keys.
func (m *memos) recall(print tokenPrint, turn uint64) (payload, bool) {
	set, part := m.set(&print), printPart(&print)
	for i := range set.marks {
		if set.marks[i].Load()&^math.MaxUint32 != part {
			continue
		}
		known := set.memos[i].Load()
		if known != nil && subtle.ConstantTimeCompare(known.print[:], print[:]) == 1 {
			return known.payload, known.turn == turn
		}
	}
	return payload{}, false
}

// remember stores fresh over its earlier self, else in a vacant place, else
// over the memo that expires first.
func (m *memos) remember(fresh *memo) {
	set, mark := m.set(&fresh.print), markOf(&fresh.print, fresh.payload.expires)
	spare, earliest := 0, uint64(math.MaxUint64)
	for i := range set.marks {
		known := set.marks[i].Load()
		if known>>32 == mark>>32 {
			spare = i
			break
		}
		if expires := known & math.MaxUint32; expires < earliest { // 0: nothing is there
			spare, earliest = i, expires
		}
	}
	set.memos[spare].Store(fresh)
	set.marks[spare].Store(mark)
}
