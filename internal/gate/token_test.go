package gate

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// The tests' clock stands at testNow, 2026-12-01T10:00:00Z.
const testNow int64 = 1_796_119_200 * int64(time.Second)

func testKey() Secret { return NewSecret([]byte("a test key of thirty-two bytes or more")) }

func newSigner(t testing.TB) *Signer {
	t.Helper()
	signer, err := NewSigner(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newVerifier(t testing.TB, keys *JWKS) *Verifier {
	t.Helper()
	verifier, err := NewVerifier(testKey(), keys, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func mustSign(t testing.TB, who Identity, lifetime time.Duration) string {
	t.Helper()
	token, err := newSigner(t).Sign(who, time.Unix(0, testNow), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestASignedTokenSpeaksForItsBuyer(t *testing.T) {
	verifier := newVerifier(t, nil)
	for _, who := range []Identity{
		{Buyer: "ada"},
		{Buyer: "ada", Sale: "retro-85"},
		{Buyer: "王小明 <ada@example.org> \"quoted\""},
		{Buyer: strings.Repeat("é", shop.BuyerMax/2)},
	} {
		token := mustSign(t, who, time.Hour)
		for range 2 { // judged, then remembered
			got, err := verifier.Verify([]byte(token), testNow)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(who, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		}
	}
}

func TestATokenHasTheFixedHeader(t *testing.T) {
	token := mustSign(t, Identity{Buyer: "ada"}, time.Hour)
	if want := base64.RawURLEncoding.EncodeToString([]byte(plainHeader)); !strings.HasPrefix(token, want+".") || want != ownHeader {
		t.Errorf("token %q does not begin with %q", token, want)
	}
}

func TestATokenIsGoodUntilItExpires(t *testing.T) {
	verifier := newVerifier(t, nil)
	token := []byte(mustSign(t, Identity{Buyer: "ada"}, time.Minute))
	end := testNow + int64(time.Minute)
	for _, c := range []struct {
		now  int64
		good bool
	}{{testNow, true}, {end - 1, true}, {end, false}, {end + 1, false}, {end - 1, true}} {
		if _, err := verifier.Verify(token, c.now); (err == nil) != c.good {
			t.Errorf("%s after the start: %v, want good %v", time.Duration(c.now-testNow), err, c.good)
		}
	}
}

func TestForeignSpellingsOfAGoodTokenAreGood(t *testing.T) {
	for name, c := range map[string]struct{ header, payload string }{
		"other order":       {`{"typ":"JWT","alg":"HS256"}`, goodPayload},
		"no type":           {`{"alg":"HS256"}`, goodPayload},
		"small type":        {`{"alg":"HS256","typ":"jwt"}`, goodPayload},
		"access token":      {`{"alg":"HS256","typ":"at+jwt"}`, goodPayload},
		"a key id":          {`{"alg":"HS256","kid":"../../etc/passwd"}`, goodPayload},
		"more claims":       {plainHeader, `{"iss":"shop","sub":"ada","aud":["a"],"exp":1796119201,"roles":{"a":[1]}}`},
		"white space":       {plainHeader, " {\n\"sub\" : \"ada\", \"exp\" : 1796119201 }\n"},
		"fractional expiry": {plainHeader, `{"sub":"ada","exp":1796119200.5}`},
		"expiry as a power": {plainHeader, `{"sub":"ada","exp":2e9}`},
		"far expiry":        {plainHeader, `{"sub":"ada","exp":1e300}`},
		"begun":             {plainHeader, `{"sub":"ada","exp":1796119201,"nbf":1796119200}`},
		"begins in 5 s":     {plainHeader, `{"sub":"ada","exp":1796119209,"nbf":1796119205}`},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := newVerifier(t, nil).Verify([]byte(forge(testKey().Reveal(), c.header, c.payload)), testNow)
			if err != nil || who.Buyer != "ada" {
				t.Errorf("Verify = %+v, %v; want ada", who, err)
			}
		})
	}
}

func TestTheHeaderOfATokenIsBearer(t *testing.T) {
	verifier := newVerifier(t, nil)
	token := mustSign(t, Identity{Buyer: "ada"}, time.Hour)
	for header, want := range map[string]bool{
		"Bearer " + token:       true,
		"bearer " + token:       true,
		"BEARER   " + token:     true,
		"Bearer " + token + " ": true,
		"Bearer":                false,
		"Bearer ":               false,
		"Bearer" + token:        false,
		"Bearer\t" + token:      false,
		token:                   false,
		"":                      false,
		"Basic " + token:        false,
		"Bearer x " + token:     false,
	} {
		if _, err := verifier.Bearer([]byte(header), testNow); (err == nil) != want {
			t.Errorf("%.20q: %v, want good %v", header, err, want)
		}
	}
}

func TestAShortBuyerKeyIsRefused(t *testing.T) {
	short := NewSecret(make([]byte, BuyerKeyMin-1))
	const want = "buyer key has 31 bytes; it needs 32 or more"
	if _, err := NewSigner(short); err == nil || err.Error() != want {
		t.Errorf("NewSigner: %v, want %q", err, want)
	}
	if _, err := NewVerifier(short, nil, 1); err == nil || err.Error() != want {
		t.Errorf("NewVerifier: %v, want %q", err, want)
	}
}

func TestAWrongBuyerOrLifetimeIsNotSigned(t *testing.T) {
	signer := newSigner(t)
	for _, c := range []struct {
		buyer    string
		lifetime time.Duration
		want     string
	}{
		{"", time.Hour, "buyer id has 0 bytes; it may have 1 to 128"},
		{strings.Repeat("a", 129), time.Hour, "buyer id has 129 bytes; it may have 1 to 128"},
		{"a\xff", time.Hour, "buyer id is not valid UTF-8"},
		{"a\tb", time.Hour, "buyer id has the character U+0009, which does not print"},
		{"ada", time.Millisecond, "token lifetime 1ms; it may be 1s or more"},
	} {
		if token, err := signer.Sign(Identity{Buyer: c.buyer}, time.Unix(0, testNow), c.lifetime); err == nil || err.Error() != c.want {
			t.Errorf("Sign(%q, %s) = %q, %v; want %q", c.buyer, c.lifetime, token, err, c.want)
		}
	}
}

func TestAnySignedIdentityComesBack(t *testing.T) {
	signer, verifier := newSigner(t), newVerifier(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		who := Identity{Buyer: rapid.StringN(1, 200, -1).Draw(t, "buyer"), Sale: rapid.StringMatching(`([a-z0-9][a-z0-9-]{0,62})?`).Draw(t, "sale")}
		token, err := signer.Sign(who, time.Unix(0, testNow), time.Hour)
		if (err == nil) != (shop.CheckBuyer(who.Buyer) == nil) {
			t.Fatalf("Sign(%q): %v", who.Buyer, err)
		}
		if err != nil {
			return
		}
		if got, err := verifier.Verify([]byte(token), testNow); err != nil || got != who {
			t.Fatalf("Verify = %+v, %v; want %+v", got, err, who)
		}
	})
}

// More tokens than the memory has places: each is judged again, none is taken
// for another, and the memory stays as it is.
func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	verifier, err := NewVerifier(testKey(), nil, 64)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3000 {
		buyer := fmt.Sprintf("buyer-%d", n%1000)
		token := mustSign(t, Identity{Buyer: buyer}, time.Hour)
		if who, err := verifier.Verify([]byte(token), testNow); err != nil || who.Buyer != buyer {
			t.Fatalf("Verify = %+v, %v; want %s", who, err, buyer)
		}
	}
	if got := len(verifier.seen.sets) * memoWays; got != 64 {
		t.Errorf("%d places, want 64", got)
	}
}

func TestTheTokenThatExpiresFirstIsForgotten(t *testing.T) {
	seen, err := newMemos(memoWays)
	if err != nil {
		t.Fatal(err)
	}
	remember := func(name string, hours int) {
		seen.remember(&memo{print: seen.print([]byte(name)), payload: payload{
			who: Identity{Buyer: name}, expires: testNow + int64(hours)*int64(time.Hour),
		}})
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		remember(name, 10-i)
	}
	remember("b", 1) // the same token, heard otherwise
	remember("e", 5) // instead of b
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": true} {
		said, found := seen.recall(seen.print([]byte(name)), 0)
		if found != want || found && said.who.Buyer != name {
			t.Errorf("%s: found %v, as %q; want %v", name, found, said.who.Buyer, want)
		}
	}
}

func BenchmarkTokenFirst(b *testing.B) {
	for name, header := range map[string]string{"own": plainHeader, "foreign": `{"typ":"JWT","alg":"HS256","kid":"shop-2026"}`} {
		b.Run(name, func(b *testing.B) {
			verifier := newVerifier(b, nil)
			key := testKey().Reveal()
			tokens := make([][]byte, 1<<16) // far more than are remembered
			for n := range tokens {
				tokens[n] = []byte(forge(key, header, fmt.Sprintf(`{"sub":"buyer-%d","exp":1796129201,"iat":1796119201}`, n)))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := verifier.Verify(tokens[i&(len(tokens)-1)], testNow); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkTokenSeen(b *testing.B) {
	verifier, err := NewVerifier(testKey(), nil, TokensRemembered)
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([][]byte, 1<<14)
	for n := range tokens {
		tokens[n] = []byte("Bearer " + mustSign(b, Identity{Buyer: fmt.Sprintf("buyer-%d", n)}, time.Hour))
		if _, err := verifier.Bearer(tokens[n], testNow); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := verifier.Bearer(tokens[i&(len(tokens)-1)], testNow); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkTokenBad(b *testing.B) {
	verifier := newVerifier(b, nil)
	token := []byte(forge([]byte("wrong"), plainHeader, `{"sub":"buyer-12345","exp":1796129201,"iat":1796119201}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(token, testNow); err == nil {
			b.Fatal("a forged token is good")
		}
	}
}
