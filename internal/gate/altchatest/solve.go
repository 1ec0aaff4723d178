// Package altchatest does for tests what a buyer's page does at the gate.
package altchatest

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// triesMax is more than any challenge asks for.
const triesMax = 1 << 20

// Solve does the work of an ALTCHA challenge, from its JSON alone, and returns
// the proof.
func Solve(challenge []byte) (string, error) {
	var posed struct {
		Parameters struct {
			Cost      int    `json:"cost"`
			KeyLength int    `json:"keyLength"`
			KeyPrefix string `json:"keyPrefix"`
			Nonce     string `json:"nonce"`
			Salt      string `json:"salt"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal(challenge, &posed); err != nil {
		return "", fmt.Errorf("read challenge %s: %w", challenge, err)
	}
	p := &posed.Parameters
	nonce, err := hex.DecodeString(p.Nonce)
	salt, wrong := hex.DecodeString(p.Salt)
	if err := errors.Join(err, wrong); err != nil {
		return "", fmt.Errorf("read challenge %s: %w", challenge, err)
	}
	for counter := range uint32(triesMax) {
		password := binary.BigEndian.AppendUint32(nonce[:len(nonce):len(nonce)], counter)
		key, err := pbkdf2.Key(sha256.New, string(password), salt, p.Cost, p.KeyLength)
		if err != nil {
			return "", fmt.Errorf("derive a key: %w", err)
		}
		if found := hex.EncodeToString(key); strings.HasPrefix(found, p.KeyPrefix) {
			return base64.StdEncoding.EncodeToString(fmt.Appendf(nil,
				`{"challenge":%s,"solution":{"counter":%d,"derivedKey":"%s","time":1.5}}`, challenge, counter, found)), nil
		}
	}
	return "", fmt.Errorf("no counter solves %s", challenge)
}
