package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func sample() shop.Ticket {
	return shop.Ticket{
		Claim: shop.ClaimID{0, 1, 254, 255, 15: 7}, Bucket: drop(), Epoch: 1 << 40, Seq: 1 << 50, Nonce: 1<<64 - 1,
		KeyPrint: 1<<63 + 1, Buyer: "Zoë – 顾客", SKU: "eu-42.5_x", Quantity: 1000,
		At: time.Date(2026, 12, 1, 10, 0, 0, 123_456_789, time.UTC),
	}
}

func TestTicketsAreReadAsTheyWereWritten(t *testing.T) {
	bare := shop.Ticket{Bucket: drop()}
	long := sample()
	long.SKU, long.Buyer = strings.Repeat("s", skuMax), strings.Repeat("b", buyerMax)
	var text []byte
	want := []shop.Ticket{sample(), bare, long}
	for i := range want {
		text = appendTicket(append(text, want[i].Claim[:]...), &want[i])
	}
	got, err := readTickets(string(text), drop())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tickets (-written +read):\n%s", diff)
	}
	for cut := range len(text) {
		if some, err := readTickets(string(text[:cut]), drop()); err == nil && cmp.Equal(some, want) {
			t.Errorf("%d of %d bytes are enough", cut, len(text))
		}
	}
	if sound(long.SKU, long.Buyer) != nil || sound(long.SKU+"s", "") == nil || sound("", long.Buyer+"b") == nil {
		t.Errorf("the bounds of a ticket are not those of sound")
	}
}

// FuzzEntry reads whatever a stream may hold. What is read must be what would
// be written.
func FuzzEntry(f *testing.F) {
	ticket := sample()
	f.Add(appendTicket(append([]byte{}, ticket.Claim[:]...), &ticket), "", "", "", "", "", "", "")
	f.Add([]byte{}, string(make([]byte, 16)), "n", "\x00", string(appendWish(nil, "a", 1)), string(make([]byte, 16)), "\x00\x01", "x")
	f.Fuzz(func(t *testing.T, text []byte, s, a, k, b, c, l, n string) {
		if tickets, err := readTickets(string(text), drop()); err == nil {
			var again []byte
			for i := range tickets {
				again = appendTicket(append(again, tickets[i].Claim[:]...), &tickets[i])
			}
			if string(again) != string(text) {
				t.Fatalf("%x was read as %+v, which is %x", text, tickets, again)
			}
		}
		fields := map[string]string{"s": s, "a": a, "k": k, "b": b, "c": c, "l": l, "n": n, "h": string(text)}
		tickets, err := readEntry(fields, drop())
		if err == nil && len(tickets) != strings.Count(a, "n") {
			t.Fatalf("%d tickets of %q", len(tickets), a)
		}
	})
}
