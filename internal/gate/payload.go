package gate

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// notBeforeLeeway forgives the issuer's clock; an expiry is never forgiven.
const notBeforeLeeway = 5 * time.Second

// numericDateMax is the latest NumericDate that is told apart, in seconds (the
// year 2242): later ones count as this one, and nanoseconds stay in int64.
const numericDateMax = 1 << 33

// header is what matters of a token's header. A key id only ever picks from
// keys that are known; keys and addresses of keys in a header are not read.
type header struct {
	algorithm, keyID string
}

// payload is what matters of a token's payload, in Unix nanoseconds. Without an
// expiry it is good at no time.
type payload struct {
	who                Identity
	expires, notBefore int64
}

func (p *payload) goodAt(now int64) bool {
	return p.expires > 0 && now < p.expires && p.notBefore <= now+int64(notBeforeLeeway)
}

// readHeader refuses what it does not understand where that could change the
// meaning of the rest: critical extensions, and types that are no JWT.
func (v *Verifier) readHeader(segment []byte) (h header, ok bool) {
	data, ok := v.decode(segment)
	if !ok {
		return header{}, false
	}
	fits := readObject(data, func(name string, value json.RawMessage) bool {
		switch name {
		case "alg":
			return readString(value, &h.algorithm)
		case "kid":
			return readString(value, &h.keyID)
		case "typ":
			var kind string
			return readString(value, &kind) && (strings.EqualFold(kind, "JWT") || strings.EqualFold(kind, "at+jwt"))
		case "crit", "b64", "zip", "enc":
			return false
		}
		return true
	})
	return h, fits && h.algorithm != ""
}

// readPayload reads a payload. One in which something needed is missing or
// wrong is good at no time.
func (v *Verifier) readPayload(segment []byte) payload {
	data, ok := v.decode(segment)
	if !ok {
		return payload{}
	}
	p, fits := (&plainJSON{data}).payload()
	if !fits {
		p, fits = readCarefully(data)
	}
	if !fits || shop.CheckBuyer(p.who.Buyer) != nil {
		return payload{}
	}
	return p
}

// readCarefully reads any JSON.
func readCarefully(data []byte) (p payload, ok bool) {
	ok = readObject(data, func(name string, value json.RawMessage) bool {
		switch name {
		case "sub":
			return readString(value, &p.who.Buyer)
		case "sale":
			return readString(value, &p.who.Sale) && p.who.Sale != ""
		case "exp":
			return readDate(value, &p.expires)
		case "nbf":
			return readDate(value, &p.notBefore)
		}
		return true
	})
	return p, ok
}

// decode returns the bytes that a segment stands for.
func (v *Verifier) decode(segment []byte) ([]byte, bool) {
	data, err := v.strict.AppendDecode(make([]byte, 0, v.strict.DecodedLen(len(segment))), segment)
	return data, err == nil
}

// readObject calls each with every member of the one JSON object that data is.
// A name that comes twice, even one that nobody reads, makes the token mean
// two things to two readers: it is refused.
func readObject(data []byte, each func(name string, value json.RawMessage) bool) bool {
	if !utf8.Valid(data) || !json.Valid(data) {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	seen := make(map[string]bool, 8)
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		if err != nil || !isName || seen[name] {
			return false
		}
		seen[name] = true
		var value json.RawMessage
		if decoder.Decode(&value) != nil || !each(name, value) {
			return false
		}
	}
	return true
}

// readString refuses null too, which the decoder takes for any type.
func readString(value json.RawMessage, into *string) bool {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return false
	}
	*into = *text
	return true
}

// readDate reads a NumericDate (RFC 7519): seconds, whole or not.
func readDate(value json.RawMessage, into *int64) bool {
	var seconds *float64 // null leaves it nil
	if json.Unmarshal(value, &seconds) != nil || seconds == nil || *seconds < 0 {
		return false
	}
	*into = int64(min(*seconds, numericDateMax) * float64(time.Second))
	return true
}
