package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestTheChecksumIsRedis(t *testing.T) {
	for _, key := range []string{"123456789", "", "doorbuster"} {
		text, err := oneCluster(t).Nodes[0].Do(t.Context(), "CLUSTER", "KEYSLOT", key)
		must(t, err)
		if got := fmt.Sprint(crc16(0, key) % slots); got != text {
			t.Errorf("slot of %q is %s, want %s", key, got, text)
		}
	}
}

func TestAllKeysOfABucketLieInItsSlot(t *testing.T) {
	for number := range 100 {
		bucket := shop.Bucket{Sale: "retro-85", Number: number}
		k := keysOf("ledger", bucket)
		for _, key := range []string{k.state, k.tickets, k.buyers, k.stream, k.depth} {
			_, rest, _ := strings.Cut(key, "{")
			inside, _, _ := strings.Cut(rest, "}")
			if got := crc16(0, inside) % slots; got != slotOf(number) {
				t.Fatalf("%s lies in %d, want %d", key, got, slotOf(number))
			}
		}
	}
}

// TestBucketsSpreadOverTheMasters counts for masters with equal shares, as
// redis-cli makes them.
func TestBucketsSpreadOverTheMasters(t *testing.T) {
	for masters := 1; masters <= 16; masters++ {
		for buckets := 1; buckets <= 64; buckets++ {
			count := make([]int, masters)
			for number := range buckets {
				count[int(slotOf(number))*masters/slots]++
			}
			most := (buckets + masters - 1) / masters
			if buckets > 16 {
				most += 2
			}
			for _, got := range count {
				if got > most {
					t.Errorf("%d of %d buckets on one of %d masters, want at most %d", got, buckets, masters, most)
				}
			}
		}
	}
}

func TestTwoLedgersNeverShareAKey(t *testing.T) {
	bucket := shop.Bucket{Sale: "drop"}
	if a, b := keysOf("a", bucket), keysOf("b", bucket); a.state == b.state {
		t.Errorf("both are %q", a.state)
	}
}

func BenchmarkTag(b *testing.B) {
	for b.Loop() {
		tag("ledger", shop.Bucket{Sale: "retro-85", Number: 3})
	}
}
