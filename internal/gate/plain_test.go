package gate

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// payloads are near enough to plain ones that many are, and many just not.
func payloads() *rapid.Generator[string] {
	members := rapid.OneOf(
		rapid.StringMatching(`"(sub|sale|jti|a)":"[ !#-\[\]-~]{1,5}"`),
		rapid.StringMatching(`"(exp|nbf|iat)":[1-9][0-9]{0,9}`),
		rapid.StringMatching(`"(sub|sale|exp|nbf|s\\u0075b|é)":("a\\"b"|"é"|""|null|true|\[\]|\{\}|0|00|-1|1e3|1\.5|[0-9]{10,20})`),
	)
	return rapid.Custom(func(t *rapid.T) string {
		end := rapid.SampledFrom([]string{"}", "}", "}", "}", " }", "}}", "", ",}"}).Draw(t, "end")
		return "{" + strings.Join(rapid.SliceOfN(members, 1, 4).Draw(t, "members"), ",") + end
	})
}

// A float64 of nanoseconds is a multiple of 256.
const floatStep = time.Microsecond

func TestThePlainWayReadsWhatTheCarefulOneReads(t *testing.T) {
	plains := 0
	rapid.Check(t, func(t *rapid.T) {
		text := payloads().Draw(t, "payload")
		got, ok := (&plainJSON{[]byte(text)}).payload()
		if !ok {
			return
		}
		plains++
		want, fits := readCarefully([]byte(text))
		if !fits || got.who != want.who || !near(got.expires, want.expires) || !near(got.notBefore, want.notBefore) {
			t.Fatalf("%s: plainly %+v, carefully %+v, %v", text, got, want, fits)
		}
	})
	if plains == 0 {
		t.Error("no payload was plain; nothing was compared")
	}
}

func near(a, b int64) bool { return max(a, b)-min(a, b) < int64(floatStep) }

func TestOurOwnTokensAreReadPlainly(t *testing.T) {
	for _, text := range []string{
		`{"sub":"ada","exp":1796083200,"iat":1796000000}`,
		`{"sub":"ada","exp":1796083200,"iat":1796000000,"sale":"retro-85"}`,
	} {
		if c, ok := (&plainJSON{[]byte(text)}).payload(); !ok || c.who.Buyer != "ada" || c.expires != 1796083200e9 {
			t.Errorf("%s: got %+v, %v", text, c, ok)
		}
	}
}
