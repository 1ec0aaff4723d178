package shop_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func hasher(t testing.TB, root byte) *shop.Hasher {
	t.Helper()
	h, err := shop.NewHasher(bytes.Repeat([]byte{root}, shop.RootKeyMin))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAClaimHasOneIDOnEveryNode(t *testing.T) {
	a, b, other := hasher(t, 1), hasher(t, 1), hasher(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		sale, buyer, key := rapid.String().Draw(t, "sale"), rapid.String().Draw(t, "buyer"), rapid.String().Draw(t, "key")
		id := a.Claim(sale, buyer, key)
		if id != b.Claim(sale, buyer, key) || id != a.Claim(sale, buyer, key) {
			t.Fatal("two ids for one claim")
		}
		if id == other.Claim(sale, buyer, key) {
			t.Fatal("the id does not hang on the root key")
		}
		if a.Bucket(sale, buyer, 7) != b.Bucket(sale, buyer, 7) || a.KeyPrint(sale, key) != b.KeyPrint(sale, key) {
			t.Fatal("two nodes differ about a bucket or a key's print")
		}
		if n := a.Bucket(sale, buyer, 7); n < 0 || n > 6 || a.Bucket(sale, buyer, 1) != 0 || a.Bucket(sale, buyer, 0) != 0 {
			t.Fatalf("bucket %d of 7", n)
		}
	})
}

// A key of today stays the key of its order for ever: what an id is must not
// change with a release. Nor must prints, which the ledger keeps, and buckets,
// where a buyer's limit is counted. (Computed apart, after RFC 5869 and RFC 2104.)
func TestAnIDDoesNotChangeWithARelease(t *testing.T) {
	if got, want := hasher(t, 7).Claim("retro-85", "alice", "k1").String(), "8173d4ca0fe65105668641ec415e1afb"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := hasher(t, 7).KeyPrint("retro-85", "k1"), uint64(0x682124a452699fa8); got != want {
		t.Errorf("got print %#x, want %#x", got, want)
	}
	if got, want := hasher(t, 7).Bucket("retro-85", "alice", 1000), 708; got != want {
		t.Errorf("got bucket %d, want %d", got, want)
	}
}

func TestNoTwoClaimsReadAlike(t *testing.T) {
	h := hasher(t, 1)
	parts := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 0, 1, 2}), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		one := [3]string{parts.Draw(t, "sale"), parts.Draw(t, "buyer"), parts.Draw(t, "key")}
		two := [3]string{parts.Draw(t, "sale 2"), parts.Draw(t, "buyer 2"), parts.Draw(t, "key 2")}
		same := h.Claim(one[0], one[1], one[2]) == h.Claim(two[0], two[1], two[2])
		if same != (one == two) {
			t.Fatalf("%q and %q: same id %v", one, two, same)
		}
	})
	if h.Claim("ab", "c", "d") == h.Claim("a", "bc", "d") || h.Claim("a", "", "b") == h.Claim("a", "b", "") {
		t.Error("a letter that moves from one part to the next changes nothing")
	}
}

func TestBuyersSpreadOverTheBuckets(t *testing.T) {
	h := hasher(t, 3)
	var count [8]int
	const buyers = 8000
	for i := range buyers {
		count[h.Bucket("s", strings.Repeat("x", i%128)+string(rune('a'+i/128)), len(count))]++
	}
	for i, n := range count {
		if n < buyers/len(count)/2 {
			t.Errorf("bucket %d has %d of %d buyers", i, n, buyers)
		}
	}
}

func TestHashingFromManyGoroutinesGivesTheSameIDs(t *testing.T) {
	h := hasher(t, 1)
	want := h.Claim("s", "b", "k")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				if h.Claim("s", "b", "k") != want {
					t.Error("another id")
				}
			}
		})
	}
	group.Wait()
}

func TestARootKeyIsToldByItsPrint(t *testing.T) {
	a, b, other := hasher(t, 1), hasher(t, 1), hasher(t, 2)
	if !bytes.Equal(a.Print(), b.Print()) || bytes.Equal(a.Print(), other.Print()) || len(a.Print()) != 16 {
		t.Errorf("prints %x, %x and %x", a.Print(), b.Print(), other.Print())
	}
}

func TestAShortRootKeyIsRefused(t *testing.T) {
	if _, err := shop.NewHasher(make([]byte, shop.RootKeyMin-1)); err == nil || !strings.Contains(err.Error(), "31 bytes; it needs 32") {
		t.Errorf("error is %v", err)
	}
}

func TestAnIDIsReadInOneSpellingOnly(t *testing.T) {
	id := hasher(t, 1).Claim("s", "b", "k")
	if back, ok := shop.ParseClaimID(id.String()); !ok || back != id {
		t.Errorf("ParseClaimID(%s) = %s, %v", id, back, ok)
	}
	text := "abcdef00112233445566778899aabbcc"
	for _, wrong := range []string{"", text[1:], text + "0", strings.ToUpper(text), "g" + text[1:], " " + text[1:], "0x" + text[2:]} {
		if _, ok := shop.ParseClaimID(wrong); ok {
			t.Errorf("ParseClaimID takes %q", wrong)
		}
	}
}

func FuzzParseClaimID(f *testing.F) {
	f.Add("abcdef00112233445566778899aabbcc")
	f.Add("ABCDEF00112233445566778899AABBCC")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := shop.ParseClaimID(s); ok && id.String() != s {
			t.Errorf("%q is read as %s", s, id)
		}
	})
}
