package gate

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatIsWrongWithATokenIsExplained(t *testing.T) {
	key := NewSecret([]byte(strings.Repeat("k", BuyerKeyMin)))
	keyed, err := newMACs(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(key, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	encode := base64.RawURLEncoding.EncodeToString
	token := func(header, payload string) string {
		text := encode([]byte(header)) + "." + encode([]byte(payload))
		sum := keyed.sum([]byte(text))
		return text + "." + encode(sum[:])
	}
	const header = `{"alg":"HS256","typ":"JWT"}`
	good := token(header, fmt.Sprintf(`{"sub":"ann","sale":"drop","exp":%d}`, now.Unix()+60))
	who, until, err := v.Explain([]byte(good), now)
	if err != nil || who != (Identity{"ann", "drop"}) || !until.Equal(now.Add(time.Minute)) {
		t.Errorf("a good token: %v until %v, %v", who, until, err)
	}
	for says, bad := range map[string]string{
		"it is no JWT":                   "ann",
		"its header is not understood":   token(`{"typ":"JWT"}`, `{}`),
		"it is signed with RS256":        token(`{"alg":"RS256"}`, `{}`),
		"its signature is of another":    good[:len(good)-2] + "AA",
		"its payload is not Base64url":   token(header, `"ann"`),
		"it has no sub":                  token(header, `{"exp":9999999999}`),
		"its sub is 4711; write it as":   token(header, `{"sub":4711,"exp":9999999999}`),
		"it may have 1 to 128":           token(header, `{"sub":"`+strings.Repeat("a", 129)+`","exp":9999999999}`),
		"its payload is not understood":  token(header, `{"sub":"ann","exp":"soon"}`),
		"it has no exp":                  token(header, `{"sub":"ann"}`),
		"it expired at 2026-12-01T09:59": token(header, fmt.Sprintf(`{"sub":"ann","exp":%d}`, now.Unix()-1)),
		"it is good from 2026-12-01T11":  token(header, fmt.Sprintf(`{"sub":"ann","exp":9999999999,"nbf":%d}`, now.Unix()+3600)),
		"it has 4097 bytes":              strings.Repeat("a", tokenMax+1),
	} {
		if _, _, err := v.Explain([]byte(bad), now); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it says %v, want %q", err, says)
		}
		if _, err := v.Verify([]byte(bad), now.UnixNano()); err == nil {
			t.Errorf("%q, and it is taken", says)
		}
	}
}
