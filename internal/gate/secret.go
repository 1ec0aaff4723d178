package gate

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is all that a secret ever prints.
const redacted = "[secret]"

// Secret is a key or password that does not print itself: not with any fmt
// verb, in a log, in JSON or in YAML. The zero Secret is empty.
type Secret struct {
	reveal func() []byte // fmt walks into every field and pointer, but calls no function; nor is there an ==
}

// NewSecret keeps a copy of value.
func NewSecret(value []byte) Secret {
	kept := append([]byte(nil), value...)
	return Secret{reveal: func() []byte { return kept }}
}

// Reveal returns the bytes themselves. They are not to be changed.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// Len returns how many bytes the secret has.
func (s Secret) Len() int { return len(s.Reveal()) }

// Equal compares in a time that depends on neither content nor length of the
// secret. An empty secret equals nothing, not even an empty guess.
func (s Secret) Equal(guess []byte) bool {
	have, want := sha256.Sum256(guess), sha256.Sum256(s.Reveal())
	same := subtle.ConstantTimeCompare(have[:], want[:]) == 1
	return same && s.Len() > 0
}

// String hides the secret.
func (s Secret) String() string { return redacted }

// GoString hides the secret.
func (s Secret) GoString() string { return redacted }

// Format hides the secret from every verb, numbers' too.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from JSON, YAML and whatever else asks for
// text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON hides the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
