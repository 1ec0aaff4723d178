package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/bench/load"
	"github.com/doorbuster/doorbuster/internal/gate"
)

// requests are whole HTTP requests, written before the clock starts: one
// buffer, so that they cost the generator's collector nothing.
type requests struct {
	bytes []byte
	ends  []int
}

func (r *requests) add(request []byte) {
	r.bytes = append(r.bytes, request...)
	r.ends = append(r.ends, len(r.bytes))
}

func (r *requests) len() int { return len(r.ends) }

func (r *requests) at(n int) []byte {
	begin := 0
	if n > 0 {
		begin = r.ends[n-1]
	}
	return r.bytes[begin:r.ends[n]]
}

// once sends each request once.
func (r *requests) once() load.Source {
	return func(n int64, _ []byte) ([]byte, bool) {
		if n >= int64(r.len()) {
			return nil, false
		}
		return r.at(int(n)), true
	}
}

// again begins anew after the last one.
func (r *requests) again() load.Source {
	return func(n int64, _ []byte) ([]byte, bool) { return r.at(int(n % int64(r.len()))), true }
}

// times sends so many, and begins anew after the last one.
func (r *requests) times(number int64) load.Source {
	again := r.again()
	return func(n int64, room []byte) ([]byte, bool) {
		request, _ := again(n, room)
		return request, n < number
	}
}

// crowd makes buyers who never come twice, each with a token, an
// Idempotency-Key and an address.
type crowd struct {
	signer *gate.Signer
	born   time.Time // when tokens were signed
	next   uint64
}

func newCrowd() (*crowd, error) {
	signer, err := newSigner()
	return &crowd{signer: signer, born: time.Now()}, err
}

// buyer is one of the crowd.
type buyer struct {
	number  uint64
	token   string
	address [4]byte
}

func (c *crowd) buyer() (buyer, error) {
	c.next++
	return c.at(c.next)
}

// at returns the buyer with that number.
func (c *crowd) at(number uint64) (buyer, error) {
	b := buyer{number: number}
	token, err := c.signer.Sign(gate.Identity{Buyer: buyerID(number)}, c.born, 24*time.Hour)
	b.token = token
	binary.BigEndian.PutUint32(b.address[:], 10<<24|uint32(number)&0xffffff)
	return b, err
}

// buyerID is whom the buyer's token names, as long as a UUID.
func buyerID(number uint64) string { return fmt.Sprintf("%016x-buyer-%013d", scatter(number), number) }

// scatter is a bijection: neighbours become strangers.
func scatter(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// appendOrder appends a full POST of an order.
func appendOrder(to []byte, b *buyer, sale, sku string) []byte {
	const host = "shop.example"
	body := len(`{"sku":"","quantity":1}`) + len(sku)
	to = fmt.Appendf(to, "POST /api/v1/sales/%s/orders HTTP/1.1\r\nHost: %s\r\n", sale, host)
	to = append(to, "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nContent-Type: application/json\r\n"...)
	to = fmt.Appendf(to, "Authorization: Bearer %s\r\nIdempotency-Key: %016x%016x\r\n", b.token, scatter(b.number), b.number)
	to = fmt.Appendf(to, "X-Forwarded-For: %d.%d.%d.%d\r\nContent-Length: %d\r\n\r\n", b.address[0], b.address[1], b.address[2], b.address[3], body)
	return fmt.Appendf(to, `{"sku":"%s","quantity":1}`, sku)
}

// orders writes count orders of as many new buyers, one after the other of the
// sales and SKUs that where names.
func (c *crowd) orders(count int, where func(n int) (sale, sku string)) (*requests, error) {
	r := &requests{bytes: make([]byte, 0, count*600), ends: make([]int, 0, count)}
	var room []byte
	for n := range count {
		b, err := c.buyer()
		if err != nil {
			return nil, err
		}
		sale, sku := where(n)
		room = appendOrder(room[:0], &b, sale, sku)
		r.add(room)
	}
	return r, nil
}

// of always names the same sale and SKU.
func of(sale, sku string) func(int) (string, string) {
	return func(int) (string, string) { return sale, sku }
}

// withHeader returns a copy of the request with one more line in its head.
func withHeader(request []byte, header string) []byte {
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	return fmt.Appendf(nil, "%s\r\n%s\r\n\r\n%s", head, header, body)
}
