package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"
)

// How the key set of a shop is fetched.
const (
	keysMax         = 256 << 10        // bytes of the document
	keysTimeout     = 5 * time.Second  // for one fetch, all in all
	keysEvery       = 15 * time.Minute // between fetches that nobody asked for
	keysGap         = 10 * time.Second // between fetches that an unknown key id asked for
	keysBackoffMin  = time.Second
	keysBackoffMax  = time.Minute
	loopbackByName  = "localhost"
	acceptedKeySets = "application/jwk-set+json, application/json"
)

// JWKS is a shop's own key set (RFC 7517), fetched from its address. While it
// cannot be fetched, the keys that are known stay good.
type JWKS struct {
	address string
	client  *http.Client
	log     *slog.Logger
	current atomic.Pointer[keyRing]
	wanted  chan struct{} // holds one: an unknown key id was asked for
}

// keyRing is one state of the set. It is never changed.
type keyRing struct {
	turn   uint64 // counts the changes
	digest [sha256.Size]byte
	keys   map[string]publicKey
}

// NewJWKS makes the key set at address, which knows no key until Run has
// fetched it.
func NewJWKS(address string, client *http.Client, log *slog.Logger) (*JWKS, error) {
	if err := checkKeysAddress(address); err != nil {
		return nil, err
	}
	j := &JWKS{address: address, client: client, log: log, wanted: make(chan struct{}, 1)}
	j.current.Store(&keyRing{})
	return j, nil
}

// checkKeysAddress refuses plain HTTP, except to this machine: whoever changes
// the keys on the way can pose as any buyer.
func checkKeysAddress(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return fmt.Errorf("key set address %q is not one; write such as https://shop.example/.well-known/jwks.json", address)
	}
	host, err := netip.ParseAddr(parsed.Hostname())
	local := parsed.Hostname() == loopbackByName || err == nil && host.IsLoopback()
	if parsed.Scheme == "http" && !local {
		return fmt.Errorf("key set address %q is not encrypted; write https://…", address)
	}
	return nil
}

// Run fetches the keys now, then every quarter of an hour, and sooner when a
// token names a key that is not known, until ctx ends.
func (j *JWKS) Run(ctx context.Context) error {
	backoff := keysBackoffMin
	for {
		wait, gap := keysEvery, keysGap
		err := j.fetch(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to end: the fetch that this cut short is nobody's fault
		}
		if err != nil {
			j.log.WarnContext(ctx, "buyers' keys not fetched; the known ones stay good", "error", err, "again_in", backoff)
			wait, gap = backoff, backoff
			backoff = min(2*backoff, keysBackoffMax)
		} else {
			backoff = keysBackoffMin
		}
		if !j.rest(ctx, wait, gap) {
			return nil
		}
	}
}

// rest lasts for wait, or only for gap where a key is wanted. It reports
// whether ctx goes on.
func (j *JWKS) rest(ctx context.Context, wait, gap time.Duration) bool {
	timer := time.NewTimer(gap)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	timer.Reset(wait - gap)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-j.wanted:
	}
	return true
}

func (j *JWKS) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.address, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for keys: %w", err)
	}
	request.Header.Set("Accept", acceptedKeySets)
	response, err := j.client.Do(request)
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err // the address may hold a token among its parameters
	}
	if err != nil {
		return fmt.Errorf("ask %s for keys: %w", request.URL.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for keys: status %d", response.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, keysMax+1))
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return j.adopt(document)
}

// adopt takes over the document's keys: all of them, or none.
func (j *JWKS) adopt(document []byte) error {
	if len(document) > keysMax {
		return fmt.Errorf("read keys: more than %d bytes", keysMax)
	}
	before := j.current.Load()
	digest := sha256.Sum256(document)
	if digest == before.digest {
		return nil // what is remembered of tokens stays true
	}
	keys, err := parseKeys(document)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	j.current.Store(&keyRing{turn: before.turn + 1, digest: digest, keys: keys})
	return nil
}

// turn counts the changes of the set; without a set it stays at 0.
func (j *JWKS) turn() uint64 {
	if j == nil {
		return 0
	}
	return j.current.Load().turn
}

// verify reports whether the key that the header names made the signature, by
// the one algorithm that this key is for.
func (j *JWKS) verify(h header, signed, signature []byte) bool {
	key, known := j.current.Load().keys[h.keyID]
	if !known {
		select {
		case j.wanted <- struct{}{}:
		default: // it was asked for already
		}
		return false
	}
	return key.method.Alg() == h.algorithm && key.method.Verify(string(signed), signature, key.public) == nil
}
