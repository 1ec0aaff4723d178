package gate

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// What a proof of work asks for. A desktop's browser derives 12,000 keys of this
// cost a second. An old phone, taken to be eight times as slow, is done within
// two seconds, and within eight under the greatest pressure.
const (
	altchaAlgorithm = "PBKDF2/SHA-256" // browsers have it built in: a script gains little over a phone
	altchaCost      = 200              // rounds of a key; also what posing one costs us (35 µs)
	altchaTries     = 3000             // keys to try at level 0, at most; half of them on average
	altchaFor       = 2 * time.Minute  // from posing to the order
	altchaKeySize   = sha256.Size
	altchaNonceSize = 16
	// proofMax is twice what the page sends, in bytes.
	proofMax = 2 << 10
)

// Altcha is proof of work in the ALTCHA protocol, version 2: the page looks for
// the counter whose key, derived from nonce and counter, begins with a prefix.
// Every node with the root key takes the solution of what any other posed. It
// keeps nothing.
type Altcha struct {
	parameters, keys *macs
	strict           *base64.Encoding
	random           io.Reader
	readers          sync.Pool // of *solution
}

// NewAltcha derives its keys from root (HKDF, RFC 5869).
func NewAltcha(root Secret, random io.Reader) (*Altcha, error) {
	a := &Altcha{
		strict: base64.StdEncoding.Strict(), random: random,
		readers: sync.Pool{New: func() any { return new(solution) }},
	}
	for purpose, into := range map[string]**macs{"challenge": &a.parameters, "challenge key": &a.keys} {
		key, err := hkdf.Key(sha256.New, root.Reveal(), nil, "doorbuster/"+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive the %s: %w", purpose, err)
		}
		if *into, err = newMACs(NewSecret(key)); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Pose implements Challenger.
func (a *Altcha) Pose(to []byte, task Task) ([]byte, error) {
	var seed [2*altchaNonceSize + 4]byte
	if _, err := io.ReadFull(a.random, seed[:]); err != nil {
		return nil, fmt.Errorf("pose a challenge: %w", err)
	}
	p := puzzle{claim: task.Claim, expires: task.Now.Add(altchaFor).Unix()}
	copy(p.nonce[:], seed[:])
	copy(p.salt[:], seed[altchaNonceSize:])
	counter := binary.BigEndian.Uint32(seed[2*altchaNonceSize:]) % (altchaTries << min(task.Level, LevelMax))
	key, err := p.key(counter)
	if err != nil {
		return nil, fmt.Errorf("pose a challenge: %w", err)
	}
	copy(p.prefix[:], key)
	p.keySignature = a.keys.sum(key)
	to = append(to, `{"parameters":`...)
	begin := len(to)
	to = p.append(to)
	signature := a.parameters.sum(to[begin:])
	to = append(to, `,"signature":"`...)
	to = hex.AppendEncode(to, signature[:])
	return append(to, `"}`...), nil
}

// Solved implements Challenger. It believes nothing that the proof says: the
// parameters are written anew, with the claim of this very order, and must have
// the signature.
func (a *Altcha) Solved(_ context.Context, task Task, proof []byte) (bool, error) {
	s := a.readers.Get().(*solution)
	defer a.readers.Put(s)
	if !s.read(a.strict, proof) || s.puzzle.expires <= task.Now.Unix() {
		return false, nil
	}
	s.puzzle.claim = task.Claim
	want := a.parameters.sum(s.puzzle.append(s.room[:0]))
	if !hmac.Equal(s.signature[:], want[:]) {
		return false, nil
	}
	want = a.keys.sum(s.key[:])
	return hmac.Equal(s.puzzle.keySignature[:], want[:]), nil
}

// puzzle is what a challenge's parameters say.
type puzzle struct {
	claim        shop.ClaimID
	expires      int64 // Unix seconds
	nonce, salt  [altchaNonceSize]byte
	prefix       [altchaKeySize / 2]byte
	keySignature [sha256.Size]byte // of the whole key: who has found it shows it
}

// key derives what the counter leads to.
func (p *puzzle) key(counter uint32) ([]byte, error) {
	password := binary.BigEndian.AppendUint32(p.nonce[:], counter)
	return pbkdf2.Key(sha256.New, string(password), p.salt[:], altchaCost, altchaKeySize)
}

// append writes the parameters in the one way that is signed: names in the
// order of the alphabet, values of fixed length or in digits, so that no two
// puzzles read alike.
func (p *puzzle) append(to []byte) []byte {
	to = append(to, `{"algorithm":"`+altchaAlgorithm+`","cost":`...)
	to = strconv.AppendInt(to, altchaCost, 10)
	to = append(to, `,"data":{"claim":"`...)
	to = hex.AppendEncode(to, p.claim[:])
	to = append(to, `"},"expiresAt":`...)
	to = strconv.AppendInt(to, p.expires, 10)
	to = append(to, `,"keyLength":`...)
	to = strconv.AppendInt(to, altchaKeySize, 10)
	to = append(to, `,"keyPrefix":"`...)
	to = hex.AppendEncode(to, p.prefix[:])
	to = append(to, `","keySignature":"`...)
	to = hex.AppendEncode(to, p.keySignature[:])
	to = append(to, `","nonce":"`...)
	to = hex.AppendEncode(to, p.nonce[:])
	to = append(to, `","salt":"`...)
	to = hex.AppendEncode(to, p.salt[:])
	return append(to, `"}`...)
}

// solution is what a page sends.
type solution struct {
	puzzle    puzzle
	signature [sha256.Size]byte
	key       [altchaKeySize]byte
	room      [proofMax]byte // to read and write in
}

// read reads base64 of the JSON that ALTCHA's own programs write, to the
// letter: there is one way to read it, and it costs no memory.
func (s *solution) read(strict *base64.Encoding, proof []byte) bool {
	if len(proof) > proofMax {
		return false
	}
	n, err := strict.Decode(s.room[:], proof)
	if err != nil {
		return false
	}
	r := letters{rest: s.room[:n]}
	r.skip(`{"challenge":{"parameters":{"algorithm":"` + altchaAlgorithm + `","cost":`)
	r.same(altchaCost)
	r.skip(`,"data":{"claim":`)
	r.hex(s.puzzle.claim[:])
	r.skip(`},"expiresAt":`)
	s.puzzle.expires = r.digits()
	r.skip(`,"keyLength":`)
	r.same(altchaKeySize)
	r.skip(`,"keyPrefix":`)
	r.hex(s.puzzle.prefix[:])
	r.skip(`,"keySignature":`)
	r.hex(s.puzzle.keySignature[:])
	r.skip(`,"nonce":`)
	r.hex(s.puzzle.nonce[:])
	r.skip(`,"salt":`)
	r.hex(s.puzzle.salt[:])
	r.skip(`},"signature":`)
	r.hex(s.signature[:])
	r.skip(`},"solution":{"counter":`)
	counter := r.digits()
	r.skip(`,"derivedKey":`)
	r.hex(s.key[:])
	r.time()
	r.skip(`}}`)
	return !r.wrong && len(r.rest) == 0 && counter < altchaTries<<LevelMax
}

// letters reads a text from its front. After the first letter that it did not
// expect, it is wrong and reads nothing more.
type letters struct {
	rest  []byte
	wrong bool
}

func (r *letters) skip(text string) {
	if r.wrong || len(r.rest) < len(text) || string(r.rest[:len(text)]) != text {
		r.wrong = true
		return
	}
	r.rest = r.rest[len(text):]
}

// hex reads as many bytes as into has, in quotes.
func (r *letters) hex(into []byte) {
	r.skip(`"`)
	size := hex.EncodedLen(len(into))
	if r.wrong || len(r.rest) < size {
		r.wrong = true
		return
	}
	if _, err := hex.Decode(into, r.rest[:size]); err != nil {
		r.wrong = true
		return
	}
	r.rest = r.rest[size:]
	r.skip(`"`)
}

// digits reads a whole number of up to 15 digits.
func (r *letters) digits() (n int64) {
	size := 0
	for size < len(r.rest) && size < 15 && r.rest[size] >= '0' && r.rest[size] <= '9' {
		n = n*10 + int64(r.rest[size]-'0')
		size++
	}
	r.wrong = r.wrong || size == 0 || r.rest[0] == '0' && size > 1
	if !r.wrong {
		r.rest = r.rest[size:]
	}
	return n
}

func (r *letters) same(want int64) { r.wrong = r.digits() != want || r.wrong }

// time skips how long the page took, which some programs leave out.
func (r *letters) time() {
	const name = `,"time":`
	if r.wrong || len(r.rest) < len(name) || string(r.rest[:len(name)]) != name {
		return
	}
	r.rest = r.rest[len(name):]
	r.digits()
	if len(r.rest) > 0 && r.rest[0] == '.' {
		r.rest = bytes.TrimLeft(r.rest[1:], "0123456789")
	}
}
