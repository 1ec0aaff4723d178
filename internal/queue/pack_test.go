package queue_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/queue"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// anyTicket draws tickets that nobody would write, too.
func anyTicket() *rapid.Generator[shop.Ticket] {
	return rapid.Custom(func(t *rapid.T) shop.Ticket {
		ticket := shop.Ticket{
			Bucket: shop.Bucket{
				Sale:   rapid.OneOf(rapid.SampledFrom([]string{"", "retro-85"}), rapid.String()).Draw(t, "sale"),
				Number: rapid.Int().Draw(t, "number"),
			},
			Epoch:    rapid.Int64().Draw(t, "epoch"),
			Seq:      rapid.Int64().Draw(t, "seq"),
			Nonce:    rapid.Uint64().Draw(t, "nonce"),
			KeyPrint: rapid.Uint64().Draw(t, "key print"),
			Buyer:    string(rapid.SliceOf(rapid.Byte()).Draw(t, "buyer")),
			SKU:      rapid.SampledFrom([]string{"", "eu-42", "eu-43"}).Draw(t, "sku"),
			Quantity: rapid.Int64().Draw(t, "quantity"),
			At: time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
		}
		copy(ticket.Claim[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "claim"))
		return ticket
	})
}

func TestPackedTicketsComeBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tickets := rapid.SliceOfN(anyTicket(), 0, 20).Draw(t, "tickets")
		if len(tickets) > 1 && rapid.Bool().Draw(t, "share a bucket") {
			tickets[1].Bucket, tickets[1].Epoch = tickets[0].Bucket, tickets[0].Epoch
		}
		head := []byte("head")
		packed := queue.Pack(head, tickets)
		got, err := queue.Unpack(packed[len(head):], []shop.Ticket{{Seq: 99}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]shop.Ticket{{Seq: 99}}, tickets...), got); diff != "" {
			t.Fatalf("tickets (-packed +unpacked):\n%s", diff)
		}
	})
}

func TestATimeKeepsItsMomentNotItsZone(t *testing.T) {
	want := time.Date(2026, 12, 1, 18, 0, 0, 1, time.FixedZone("CST", 8*3600))
	got, err := queue.Unpack(queue.Pack(nil, []shop.Ticket{{At: want}, {}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got[0].At.Equal(want) || got[0].At.Location() != time.UTC {
		t.Errorf("time is %s, want %s in UTC", got[0].At, want)
	}
	if !got[1].At.IsZero() {
		t.Errorf("a ticket without a time has %s", got[1].At)
	}
}

func some(count int) []shop.Ticket {
	tickets := make([]shop.Ticket, count)
	for n := range tickets {
		tickets[n] = shop.Ticket{
			Bucket: shop.Bucket{Sale: "retro-85", Number: 3}, Epoch: 2, Seq: int64(n + 1), Nonce: uint64(n) << 40,
			KeyPrint: math.MaxUint64, Buyer: fmt.Sprint("buyer-", n), SKU: "eu-42", Quantity: 1,
			At: time.Unix(1_800_000_000, 123_456_789).UTC(),
		}
		copy(tickets[n].Claim[:], fmt.Sprintf("%016d", n))
	}
	return tickets
}

func TestABrokenByteIsPoison(t *testing.T) {
	packed := queue.Pack(nil, some(3))
	for at := range packed {
		broken := append([]byte(nil), packed...)
		broken[at] ^= 0x10
		wantPoison(t, broken)
		wantPoison(t, packed[:at])
	}
	wantPoison(t, append(packed, 0))
	wantPoison(t, nil)
}

func wantPoison(t *testing.T, data []byte) {
	t.Helper()
	into := []shop.Ticket{{Seq: 99}}
	got, err := queue.Unpack(data, into)
	if !errors.Is(err, queue.ErrPoison) || len(got) != 1 {
		t.Errorf("%x: %d tickets with error %v, want those that were there and %v", data, len(got), err, queue.ErrPoison)
	}
}

// sealed gives a body the head that makes its checksum right.
func sealed(body []byte) []byte {
	head := []byte{1, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(head, body...)
}

func TestALieAboutLengthsIsPoisonAndTakesNoMemory(t *testing.T) {
	one := queue.Pack(nil, some(1))[5:]
	for name, body := range map[string][]byte{
		"more tickets than bytes":   append(binary.AppendUvarint(nil, 1<<62), one[1:]...),
		"one ticket too many":       append([]byte{2}, one[1:]...),
		"one ticket too few":        append([]byte{0}, one[1:]...),
		"an endless count":          {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a flag that nobody knows":  append([]byte{1, 0x80}, one[2:]...),
		"a text longer than all":    longText(),
		"a second of two thousand…": badNanoseconds(),
		"nothing at all":            {},
	} {
		t.Run(name, func(t *testing.T) {
			data := sealed(body)
			wantPoison(t, data)
			if bytes := allocated(func() { _, _ = queue.Unpack(data, nil) }); bytes > 4096 {
				t.Errorf("%d bytes of memory for %d of data", bytes, len(data))
			}
		})
	}
}

// allocated returns how many bytes of memory a call takes.
func allocated(call func()) uint64 {
	const calls = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		call()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / calls
}

// fixed is a ticket's beginning up to its seconds, in a pack of one.
func fixed() []byte { return append([]byte{1, 3}, make([]byte, 16+8+8+2)...) }

func longText() []byte {
	return append(binary.AppendUvarint(append(fixed(), 0, 0), 1<<40), make([]byte, 64)...)
}

func badNanoseconds() []byte {
	return append(binary.AppendUvarint(append(fixed(), 0), 1_000_000_000), 0, 0, 0, 0)
}

func FuzzUnpack(f *testing.F) {
	f.Add(queue.Pack(nil, nil))
	f.Add(queue.Pack(nil, some(1)))
	f.Add(queue.Pack(nil, some(3)))
	f.Add(sealed(longText()))
	f.Add(sealed(badNanoseconds()))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkUnpack(t, data)
		if len(data) > 5 { // past the checksum, which a fuzzer does not guess
			checkUnpack(t, sealed(data[5:]))
		}
	})
}

func checkUnpack(t *testing.T, data []byte) {
	t.Helper()
	tickets, err := queue.Unpack(data, nil)
	if err != nil {
		if !errors.Is(err, queue.ErrPoison) || len(tickets) > 0 {
			t.Fatalf("%d tickets with error %v", len(tickets), err)
		}
		return
	}
	again, err := queue.Unpack(queue.Pack(nil, tickets), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tickets, again); diff != "" {
		t.Fatalf("tickets after a second round (-first +second):\n%s", diff)
	}
}

func BenchmarkPack(b *testing.B) {
	tickets := some(256)
	var packed []byte
	b.ReportAllocs()
	for b.Loop() {
		packed = queue.Pack(packed[:0], tickets)
	}
	b.ReportMetric(float64(len(packed))/float64(len(tickets)), "B/ticket")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tickets)), "ns/ticket")
}

func BenchmarkUnpack(b *testing.B) {
	packed := queue.Pack(nil, some(256))
	var tickets []shop.Ticket
	b.ReportAllocs()
	for b.Loop() {
		tickets, _ = queue.Unpack(packed, tickets[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tickets)), "ns/ticket")
}
