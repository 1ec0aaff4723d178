package gate

import (
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Whatever is sent, a token is good only if it is one that was signed.
func FuzzVerify(f *testing.F) {
	key := testKey().Reveal()
	good := mustSign(f, Identity{Buyer: "ada"}, time.Hour)
	set := mustShopKeys(f).jwks(f)
	for _, token := range []string{
		good, good[:len(good)-1], good + ".", "..", "", "a.b.c",
		"eyJhbGciOiJub25lIn0." + good[len(ownHeader)+1:],
		forge([]byte("wrong"), plainHeader, goodPayload),
		forge(key[1:], `{"alg":"HS256","kid":"r"}`, goodPayload),
		forge(nil, `{"alg":"ES256","kid":"e"}`, goodPayload)[:60] + "." + good,
	} {
		f.Add([]byte(token))
	}
	verifier := newVerifier(f, newKeys(f, document(f, set["r"], set["e"], set["d"])))
	f.Fuzz(func(t *testing.T, token []byte) {
		who, err := verifier.Verify(token, testNow)
		if (err == nil) != (string(token) == good) {
			t.Errorf("Verify(%q) = %+v, %v", token, who, err)
		}
	})
}

// What a holder of the key may have signed: no panic, and a buyer only where
// the id may stand.
func FuzzSignedClaims(f *testing.F) {
	key := testKey().Reveal()
	for _, payload := range []string{
		goodPayload, `{}`, `[]`, `null`, `{"sub":"a","exp":1e9999}`, `{"sub":"a","exp":-0}`, `{"sub":"\ud800","exp":2e9}`,
		`{"sub":"a","sub":"b","exp":2e9}`, `{"exp":{"a":[1]},"sub":"a"}`, `{"sub":"a","exp":1796119201,"nbf":1e18}`, "{\"sub\":\"\xff\"}",
	} {
		f.Add(plainHeader, payload)
		f.Add(`{"alg":"none","crit":[]}`, payload)
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		verifier := newVerifier(t, nil)
		token := []byte(forge(key, header, payload))
		first, err1 := verifier.Verify(token, testNow)
		again, err2 := verifier.Verify(token, testNow)
		if first != again || (err1 == nil) != (err2 == nil) {
			t.Errorf("first %+v, %v; remembered %+v, %v", first, err1, again, err2)
		}
		if err1 == nil && shop.CheckBuyer(first.Buyer) != nil {
			t.Errorf("buyer %q: %v", first.Buyer, shop.CheckBuyer(first.Buyer))
		}
		if err1 != nil && first != (Identity{}) {
			t.Errorf("refused, but told %+v", first)
		}
	})
}

func FuzzKeySetDocument(f *testing.F) {
	set := mustShopKeys(f).jwks(f)
	f.Add(document(f, set["r"], set["e"], set["d"]))
	f.Add(document(f, set["e"]))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256"},{"kty":"OKP","crv":"Ed25519"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		if err != nil {
			return
		}
		for id, key := range keys { // every key that is taken can be verified with
			_ = key.method.Verify("signed", make([]byte, 64), key.public)
			if key.public == nil {
				t.Errorf("key %q is empty", id)
			}
		}
	})
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"50:100", "0", "0.5", "1e3", ":", "5:0", "-1", "NaN", "0.01:36"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := ParseRate(text)
		if err != nil {
			return
		}
		again, err := ParseRate(rate.String())
		if err != nil || again != rate {
			t.Errorf("%q is %v, written %q, read %v, %v", text, rate, rate.String(), again, err)
		}
		limiter := NewLimiter(rate, 8)
		if ok, _ := limiter.AllowString("x", testNow); !ok {
			t.Errorf("%q refuses the first request", text)
		}
	})
}
