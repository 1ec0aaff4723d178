package gate

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// forge signs any header and payload with key, as a holder of it could.
func forge(key []byte, header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const (
	plainHeader = `{"alg":"HS256","typ":"JWT"}`
	goodPayload = `{"sub":"ada","exp":1796119201}`
)

// mustRefuse fails unless the answer is the one that every bad token gets. It
// asks twice: what is remembered must not be kinder.
func mustRefuse(t *testing.T, verifier *Verifier, token string) {
	t.Helper()
	for range 2 {
		who, err := verifier.Verify([]byte(token), testNow)
		if who != (Identity{}) || !cmp.Equal(err, errUnauthorized) {
			t.Fatalf("Verify(%.200q) = %+v, %v; want the one refusal", token, who, err)
		}
	}
}

func TestEveryBadTokenGetsTheSameAnswer(t *testing.T) {
	key := testKey().Reveal()
	good := forge(key, plainHeader, goodPayload)
	unsigned := good[:strings.LastIndexByte(good, '.')+1]
	encode := base64.RawURLEncoding.EncodeToString
	verifier := newVerifier(t, nil)
	if _, err := verifier.Verify([]byte(good), testNow); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, token := range map[string]string{
		"nothing":                   "",
		"dots":                      "..",
		"one part":                  "abc",
		"two parts":                 "abc.def",
		"four parts":                good + ".abc",
		"no signature":              unsigned,
		"none":                      encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(goodPayload)) + ".",
		"none, signed":              forge(key, `{"alg":"none"}`, goodPayload),
		"None, signed":              forge(key, `{"alg":"None"}`, goodPayload),
		"another algorithm, signed": forge(key, `{"alg":"HS512"}`, goodPayload),
		"RS256, signed as HS256":    forge(key, `{"alg":"RS256"}`, goodPayload),
		"small algorithm":           forge(key, `{"alg":"hs256"}`, goodPayload),
		"no algorithm":              forge(key, `{"typ":"JWT"}`, goodPayload),
		"algorithm null":            forge(key, `{"alg":null}`, goodPayload),
		"algorithm twice":           forge(key, `{"alg":"none","alg":"HS256"}`, goodPayload),
		"critical extension":        forge(key, `{"alg":"HS256","crit":["exp"]}`, goodPayload),
		"unencoded payload":         forge(key, `{"alg":"HS256","b64":false}`, goodPayload),
		"compressed":                forge(key, `{"alg":"HS256","zip":"DEF"}`, goodPayload),
		"another type":              forge(key, `{"alg":"HS256","typ":"dpop+jwt"}`, goodPayload),
		"header is no object":       forge(key, `["HS256"]`, goodPayload),
		"header and more":           forge(key, plainHeader+`{}`, goodPayload),
		"another key":               forge([]byte("another key of thirty-two bytes, too"), plainHeader, goodPayload),
		"an empty key":              forge(nil, plainHeader, goodPayload),
		"no expiry":                 forge(key, plainHeader, `{"sub":"ada"}`),
		"expired":                   forge(key, plainHeader, `{"sub":"ada","exp":1796119200}`),
		"expiry 0":                  forge(key, plainHeader, `{"sub":"ada","exp":0}`),
		"expiry below 0":            forge(key, plainHeader, `{"sub":"ada","exp":-1796119201}`),
		"expiry as text":            forge(key, plainHeader, `{"sub":"ada","exp":"1796119201"}`),
		"expiry null":               forge(key, plainHeader, `{"sub":"ada","exp":null}`),
		"expiry true":               forge(key, plainHeader, `{"sub":"ada","exp":true}`),
		"expiry too large":          forge(key, plainHeader, `{"sub":"ada","exp":1e999}`),
		"expiry twice":              forge(key, plainHeader, `{"sub":"ada","exp":1,"exp":1796119201}`),
		"expiry escaped twice":      forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"\u0065xp":1796119201}`),
		"Exp":                       forge(key, plainHeader, `{"sub":"ada","Exp":1796119201}`),
		"begins in 6 s":             forge(key, plainHeader, `{"sub":"ada","exp":1796119209,"nbf":1796119206}`),
		"beginning as text":         forge(key, plainHeader, `{"sub":"ada","exp":1796119209,"nbf":"1"}`),
		"beginning below 0":         forge(key, plainHeader, `{"sub":"ada","exp":1796119209,"nbf":-1e300}`),
		"beginning null":            forge(key, plainHeader, `{"sub":"ada","exp":1796119209,"nbf":null}`),
		"type null":                 forge(key, `{"alg":"HS256","typ":null}`, goodPayload),
		"no buyer":                  forge(key, plainHeader, `{"exp":1796119201}`),
		"empty buyer":               forge(key, plainHeader, `{"sub":"","exp":1796119201}`),
		"buyer null":                forge(key, plainHeader, `{"sub":null,"exp":1796119201}`),
		"buyer a number":            forge(key, plainHeader, `{"sub":7,"exp":1796119201}`),
		"buyer twice":               forge(key, plainHeader, `{"sub":"eve","sub":"ada","exp":1796119201}`),
		"buyer with a line break":   forge(key, plainHeader, `{"sub":"a\nb","exp":1796119201}`),
		"buyer with a NUL":          forge(key, plainHeader, `{"sub":"a\u0000","exp":1796119201}`),
		"buyer right to left":       forge(key, plainHeader, `{"sub":"a\u202eb","exp":1796119201}`),
		"buyer not UTF-8":           forge(key, plainHeader, "{\"sub\":\"a\xff\",\"exp\":1796119201}"),
		"half a surrogate":          forge(key, plainHeader, `{"sub":"a\ud800","exp":1796119201,"sub":"a"}`),
		"buyer too long":            forge(key, plainHeader, `{"sub":"`+strings.Repeat("a", shop.BuyerMax+1)+`","exp":1796119201}`),
		"sale a number":             forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"sale":1}`),
		"sale empty":                forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"sale":""}`),
		"sale null":                 forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"sale":null}`),
		"unread name twice":         forge(key, plainHeader, `{"sub":"ada","x":1,"x":2,"exp":1796119201}`),
		"payload cut":               forge(key, plainHeader, `{"sub":"ada","exp":1796119201`),
		"payload and more":          forge(key, plainHeader, goodPayload+`{}`),
		"trailing comma":            forge(key, plainHeader, `{"sub":"ada","exp":1796119201,}`),
		"payload an array":          forge(key, plainHeader, `[`+goodPayload+`]`),
		"payload null":              forge(key, plainHeader, `null`),
		"huge":                      forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"just too long":             forge(key, plainHeader, `{"sub":"ada","exp":1796119201,"x":"`+strings.Repeat("x", tokenMax)+`"}`),
		"padding":                   good + "=",
		"line break":                good + "\n",
		"line break within":         good[:10] + "\n" + good[10:],
		"white space before":        " " + good,
		"standard alphabet":         strings.NewReplacer("-", "+", "_", "/").Replace(forge(key, plainHeader, `{"sub":"ada???>>>","exp":1796119201}`)),
		"NUL":                       good + "\x00",
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, verifier, token) })
	}
}

func TestNoBitOfATokenMayFlip(t *testing.T) {
	verifier := newVerifier(t, nil)
	token := []byte(mustSign(t, Identity{Buyer: "ada", Sale: "retro-85"}, time.Hour))
	if _, err := verifier.Verify(token, testNow); err != nil { // now it is remembered
		t.Fatal(err)
	}
	for i := range token {
		for bit := range 8 {
			bent := bytes.Clone(token)
			bent[i] ^= 1 << bit
			mustRefuse(t, verifier, string(bent))
		}
	}
}

func TestNoPartOfATokenIsAToken(t *testing.T) {
	verifier := newVerifier(t, nil)
	token := mustSign(t, Identity{Buyer: "ada"}, time.Hour)
	for end := range len(token) {
		mustRefuse(t, verifier, token[:end])
		mustRefuse(t, verifier, token[end+1:])
	}
}

// A signature in base64url has two spare bits: only one spelling is good.
func TestATokenHasOneSpelling(t *testing.T) {
	verifier := newVerifier(t, nil)
	token := mustSign(t, Identity{Buyer: "ada"}, time.Hour)
	good := 0
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if _, err := verifier.Verify([]byte(token[:len(token)-1]+string(last)), testNow); err == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d spellings are good, want 1", good)
	}
}

func TestNobodyWithoutTheKeyIsRemembered(t *testing.T) {
	verifier := newVerifier(t, nil)
	for n := range 1000 {
		mustRefuse(t, verifier, forge([]byte("wrong"), plainHeader, fmt.Sprintf(`{"sub":"b%d","exp":1796119201}`, n)))
	}
	for i := range verifier.seen.sets {
		for n := range memoWays {
			if set := &verifier.seen.sets[i]; set.memos[n].Load() != nil || set.marks[n].Load() != 0 {
				t.Fatal("a forged token is remembered")
			}
		}
	}
}

func TestRefusingATokenAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and drops what pools hold")
	}
	verifier := newVerifier(t, nil)
	key := testKey().Reveal()
	good := mustSign(t, Identity{Buyer: "ada"}, time.Hour)
	expired := forge(key, plainHeader, `{"sub":"ada","exp":1}`)
	for name, header := range map[string]string{
		"none":           "",
		"forged":         "Bearer " + forge([]byte("wrong"), plainHeader, goodPayload),
		"cut":            "Bearer " + good[:len(good)-2],
		"huge":           "Bearer " + strings.Repeat("x.", tokenMax),
		"expired, known": "Bearer " + expired,
		"good, known":    "Bearer " + good,
	} {
		authorization := []byte(header)
		if allocs := testing.AllocsPerRun(100, func() { _, _ = verifier.Bearer(authorization, testNow) }); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
}

func TestTheRefusalIsUnauthorized(t *testing.T) {
	no, ok := errors.AsType[shop.Refusal](errUnauthorized)
	if !ok || no.Code != shop.Unauthorized {
		t.Errorf("refusal is %v, want unauthorized", errUnauthorized)
	}
}
