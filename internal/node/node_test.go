package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// fasthttp keeps two goroutines: its cleaner of idle workers wakes ten seconds
// after its server ended, and one date serves every server of the process.
const (
	fasthttpCleaner = "github.com/valyala/fasthttp.(*workerPool).Start.func2"
	fasthttpDate    = "github.com/valyala/fasthttp.updateServerDate.func1"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := errors.Join(stopShared(), goleak.Find(goleak.IgnoreAnyFunction(fasthttpCleaner), goleak.IgnoreAnyFunction(fasthttpDate)))
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// house is a node that runs, as somebody outside sees it.
type house struct {
	t    *testing.T
	node *Node
	stop func() error
}

func settings(t *testing.T, folder string) *config.Config {
	t.Helper()
	listen, operators := "127.0.0.1:0", "127.0.0.1:0"
	c, err := config.Read(config.Flags{Data: &folder, Listen: &listen, AdminListen: &operators}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a node over the folder until the test ends or stop is called.
func start(t *testing.T, folder string, sales ...shop.Sale) *house {
	t.Helper()
	return startWith(t, settings(t, folder), sales...)
}

func startWith(t *testing.T, c *config.Config, sales ...shop.Sale) *house {
	t.Helper()
	n, err := New(t.Context(), Options{
		Config: c, Sales: sales, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, n)
}

// run lets a node run until the test ends or stop is called.
func run(t *testing.T, n *Node) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	h := &house{t: t, node: n}
	stopped := false
	h.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func sale(units, price int64) shop.Sale {
	return shop.Sale{
		ID: "retro", Title: "Retro", OpensAt: time.Now().Add(-time.Minute).UTC().Truncate(time.Second), Hold: time.Minute,
		LimitPerBuyer: 1, Challenge: "never", Early: "normal", Guests: true,
		Items: []shop.Item{{SKU: "a", Title: "A", Stock: units, Price: shop.Money{Amount: price, Currency: "EUR"}}},
	}
}

// call makes one request and reads the JSON answer.
func (h *house) call(method, address, token, body string, header ...string) (int, map[string]any) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	answer := map[string]any{}
	if len(bytes.TrimSpace(raw)) > 0 && strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &answer); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, address, err, raw)
		}
	}
	return response.StatusCode, answer
}

func (h *house) buyers(path string) string { return "http://" + h.node.BuyersAddr().String() + path }

func (h *house) operators(path string) string {
	return "http://" + h.node.OperatorsAddr().String() + path
}

func (h *house) token(buyer string) string {
	h.t.Helper()
	token, err := h.node.signer.Sign(gate.Identity{Buyer: buyer}, time.Now(), time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func (h *house) adminToken() string { return string(h.node.options.Config.AdminToken.Reveal()) }

func (h *house) order(buyer, key string) (int, map[string]any) {
	h.t.Helper()
	return h.call("POST", h.buyers("/api/v1/sales/retro/orders"), h.token(buyer), `{"sku":"a","quantity":1}`, "Idempotency-Key", key)
}

func TestASaleRunsFromTheOrderToTheBooks(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "data"), sale(2, 100))
	status, order := h.order("ann", "k")
	if status != 201 || order["status"] != "awaiting_payment" {
		t.Fatalf("got %d %v", status, order)
	}
	id := order["id"].(string)
	if status, again := h.order("ann", "k"); status != 200 || again["id"] != id {
		t.Errorf("a repeat: got %d %v", status, again)
	}
	if status, paid := h.call("POST", h.operators("/admin/api/v1/orders/"+id+"/paid"), h.adminToken(), `{"reference":"r1"}`); status != 200 || paid["status"] != "paid" {
		t.Errorf("paid: got %d %v", status, paid)
	}
	if status, report := h.call("GET", h.operators("/admin/api/v1/sales/retro/audit"), h.adminToken(), ""); status != 200 || report["ok"] != true {
		t.Errorf("audit: got %d %v", status, report)
	}
	if status, no := h.order("ann", "k2"); status != 409 || no["code"] != "limit_reached" {
		t.Errorf("over the limit: got %d %v", status, no)
	}
	if status, _ := h.call("GET", h.operators("/readyz"), "", ""); status != 200 {
		t.Errorf("readyz: got %d", status)
	}
}

func TestWhoeverAsksAfterACancellationHasTheUnit(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "data"), sale(1, 100))
	for i := range 5 {
		key := strconv.Itoa(i)
		status, order := h.order("ann", key)
		if status != 201 {
			t.Fatalf("got %d %v", status, order)
		}
		h.until("it is sold out", func() bool { _, item := h.state(); return item == "sold_out" })
		if status, answer := h.call("POST", h.buyers("/api/v1/orders/"+order["id"].(string)+"/cancel"), h.token("ann"), ""); status != 200 {
			t.Fatalf("cancel: %d %v", status, answer)
		}
		status, order = h.order("bob", key)
		if status != 201 {
			t.Fatalf("got %d %v, want the unit that came back", status, order)
		}
		h.give(order["id"].(string))
	}
}

func TestARestartContinuesWhereItWas(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	doc := sale(3, 100)
	h := start(t, folder, doc)
	_, order := h.order("ann", "k")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, folder, doc)
	status, again := h.order("ann", "k")
	if status != 200 || again["id"] != order["id"] || again["pay_by"] != order["pay_by"] {
		t.Errorf("got %d %v, want 200 %v", status, again, order)
	}
	for _, buyer := range []string{"bob", "cid"} {
		if status, won := h.order(buyer, "k"); status != 201 {
			t.Errorf("%s: got %d %v, want a unit", buyer, status, won)
		}
	}
	if status, no := h.order("dan", "k"); status != 409 || no["code"] != "sold_out" || no["may_return"] != true {
		t.Errorf("got %d %v, want sold_out", status, no)
	}
}

func TestASecondNodeOnTheFolderSaysSoAndEnds(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	start(t, folder, sale(1, 0))
	second, err := New(t.Context(), Options{Config: settings(t, folder), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err == nil {
		t.Fatal("two nodes share a folder", second.Close())
	}
	if !strings.Contains(err.Error(), folder) {
		t.Errorf("got %q, which does not name the folder", err)
	}
}

func TestAFreeItemIsPaidAtOnce(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "data"), sale(1, 0))
	if status, order := h.order("ann", "k"); status != 201 || order["status"] != "paid" {
		t.Errorf("got %d %v, want 201 paid", status, order)
	}
}

func TestGuestsPayAtTheSandbox(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "data"), sale(1, 100))
	_, guest := h.call("POST", h.buyers("/api/v1/guests"), "", `{"sale":"retro"}`)
	token := guest["token"].(string)
	_, order := h.call("POST", h.buyers("/api/v1/sales/retro/orders"), token, `{"sku":"a","quantity":1}`)
	id := order["id"].(string)
	status, payment := h.call("POST", h.buyers("/api/v1/orders/"+id+"/payment"), token, "")
	address, _ := payment["url"].(string)
	if status != 200 || !strings.HasPrefix(address, "http://") {
		t.Fatalf("got %d %v, want an address to pay at", status, payment)
	}
	if status, _ := h.call("POST", address+"/pay", "", ""); status != 200 {
		t.Errorf("pay: got %d", status)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, order = h.call("GET", h.buyers("/api/v1/orders/"+id), token, "")
		if order["status"] == "paid" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want it paid", order)
		}
	}
}

func TestMetricsBearNoSecretAndTheFunnel(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "data"), sale(1, 100))
	h.order("ann", "k")
	h.order("bob", "k")
	h.call("GET", h.operators("/admin/api/v1/sales"), "a-wrong-one", "")
	response, err := http.Get(h.operators("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`doorbuster_orders_total{status="awaiting_payment"} 1`,
		`doorbuster_refusals_total{code="sold_out"} 1`,
		`doorbuster_units{account="held",sale="retro"} 1`,
		`doorbuster_gate_refusals_total{reason="blocked_address"} 0`,
		`doorbuster_gate_refusals_total{reason="network_limit"} 0`,
		`doorbuster_gate_refusals_total{reason="sale_limit"} 0`,
		`doorbuster_connections_refused_total{reason="address"} 0`,
		`doorbuster_operator_refusals_total{reason="wrong"} 1`,
		`doorbuster_gossip_dropped_total 0`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	// Bob came to the desk, or the latch was there before him.
	if !regexp.MustCompile(`(?m)^doorbuster_order_seconds_count [12]$`).Match(raw) {
		t.Error("metrics lack how long the order took")
	}
}
