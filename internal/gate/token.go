package gate

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

const (
	// BuyerKeyMin is the shortest buyer key, in bytes (RFC 7518: as long as
	// the hash).
	BuyerKeyMin = 32

	tokenMax  = 4096 // bytes; a header of 8 KiB has to carry more than this
	bearer    = "bearer "
	ownHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"HS256","typ":"JWT"}
)

// errUnauthorized is the one answer to every bad token: it does not say what
// was wrong, and costs nothing to give.
var errUnauthorized error = shop.Refusal{
	Code:   shop.Unauthorized,
	Detail: "No valid buyer token. Sign in again, then try once more with the same Idempotency-Key.",
}

// Identity is who a valid token speaks for.
type Identity struct {
	Buyer string
	Sale  string // the only sale that the token is good for; empty: any
}

// Owns reports whether the order is the buyer's, and of a sale that the token
// is good for. To whoever bears the token, any other order does not exist.
func (i Identity) Owns(order *shop.Order) bool {
	return order.Buyer == i.Buyer && (i.Sale == "" || order.Sale == i.Sale)
}

// Signer makes HS256 buyer tokens.
type Signer struct {
	macs *macs
}

// NewSigner signs with key, which is the bytes as given.
func NewSigner(key Secret) (*Signer, error) {
	macs, err := newMACs(key)
	if err != nil {
		return nil, err
	}
	return &Signer{macs: macs}, nil
}

// Sign returns a token for who that is good from now on and for lifetime.
func (s *Signer) Sign(who Identity, now time.Time, lifetime time.Duration) (string, error) {
	if err := shop.CheckBuyer(who.Buyer); err != nil {
		return "", err
	}
	if lifetime < time.Second {
		return "", fmt.Errorf("token lifetime %s; it may be 1s or more", lifetime)
	}
	payload, err := json.Marshal(struct {
		Buyer   string `json:"sub"`
		Expires int64  `json:"exp"`
		Issued  int64  `json:"iat"`
		Sale    string `json:"sale,omitempty"`
	}{who.Buyer, now.Add(lifetime).Unix(), now.Unix(), who.Sale})
	if err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	token := append([]byte(ownHeader), '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature := s.macs.sum(token)
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, signature[:])), nil
}

// macs computes HMAC-SHA256 with states that are keyed once and used again.
type macs struct{ pool sync.Pool }

type mac struct {
	hash hash.Hash
	out  [sha256.Size]byte
}

func newMACs(key Secret) (*macs, error) {
	if key.Len() < BuyerKeyMin {
		return nil, fmt.Errorf("buyer key has %d bytes; it needs %d or more", key.Len(), BuyerKeyMin)
	}
	return &macs{pool: sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, key.Reveal())} }}}, nil
}

func (m *macs) sum(message []byte) [sha256.Size]byte {
	state := m.pool.Get().(*mac)
	defer m.pool.Put(state)
	state.hash.Reset()
	_, _ = state.hash.Write(message)
	state.hash.Sum(state.out[:0])
	return state.out
}

// Verifier tells who a token speaks for. Tokens signed with the buyer key are
// always good; with a key set, so are those of its keys. Neither key is ever
// tried on the other's tokens.
type Verifier struct {
	macs   *macs
	keys   *JWKS // nil: none
	seen   *memos
	strict *base64.Encoding
	header atomic.Pointer[string] // the last one that was found good for HS256: an issuer writes always the same
}

// NewVerifier verifies with the buyer key and, unless nil, the keys of a shop.
// It remembers up to so many signed tokens, good or not.
func NewVerifier(key Secret, keys *JWKS, remembered int) (*Verifier, error) {
	macs, err := newMACs(key)
	if err != nil {
		return nil, err
	}
	seen, err := newMemos(remembered)
	if err != nil {
		return nil, err
	}
	return &Verifier{macs: macs, keys: keys, seen: seen, strict: base64.RawURLEncoding.Strict()}, nil
}

// Bearer verifies the token of an Authorization header. now is in Unix
// nanoseconds. Whatever is wrong, the refusal is the same.
func (v *Verifier) Bearer(authorization []byte, now int64) (Identity, error) {
	if len(authorization) < len(bearer) || !bytes.EqualFold(authorization[:len(bearer)], []byte(bearer)) {
		return Identity{}, errUnauthorized
	}
	return v.Verify(bytes.Trim(authorization[len(bearer):], " "), now)
}

// Verify tells who token speaks for at now, in Unix nanoseconds. Whatever is
// wrong, the refusal is the same.
func (v *Verifier) Verify(token []byte, now int64) (Identity, error) {
	if len(token) > tokenMax {
		return Identity{}, errUnauthorized
	}
	turn := v.keys.turn() // read before the keys: what old keys judged is not remembered under new ones
	print := v.seen.print(token)
	said, known := v.seen.recall(print, turn)
	if !known {
		parts, ok := v.split(token)
		if !ok || !v.signed(&parts) {
			return Identity{}, errUnauthorized
		}
		said = v.readPayload(parts.payload)
		v.seen.remember(&memo{print: print, turn: turn, payload: said})
	}
	if !said.goodAt(now) {
		return Identity{}, errUnauthorized
	}
	return said.who, nil
}

// parts is a token cut at its dots; signature is decoded.
type parts struct {
	signed, header, payload, signature []byte
	room                               [sha256.Size]byte // for a HS256 signature, which needs no other
}

func (v *Verifier) split(token []byte) (p parts, ok bool) {
	first, last := bytes.IndexByte(token, '.'), bytes.LastIndexByte(token, '.')
	if first < 0 || first == last {
		return p, false
	}
	p.signed, p.header, p.payload = token[:last], token[:first], token[first+1:last]
	p.signature = token[last+1:]
	// The decoder skips line breaks: one token would have many spellings.
	return p, bytes.IndexByte(token, '\n') < 0 && bytes.IndexByte(token, '\r') < 0
}

// signed reports whether the signature is that of the algorithm in the header,
// by a key that is there for just this algorithm.
func (v *Verifier) signed(p *parts) bool {
	if len(p.signature) == base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return v.signedByUs(p)
	}
	if v.keys == nil {
		return false
	}
	header, ok := v.readHeader(p.header)
	if !ok {
		return false
	}
	signature, err := v.strict.DecodeString(string(p.signature))
	return err == nil && v.keys.verify(header, p.signed, signature)
}

// signedByUs looks into the token only when the MAC is right: strangers never
// reach the JSON.
func (v *Verifier) signedByUs(p *parts) bool {
	if n, err := v.strict.Decode(p.room[:], p.signature); err != nil || n != len(p.room) {
		return false
	}
	want := v.macs.sum(p.signed)
	if !hmac.Equal(p.room[:], want[:]) {
		return false
	}
	if last := v.header.Load(); string(p.header) == ownHeader || last != nil && string(p.header) == *last {
		return true
	}
	header, ok := v.readHeader(p.header)
	if !ok || header.algorithm != "HS256" {
		return false
	}
	good := string(p.header)
	v.header.Store(&good)
	return true
}
