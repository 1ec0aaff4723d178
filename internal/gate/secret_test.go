package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "canary-9f2c-do-not-print"

func TestASecretNeverPrintsItself(t *testing.T) {
	secret := NewSecret([]byte(canary))
	holder := struct {
		Public  Secret
		private Secret
		pointer *Secret
	}{secret, secret, &secret}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T", "%p"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", []Secret{secret})
	}
	fmt.Fprintln(&out, secret.String(), secret.GoString())
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", secret, "holder", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", secret, "holder", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	text, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)

	for name, form := range map[string]string{
		"text":     canary,
		"hex":      fmt.Sprintf("%x", canary),
		"HEX":      fmt.Sprintf("%X", canary),
		"decimals": strings.Trim(fmt.Sprintf("%d", []byte(canary)), "[]"),
		"octals":   strings.Trim(fmt.Sprintf("%o", []byte(canary)), "[]"),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret got out as %s:\n%s", name, out.String())
		}
	}
}

func TestASecretEqualsOnlyItself(t *testing.T) {
	secret := NewSecret([]byte(canary))
	for guess, want := range map[string]bool{
		canary:          true,
		canary + "x":    false,
		canary[1:]:      false,
		"":              false,
		"canary":        false,
		canary + "\x00": false,
		canary + canary: false,
	} {
		if got := secret.Equal([]byte(guess)); got != want {
			t.Errorf("Equal(%q) = %v, want %v", guess, got, want)
		}
	}
}

func TestAnEmptySecretEqualsNothing(t *testing.T) {
	for name, secret := range map[string]Secret{"zero": {}, "empty": NewSecret(nil)} {
		if secret.Equal(nil) || secret.Equal([]byte{}) {
			t.Errorf("the %s secret equals an empty guess", name)
		}
		if secret.Len() != 0 {
			t.Errorf("Len of the %s secret is %d, want 0", name, secret.Len())
		}
	}
}

func TestASecretKeepsItsOwnCopy(t *testing.T) {
	raw := []byte(canary)
	secret := NewSecret(raw)
	raw[0] = 'X'
	if got := string(secret.Reveal()); got != canary {
		t.Errorf("Reveal() = %q, want %q", got, canary)
	}
}
