package gate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

const (
	ringMax             = 64 // keys in a set
	rsaMin, rsaMax      = 2048, 8192
	coordinate          = 32 // bytes of a coordinate on P-256
	uncompressed   byte = 4  // SEC 1: both coordinates follow
)

// publicKey is a key and the one algorithm that it may be used with.
type publicKey struct {
	method jwt.SigningMethod
	public crypto.PublicKey
}

// jwk is a JSON Web Key (RFC 7517), as far as verifying needs it.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
	Modulus    string   `json:"n"`
	Exponent   string   `json:"e"`
}

// errOtherUse marks keys that are not for us: to be passed over, not faults.
var errOtherUse = errors.New("not a key for RS256, ES256 or EdDSA signatures")

// parseKeys returns the keys of a set by their ids. A set of one key serves
// tokens without a key id too.
func parseKeys(document []byte) (map[string]publicKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > ringMax {
		return nil, fmt.Errorf("%d keys; there may be %d", len(set.Keys), ringMax)
	}
	keys := make(map[string]publicKey, len(set.Keys))
	var last publicKey
	for i := range set.Keys {
		id := set.Keys[i].ID
		key, err := set.Keys[i].parse()
		if errors.Is(err, errOtherUse) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
		if _, twice := keys[id]; twice {
			return nil, fmt.Errorf("key id %q appears twice", id)
		}
		keys[id], last = key, key
	}
	if len(keys) == 0 {
		return nil, errors.New("no key for RS256, ES256 or EdDSA signatures among them")
	}
	if len(keys) == 1 {
		keys[""] = last
	}
	return keys, nil
}

func (k *jwk) parse() (publicKey, error) {
	if k.Use != "" && k.Use != "sig" || len(k.Operations) > 0 && !slices.Contains(k.Operations, "verify") {
		return publicKey{}, errOtherUse
	}
	var key publicKey
	var parse func() (crypto.PublicKey, error)
	switch {
	case k.Type == "RSA":
		key.method, parse = jwt.SigningMethodRS256, k.parseRSA
	case k.Type == "EC" && k.Curve == "P-256":
		key.method, parse = jwt.SigningMethodES256, k.parseEC
	case k.Type == "OKP" && k.Curve == "Ed25519":
		key.method, parse = jwt.SigningMethodEdDSA, k.parseEd25519
	default:
		return publicKey{}, errOtherUse
	}
	if k.Algorithm != "" && k.Algorithm != key.method.Alg() {
		return publicKey{}, errOtherUse
	}
	var err error
	key.public, err = parse()
	return key, err
}

func (k *jwk) parseRSA() (crypto.PublicKey, error) {
	modulus, err := base64.RawURLEncoding.DecodeString(k.Modulus)
	if err != nil {
		return nil, fmt.Errorf("modulus: %w", err)
	}
	exponent, err := base64.RawURLEncoding.DecodeString(k.Exponent)
	if err != nil {
		return nil, fmt.Errorf("exponent: %w", err)
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < rsaMin || n.BitLen() > rsaMax {
		return nil, fmt.Errorf("modulus of %d bits; it may have %d to %d", n.BitLen(), rsaMin, rsaMax)
	}
	if e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
		return nil, errors.New("exponent is not an odd number from 3 to 2147483647")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (k *jwk) parseEC() (crypto.PublicKey, error) {
	point := []byte{uncompressed}
	for _, half := range []string{k.X, k.Y} {
		bytes, err := base64.RawURLEncoding.DecodeString(half)
		if err != nil || len(bytes) != coordinate {
			return nil, fmt.Errorf("coordinate is not %d bytes in base64url", coordinate)
		}
		point = append(point, bytes...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("point: %w", err)
	}
	return public, nil
}

func (k *jwk) parseEd25519() (crypto.PublicKey, error) {
	public, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key is not %d bytes in base64url", ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(public), nil
}
