package shop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// ClaimID names one attempt of one buyer: the same on every node for the same
// sale, buyer and Idempotency-Key. It is the order's id, and not guessable.
type ClaimID [16]byte

// String returns the id as 32 hexadecimal digits.
func (c ClaimID) String() string { return hex.EncodeToString(c[:]) }

// Short returns the id's first 64 bits, for tables of fingerprints.
func (c ClaimID) Short() uint64 { return binary.BigEndian.Uint64(c[:8]) }

// ParseClaimID reads what ClaimID.String wrote.
func ParseClaimID(s string) (ClaimID, bool) {
	var c ClaimID
	if len(s) != hex.EncodedLen(len(c)) {
		return c, false
	}
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' {
			return c, false // one id, one spelling
		}
	}
	_, err := hex.Decode(c[:], []byte(s))
	return c, err == nil
}

// Hasher derives claim ids, buckets and key prints from the root key. Nobody
// without the key can choose a buyer's bucket or guess an order's id.
type Hasher struct {
	claims, buckets, keys, openings, secrets sync.Pool // of *mac, one purpose each
	print                                    []byte
}

// RootKeyMin is the shortest root key, in bytes (RFC 5869: at least the
// strength asked of what is derived).
const RootKeyMin = 32

// NewHasher derives one key per purpose from root (HKDF, RFC 5869).
func NewHasher(root []byte) (*Hasher, error) {
	if len(root) < RootKeyMin {
		return nil, fmt.Errorf("root key has %d bytes; it needs %d or more", len(root), RootKeyMin)
	}
	h := &Hasher{}
	for purpose, pool := range map[string]*sync.Pool{
		"claim": &h.claims, "bucket": &h.buckets, "key": &h.keys, "opening": &h.openings, "secret": &h.secrets,
	} {
		key, err := hkdf.Key(sha256.New, root, nil, "doorbuster/"+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive %s key: %w", purpose, err)
		}
		pool.New = func() any { return &mac{hash: hmac.New(sha256.New, key)} }
	}
	var err error
	if h.print, err = hkdf.Key(sha256.New, root, nil, "doorbuster/print", printSize); err != nil {
		return nil, fmt.Errorf("derive the root key's print: %w", err)
	}
	return h, nil
}

// printSize is enough to tell two root keys apart, in bytes.
const printSize = 16

// Print tells two root keys apart and says nothing else about them. A ledger
// keeps it, so that no node names a buyer's claim otherwise than the others.
func (h *Hasher) Print() []byte { return slices.Clone(h.print) }

// Claim returns the id of a buyer's claim under an Idempotency-Key.
func (h *Hasher) Claim(sale, buyer, key string) ClaimID {
	digest := sum(&h.claims, sale, buyer, key)
	return ClaimID(digest[:16])
}

// Bucket returns which of the sale's buckets serves the buyer.
func (h *Hasher) Bucket(sale, buyer string, buckets int) int {
	if buckets <= 1 {
		return 0
	}
	return int(h.word(&h.buckets, sale, buyer) % uint64(buckets)) //nolint:gosec // the remainder fits
}

// KeyPrint returns a 64-bit fingerprint of a sale's Idempotency-Key. It is a
// filter, not a proof: two keys may share one.
func (h *Hasher) KeyPrint(sale, key string) uint64 { return h.word(&h.keys, sale, key) }

// Opening returns the opening key of a strict sale: the same at every node, and
// not to be guessed. Once the sale has opened, neither its id nor its opening
// time changes any more, so that the key stays; a rehearsal at another time has
// another one.
func (h *Hasher) Opening(sale *Sale) string {
	digest := sum(&h.openings, sale.ID, momentText(sale.OpensAt), "")
	return hex.EncodeToString(digest[:16])
}

// SecretPrint returns a 64-bit fingerprint of another secret, by which nodes
// with the same root key find out that this secret differs between them. It
// says nothing of the secret to anybody without the root key.
func (h *Hasher) SecretPrint(name string, secret []byte) uint64 {
	return h.word(&h.secrets, name, string(secret))
}

func (h *Hasher) word(pool *sync.Pool, a, b string) uint64 {
	digest := sum(pool, a, b, "")
	return binary.BigEndian.Uint64(digest[:8])
}

// mac is a keyed hash with its scratch space, so that hashing allocates
// nothing.
type mac struct {
	hash  hash.Hash
	input []byte
	out   [sha256.Size]byte
}

func sum(pool *sync.Pool, parts ...string) [sha256.Size]byte {
	m := pool.Get().(*mac)
	defer pool.Put(m)
	m.input = m.input[:0]
	for _, part := range parts { // lengths first: no two lists of parts read alike
		m.input = binary.BigEndian.AppendUint16(m.input, uint16(len(part))) //nolint:gosec // parts are bounded by the contract
		m.input = append(m.input, part...)
	}
	m.hash.Reset()
	_, _ = m.hash.Write(m.input)
	m.hash.Sum(m.out[:0])
	return m.out
}
