package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// ErrPoison says that bytes are no tickets. No later try can read them.
var ErrPoison = errors.New("queue: these bytes are no tickets")

// Packed tickets are
//
//	version (1 byte), CRC-32C of what follows (4), how many (uvarint), tickets
//
// and a ticket is
//
//	flags (1), claim (16), nonce (8), key print (8), seq, quantity, seconds and
//	nanoseconds (varints), buyer; unless flagged the same as the ticket's
//	before: sale, bucket and epoch; unless flagged the same: sku
//
// with each text as its length (uvarint) and its bytes. Fixed words are big
// endian. A version's layout never changes: nodes of two versions share a
// queue while they are replaced.
const (
	packVersion = 1
	packHead    = 1 + crc32.Size
	ticketMin   = 1 + 16 + 8 + 8 + 4 + 1 // with every varint and text at its shortest

	sameBucket = 1 << 0 // sale, bucket and epoch
	sameSKU    = 1 << 1
	flagsKnown = sameBucket | sameSKU
)

// castagnoli returns the table of CRC-32C, which has its own instruction on
// most machines; the library makes it once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Pack appends tickets to into as bytes that Unpack reads. Times keep their
// nanoseconds, not their zone.
func Pack(into []byte, tickets []shop.Ticket) []byte {
	begin := len(into)
	into = append(into, packVersion, 0, 0, 0, 0)
	into = binary.AppendUvarint(into, uint64(len(tickets)))
	before := shop.Ticket{}
	for i := range tickets {
		into = packTicket(into, &tickets[i], &before)
		before = tickets[i]
	}
	sum := crc32.Checksum(into[begin+packHead:], castagnoli())
	binary.BigEndian.PutUint32(into[begin+1:], sum)
	return into
}

func packTicket(into []byte, t, before *shop.Ticket) []byte {
	var flags byte
	if t.Bucket == before.Bucket && t.Epoch == before.Epoch {
		flags |= sameBucket
	}
	if t.SKU == before.SKU {
		flags |= sameSKU
	}
	into = append(into, flags)
	into = append(into, t.Claim[:]...)
	into = binary.BigEndian.AppendUint64(into, t.Nonce)
	into = binary.BigEndian.AppendUint64(into, t.KeyPrint)
	into = binary.AppendVarint(into, t.Seq)
	into = binary.AppendVarint(into, t.Quantity)
	into = binary.AppendVarint(into, t.At.Unix())
	into = binary.AppendUvarint(into, uint64(t.At.Nanosecond())) //nolint:gosec // never negative
	into = packText(into, t.Buyer)
	if flags&sameBucket == 0 {
		into = packText(into, t.Bucket.Sale)
		into = binary.AppendVarint(into, int64(t.Bucket.Number))
		into = binary.AppendVarint(into, t.Epoch)
	}
	if flags&sameSKU == 0 {
		into = packText(into, t.SKU)
	}
	return into
}

func packText(into []byte, text string) []byte {
	into = binary.AppendUvarint(into, uint64(len(text)))
	return append(into, text...)
}

// Unpack appends the tickets of data to into, their times in UTC. Bytes that
// Pack did not write are an ErrPoison, and into is as it was. What it takes of
// memory is bounded by the length of data, whatever data says.
func Unpack(data []byte, into []shop.Ticket) ([]shop.Ticket, error) {
	if len(data) < packHead || data[0] != packVersion {
		return into, fmt.Errorf("%w: %d bytes of another version, or of none", ErrPoison, len(data))
	}
	if crc32.Checksum(data[packHead:], castagnoli()) != binary.BigEndian.Uint32(data[1:]) {
		return into, fmt.Errorf("%w: their checksum is wrong", ErrPoison)
	}
	r := reader{rest: data[packHead:]}
	count := r.unsigned()
	if count > uint64(len(r.rest)/ticketMin) {
		return into, fmt.Errorf("%w: %d cannot stand in %d bytes", ErrPoison, count, len(r.rest))
	}
	tickets := into
	before := shop.Ticket{}
	for range count {
		before = r.ticket(&before)
		tickets = append(tickets, before)
	}
	if r.bad || len(r.rest) > 0 {
		return into, fmt.Errorf("%w: a ticket is cut short or %d bytes are left", ErrPoison, len(r.rest))
	}
	return tickets, nil
}

// reader reads what Pack wrote. What does not fit makes it bad, and all that
// it reads from then on is zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) ticket(before *shop.Ticket) shop.Ticket {
	flags := r.bytes(1)[0]
	if flags&^flagsKnown != 0 {
		r.fail()
	}
	t := shop.Ticket{Bucket: before.Bucket, Epoch: before.Epoch, SKU: before.SKU}
	copy(t.Claim[:], r.bytes(uint64(len(t.Claim))))
	t.Nonce = binary.BigEndian.Uint64(r.bytes(8))
	t.KeyPrint = binary.BigEndian.Uint64(r.bytes(8))
	t.Seq = r.signed()
	t.Quantity = r.signed()
	t.At = r.time()
	t.Buyer = r.text()
	if flags&sameBucket == 0 {
		t.Bucket.Sale = r.text()
		t.Bucket.Number = int(r.signed())
		t.Epoch = r.signed()
	}
	if flags&sameSKU == 0 {
		t.SKU = r.text()
	}
	return t
}

func (r *reader) time() time.Time {
	seconds, nanoseconds := r.signed(), r.unsigned()
	if nanoseconds >= uint64(time.Second) {
		r.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC()
}

func (r *reader) text() string {
	length := r.unsigned()
	if length > uint64(len(r.rest)) { // before anything is made of it
		r.fail()
		return ""
	}
	return string(r.bytes(length))
}

// bytes returns the next n of them, or so many zeros: n is small, or known to
// be there.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return make([]byte, n)
	}
	next := r.rest[:n]
	r.rest = r.rest[n:]
	return next
}

func (r *reader) unsigned() uint64 {
	value, length := binary.Uvarint(r.rest)
	return value * r.took(length)
}

func (r *reader) signed() int64 {
	value, length := binary.Varint(r.rest)
	return value * int64(r.took(length)) //nolint:gosec // 0 or 1
}

// took moves past a varint, and returns 0 where there was none.
func (r *reader) took(length int) uint64 {
	if length <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[length:]
	return 1
}

func (r *reader) fail() { r.rest, r.bad = nil, true }
