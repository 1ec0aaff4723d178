package gate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// shopKeys are a shop's private keys, one per algorithm.
type shopKeys struct {
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed25519 ed25519.PrivateKey
}

// newShopKeys are made once: RSA takes its time.
var newShopKeys = sync.OnceValues(func() (shopKeys, error) { //nolint:gochecknoglobals // a test's
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, err3 := ed25519.GenerateKey(rand.Reader)
	return shopKeys{rsaKey, ecKey, edKey}, errors.Join(err1, err2, err3)
})

func mustShopKeys(t testing.TB) shopKeys {
	t.Helper()
	keys, err := newShopKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (k shopKeys) jwks(t testing.TB) map[string]map[string]any {
	t.Helper()
	point, err := k.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := k.ed25519.Public().(ed25519.PublicKey)
	return map[string]map[string]any{
		"r": {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": b64(k.rsa.N.Bytes()), "e": "AQAB"},
		"e": {"kty": "EC", "kid": "e", "crv": "P-256", "key_ops": []string{"verify"}, "x": b64(point[1:33]), "y": b64(point[33:])},
		"d": {"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": b64(public)},
	}
}

func document(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newKeys(t testing.TB, documents ...[]byte) *JWKS {
	t.Helper()
	keys, err := NewJWKS("https://shop.example/keys", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		if err := keys.adopt(document); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func (k shopKeys) sign(t testing.TB, method jwt.SigningMethod, kid string, key crypto.PrivateKey) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "ada", "exp": testNow/1e9 + 3600})
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestAShopsOwnTokensAreGoodBesideOurs(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	verifier := newVerifier(t, newKeys(t, document(t, set["r"], set["e"], set["d"])))
	for name, token := range map[string]string{
		"RS256": shop.sign(t, jwt.SigningMethodRS256, "r", shop.rsa),
		"ES256": shop.sign(t, jwt.SigningMethodES256, "e", shop.ec),
		"EdDSA": shop.sign(t, jwt.SigningMethodEdDSA, "d", shop.ed25519),
		"ours":  mustSign(t, Identity{Buyer: "ada"}, time.Hour),
	} {
		for range 2 {
			who, err := verifier.Verify([]byte(token), testNow)
			if err != nil || who.Buyer != "ada" {
				t.Errorf("%s: Verify = %+v, %v; want ada", name, who, err)
			}
		}
		if _, err := verifier.Verify([]byte(token), testNow+int64(2*time.Hour)); err == nil {
			t.Errorf("%s: good an hour after it expired", name)
		}
	}
}

func TestOneKeyServesTokensWithoutAKeyID(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	token := []byte(shop.sign(t, jwt.SigningMethodES256, "", shop.ec))
	if _, err := newVerifier(t, newKeys(t, document(t, set["e"]))).Verify(token, testNow); err != nil {
		t.Errorf("with one key: %v", err)
	}
	if _, err := newVerifier(t, newKeys(t, document(t, set["e"], set["r"]))).Verify(token, testNow); err == nil {
		t.Error("with two keys it is good")
	}
}

func TestNoKeyServesAnotherAlgorithm(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	verifier := newVerifier(t, newKeys(t, document(t, set["r"], set["e"], set["d"])))
	der, err := x509.MarshalPKIXPublicKey(&shop.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	es256 := shop.sign(t, jwt.SigningMethodES256, "e", shop.ec)
	signed := b64([]byte(`{"alg":"ES256","kid":"r"}`)) + "." + b64([]byte(goodPayload))
	signature, err := jwt.SigningMethodRS256.Sign(signed, shop.rsa)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"RS256 said to be ES256":         signed + "." + b64(signature),
		"a line break in the signature":  es256[:len(es256)-9] + "\n" + es256[len(es256)-9:],
		"a return in the signature":      es256[:len(es256)-9] + "\r" + es256[len(es256)-9:],
		"padding":                        es256 + "==",
		"RS256 key as HS256 secret, PEM": forge(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), `{"alg":"HS256","kid":"r"}`, goodPayload),
		"RS256 key as HS256 secret, DER": forge(der, `{"alg":"HS256","kid":"r"}`, goodPayload),
		"Ed25519 key as HS256 secret":    forge(shop.ed25519.Public().(ed25519.PublicKey), `{"alg":"HS256","kid":"d"}`, goodPayload),
		"the buyer key under RS256":      forge(testKey().Reveal(), `{"alg":"RS256","kid":"r"}`, goodPayload),
		"RS512 by the RS256 key":         shop.sign(t, jwt.SigningMethodRS512, "r", shop.rsa),
		"PS256 by the RS256 key":         shop.sign(t, jwt.SigningMethodPS256, "r", shop.rsa),
		"RS256 under the ES256 key's id": shop.sign(t, jwt.SigningMethodRS256, "e", shop.rsa),
		"ES256 under the EdDSA key's id": shop.sign(t, jwt.SigningMethodES256, "d", shop.ec),
		"EdDSA under the ES256 key's id": shop.sign(t, jwt.SigningMethodEdDSA, "e", shop.ed25519),
		"an unknown key id":              shop.sign(t, jwt.SigningMethodES256, "x", shop.ec),
		"a path as key id":               shop.sign(t, jwt.SigningMethodES256, "../e", shop.ec),
		"a key id in a row":              shop.sign(t, jwt.SigningMethodES256, "e' OR '1'='1", shop.ec),
		"no key id":                      shop.sign(t, jwt.SigningMethodES256, "", shop.ec),
		"none":                           shop.sign(t, jwt.SigningMethodNone, "r", jwt.UnsafeAllowNoneSignatureType),
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, verifier, token) })
	}
}

func TestAKeyInTheHeaderIsNotRead(t *testing.T) {
	shop := mustShopKeys(t)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verifier := newVerifier(t, newKeys(t, document(t, shop.jwks(t)["d"])))
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "ada", "exp": testNow/1e9 + 3600})
	token.Header["kid"] = "d"
	token.Header["jwk"] = map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "d", "x": b64(stranger.Public().(ed25519.PublicKey))}
	token.Header["jku"] = "https://stranger.example/keys"
	signed, err := token.SignedString(stranger)
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, verifier, signed)
}

func TestAWithdrawnKeyIsForgottenWithItsTokens(t *testing.T) {
	shop := mustShopKeys(t)
	set := shop.jwks(t)
	keys := newKeys(t, document(t, set["e"], set["d"]))
	verifier := newVerifier(t, keys)
	withdrawn := shop.sign(t, jwt.SigningMethodES256, "e", shop.ec)
	kept := shop.sign(t, jwt.SigningMethodEdDSA, "d", shop.ed25519)
	for _, token := range []string{withdrawn, kept} {
		if _, err := verifier.Verify([]byte(token), testNow); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.adopt(document(t, set["d"])); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, verifier, withdrawn)
	if _, err := verifier.Verify([]byte(kept), testNow); err != nil {
		t.Errorf("the other key's token: %v", err)
	}
}

func TestTheSameKeySetAgainForgetsNothing(t *testing.T) {
	set := mustShopKeys(t).jwks(t)
	keys := newKeys(t, document(t, set["e"]), document(t, set["e"]))
	if got := keys.turn(); got != 1 {
		t.Errorf("the set changed %d times, want 1", got)
	}
}

func TestKeysForOtherUsesArePassedOver(t *testing.T) {
	set := mustShopKeys(t).jwks(t)
	others := []map[string]any{
		{"kty": "oct", "kid": "o", "k": b64([]byte("a secret that is published is none")), "alg": "HS256"},
		{"kty": "EC", "kid": "p", "crv": "P-384", "x": "AA", "y": "AA"},
		{"kty": "OKP", "kid": "q", "crv": "X25519", "x": "AA"},
		{"kty": "RSA", "kid": "s", "use": "enc", "n": "AA", "e": "AQAB"},
		{"kty": "RSA", "kid": "t", "alg": "RS512", "n": "AA", "e": "AQAB"},
		{"kty": "RSA", "kid": "u", "key_ops": []string{"encrypt"}, "n": "AA", "e": "AQAB"},
		{"kty": "new"},
		set["d"],
	}
	keys, err := parseKeys(document(t, others...))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys["d"].method != jwt.SigningMethodEdDSA || keys[""].method != jwt.SigningMethodEdDSA {
		t.Errorf("keys are %v, want d alone, by its id and without", keys)
	}
}

func TestAWrongKeySetSaysWhatIsWrong(t *testing.T) {
	set := mustShopKeys(t).jwks(t)
	with := func(name string, changes map[string]any) []byte {
		changed := map[string]any{}
		for k, v := range set[name] {
			changed[k] = v
		}
		for k, v := range changes {
			changed[k] = v
		}
		return document(t, changed)
	}
	many := make([]map[string]any, ringMax+1)
	for want, data := range map[string][]byte{
		"not a JSON Web Key Set":                      []byte("<html>"),
		"no key for RS256, ES256 or EdDSA signatures": document(t),
		`key id "d" appears twice`:                    document(t, set["d"], set["d"]),
		"65 keys; there may be 64":                    document(t, many...),
		`key "r": modulus of 1024 bits`:               with("r", map[string]any{"n": b64(append([]byte{0x80}, make([]byte, 127)...))}),
		`key "r": modulus: illegal base64`:            with("r", map[string]any{"n": "?"}),
		`key "r": exponent: illegal base64`:           with("r", map[string]any{"e": "?"}),
		`key "r": exponent is not an odd number`:      with("r", map[string]any{"e": "AQ"}),
		`key "e": coordinate is not 32 bytes`:         with("e", map[string]any{"x": "AA"}),
		`key "e": point: `:                            with("e", map[string]any{"x": b64(make([]byte, 32))}),
		`key "d": key is not 32 bytes in base64url`:   with("d", map[string]any{"x": "AA"}),
		"read keys: more than 262144 bytes":           make([]byte, keysMax+1),
	} {
		keys := newKeys(t, document(t, set["e"]))
		err := keys.adopt(data)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
		if _, known := keys.current.Load().keys["e"]; !known {
			t.Errorf("%s: the key that was known is gone", want)
		}
	}
}

func TestTheKeySetsAddressIsEncryptedOrLocal(t *testing.T) {
	for address, want := range map[string]string{
		"https://shop.example/jwks.json": "",
		"http://127.0.0.1:9000/jwks":     "",
		"http://[::1]/jwks":              "",
		"http://localhost/jwks":          "",
		"http://shop.example/jwks.json":  "is not encrypted; write https://…",
		"http://127.0.0.1.example/jwks":  "is not encrypted",
		"shop.example/jwks.json":         "write such as https://shop.example",
		"ftp://shop.example/":            "write such as https://shop.example",
		"file:///etc/passwd":             "write such as https://shop.example",
		"https://":                       "write such as https://shop.example",
		"":                               "write such as https://shop.example",
		"https://shop.example:port/":     "write such as https://shop.example",
	} {
		_, err := NewJWKS(address, nil, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("NewJWKS(%q): %v, want %q", address, err, want)
		}
	}
}
