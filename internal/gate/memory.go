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
)

// TokensRemembered is the usual size of a verifier's memory: 15 to 35 MB when
// full.
const TokensRemembered = 1 << 17

// memoWays is in how many places a memo may lie.
const memoWays = 4

// tokenPrint is a 128-bit keyed hash of a token.
type tokenPrint [aes.BlockSize]byte

// memo is what a signed token says. It is never changed.
type memo struct {
	print  tokenPrint
	turn   uint64 // of the shop's keys when it was judged
	claims claims
}

// memory remembers signed tokens by their prints, in places that are made
// once. Nobody brings one in who cannot sign, and where there is no room the
// one that expires first goes: it cannot be made to grow, nor to take one
// token for another. Times are not part of the verdict: they are looked at on
// each use.
//
// The print is the GMAC of the token under a random key of this process: four
// times as fast as SHA-256. Its tags are never shown, so its fixed nonce gives
// nothing away, and two tokens share one with a chance below 2^-119.
type memory struct {
	aead    cipher.AEAD
	scratch sync.Pool // of *printing
	places  []atomic.Pointer[memo]
	sets    uint64 // mask
}

// printing is what a GMAC needs, kept so that printing allocates nothing.
type printing struct {
	nonce [12]byte
	tag   tokenPrint
}

func newMemory(size int) (*memory, error) {
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
	return &memory{
		aead:    aead,
		scratch: sync.Pool{New: func() any { return &printing{} }},
		places:  make([]atomic.Pointer[memo], sets*memoWays),
		sets:    sets - 1,
	}, nil
}

func (m *memory) print(token []byte) tokenPrint {
	p := m.scratch.Get().(*printing)
	defer m.scratch.Put(p)
	m.aead.Seal(p.tag[:0], p.nonce[:], nil, token)
	return p.tag
}

// set returns the places where a print may lie.
func (m *memory) set(print tokenPrint) []atomic.Pointer[memo] {
	first := binary.LittleEndian.Uint64(print[:]) & m.sets * memoWays
	return m.places[first : first+memoWays]
}

// recall returns what a token says, if it was judged in this turn of the
// shop's keys.
func (m *memory) recall(print tokenPrint, turn uint64) (claims, bool) {
	set := m.set(print)
	for i := range set {
		known := set[i].Load()
		if known != nil && subtle.ConstantTimeCompare(known.print[:], print[:]) == 1 {
			return known.claims, known.turn == turn
		}
	}
	return claims{}, false
}

// remember puts fresh in the place of its earlier self, else where nothing is,
// else of the one that expires first.
func (m *memory) remember(fresh *memo) {
	set := m.set(fresh.print)
	spare, earliest := 0, int64(math.MaxInt64)
	for i := range set {
		known := set[i].Load()
		if known == nil || known.print == fresh.print {
			spare = i
			break
		}
		if known.claims.expires < earliest {
			spare, earliest = i, known.claims.expires
		}
	}
	set[spare].Store(fresh)
}
