package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/pause"
)

// street is where buyers come from: connections, tokens, and what is
// remembered of every question and answer.
type street struct {
	base    string
	client  *http.Client
	signer  *gate.Signer
	history *history
}

// newStreet opens up to so many connections to the node at once.
func newStreet(t *testing.T, n *node, connections int) *street {
	t.Helper()
	return newStreetAt(t, n.buyers, connections)
}

func newStreetAt(t *testing.T, base string, connections int) *street {
	t.Helper()
	signer, err := gate.NewSigner(gate.NewSecret([]byte(buyerKey)))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true,
		IdleConnTimeout: 20 * time.Second, // under the server's
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &street{
		base: base, signer: signer, history: newHistory(),
		client: &http.Client{
			Transport: transport, Timeout: 40 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// shopper is one buyer with an address of their own.
type shopper struct {
	*street
	name    string
	bearer  string
	address string
	query   string // of orders: the opening key of a strict sale
	proof   string // that a challenge was solved
}

func (s *street) shopper(t *testing.T, name string) *shopper {
	t.Helper()
	token, err := s.signer.Sign(gate.Identity{Buyer: name}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &shopper{street: s, name: name, bearer: "Bearer " + token, address: home(name)}
}

// home is a buyer's own address: limits count a /64 as one line.
func home(name string) string {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, name)
	raw := netip.MustParseAddr("2001:db8::7").As16()
	copy(raw[3:8], hash.Sum(nil))
	return netip.AddrFrom16(raw).String()
}

// order is an order as buyers and operators see it.
type order struct {
	ID        string  `json:"id"`
	Sale      string  `json:"sale"`
	Buyer     string  `json:"buyer"`
	SKU       string  `json:"sku"`
	Quantity  int64   `json:"quantity"`
	Status    string  `json:"status"`
	Reason    string  `json:"reason"`
	Amount    int64   `json:"amount"`
	Currency  string  `json:"currency"`
	CreatedAt string  `json:"created_at"`
	PayBy     *string `json:"pay_by"`
	AsOf      int64   `json:"as_of"`
}

// live reports whether the order's units count against the buyer's limit.
func (o *order) live() bool { return o.Status == "awaiting_payment" || o.Status == "paid" }

// wish is what a buyer asks for under a key.
type wish struct {
	sale     string
	key      string
	sku      string
	quantity int64
}

// buy asks for the wish once and remembers what came.
func (s *shopper) buy(ctx context.Context, w wish) *answer {
	a := s.try(ctx, w)
	s.history.note(s.name, a)
	return a
}

// try asks for the wish once.
func (s *shopper) try(ctx context.Context, w wish) *answer {
	a := &answer{wish: w, sent: s.history.tick()}
	began := time.Now()
	body := fmt.Appendf(nil, `{"sku":%q,"quantity":%d}`, w.sku, w.quantity)
	if got, err := s.send(ctx, http.MethodPost, "/api/v1/sales/"+w.sale+"/orders"+s.query, body, w.key); err == nil {
		a.read(got)
	}
	a.took = time.Since(began)
	return a
}

// send asks the buyers' API; an error means that there was no answer.
func (s *shopper) send(ctx context.Context, method, path string, body []byte, key string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Authorization", s.bearer)
	request.Header.Set("X-Forwarded-For", s.address)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	if s.proof != "" {
		request.Header.Set("Doorbuster-Challenge", s.proof)
	}
	return do(s.client, request)
}

// order reads one of the buyer's orders; status 0: no answer.
func (s *shopper) order(ctx context.Context, id string) (*order, int) {
	got, err := s.send(ctx, http.MethodGet, "/api/v1/orders/"+id, nil, "")
	if err != nil {
		return nil, 0
	}
	found := &order{}
	if err := json.Unmarshal(got.body, found); err != nil || got.status != http.StatusOK {
		return nil, got.status
	}
	return found, got.status
}

// orders lists what the buyer has in the sale.
func (s *shopper) orders(ctx context.Context, sale string) ([]order, error) {
	got, err := s.send(ctx, http.MethodGet, "/api/v1/orders?sale="+url.QueryEscape(sale), nil, "")
	if err != nil {
		return nil, err
	}
	var list struct {
		Orders []order `json:"orders"`
	}
	if got.status != http.StatusOK {
		return nil, fmt.Errorf("list orders: %d %s", got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &list); err != nil {
		return nil, err
	}
	return list.Orders, nil
}

// cancel gives an order back; status 0: no answer.
func (s *shopper) cancel(ctx context.Context, id string) int {
	got, err := s.send(ctx, http.MethodPost, "/api/v1/orders/"+id+"/cancel", nil, "")
	if err != nil {
		return 0
	}
	return got.status
}

// payment asks where to pay.
func (s *shopper) payment(ctx context.Context, id string) (address string, status int) {
	got, err := s.send(ctx, http.MethodPost, "/api/v1/orders/"+id+"/payment", nil, "")
	if err != nil {
		return "", 0
	}
	var where struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(got.body, &where); err != nil {
		return "", got.status
	}
	return where.URL, got.status
}

// checkout pays at the sandbox's page, as the browser's button does. It
// returns an error where the money was not taken.
func (s *shopper) checkout(ctx context.Context, id string) error {
	address, status := s.payment(ctx, id)
	if status != http.StatusOK {
		return fmt.Errorf("where to pay: %d", status)
	}
	address, err := url.JoinPath(address, "pay")
	if err != nil {
		return err
	}
	if parsed, err := url.Parse(address); err == nil && parsed.Host == "" {
		address = s.base + address
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Forwarded-For", s.address)
	got, err := do(s.client, request)
	if err == nil && got.status != http.StatusSeeOther {
		err = fmt.Errorf("pay: %d", got.status)
	}
	return err
}

// retryAfter is how long an answer asks to wait, and half a second where it
// does not say.
func retryAfter(got reply) time.Duration {
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return 500 * time.Millisecond
}

// rest waits, and reports whether ctx still goes on.
func rest(ctx context.Context, d time.Duration) bool { return pause.For(ctx, d) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
