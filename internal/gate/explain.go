package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// Explain says who a token speaks for, and until when; or why it is good for
// nobody, which Verify tells no one who asks over the network.
func (v *Verifier) Explain(token []byte, now time.Time) (who Identity, until time.Time, err error) {
	if len(token) > tokenMax {
		return who, until, fmt.Errorf("it has %d bytes; %d are read", len(token), tokenMax)
	}
	parts, ok := v.split(token)
	if !ok {
		return who, until, errors.New("it is no JWT: three parts with dots between them, and no line breaks")
	}
	header, ok := v.readHeader(parts.header)
	switch {
	case !ok:
		return who, until, errors.New("its header is not understood: it says alg, and typ JWT if anything; nothing of crit, b64, zip or enc")
	case header.algorithm != "HS256" && v.keys == nil:
		return who, until, fmt.Errorf("it is signed with %s; the buyer key is for HS256 alone, other keys are for --buyer-jwks-url", header.algorithm)
	case !v.signed(&parts):
		return who, until, errors.New("its signature is of another key, or the token was changed: the key's bytes count as they stand, without the newline at the end of a file, and are not decoded")
	}
	said := v.readPayload(parts.payload)
	if said == (payload{}) {
		return who, until, v.whyNobody(parts.payload)
	}
	until = time.Unix(0, said.expires).UTC()
	switch {
	case said.expires <= 0:
		err = errors.New("it has no exp: every token must end, with exp a number of seconds since 1970")
	case now.UnixNano() >= said.expires:
		err = fmt.Errorf("it expired at %s, %s ago", until.Format(time.RFC3339), now.Sub(until).Round(time.Second))
	case !said.goodAt(now.UnixNano()):
		err = fmt.Errorf("it is good from %s on (nbf): is a clock wrong?", time.Unix(0, said.notBefore).UTC().Format(time.RFC3339))
	}
	return said.who, until, err
}

// whyNobody says what is wrong with a payload that is signed.
func (v *Verifier) whyNobody(segment []byte) error {
	data, ok := v.decode(segment)
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if !ok || decoder.Decode(&members) != nil {
		return errors.New("its payload is not Base64url of one JSON object")
	}
	switch sub := members["sub"].(type) {
	case nil:
		return errors.New("it has no sub: who is the buyer?")
	case string:
		if err := shop.CheckBuyer(sub); err != nil {
			return fmt.Errorf("its sub names no buyer: %w", err)
		}
	default:
		return fmt.Errorf("its sub is %v; write it as a text, in quotes", sub)
	}
	return errors.New("its payload is not understood: sub and sale are texts, exp and nbf numbers of seconds since 1970, each once")
}
