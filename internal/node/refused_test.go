package node

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func TestANodeThatWouldNotFitIsRefused(t *testing.T) {
	q := openQuarter(t)
	q.node(nil, sale(1, 100)).ready()
	refuse := func(want string) {
		t.Helper()
		n, err := New(t.Context(), Options{Config: q.settings(), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
		if err == nil {
			t.Fatal("it starts", n.Close())
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	q.env["DOORBUSTER_ROOT_KEY"] = strings.Repeat("x", 32)
	refuse("DOORBUSTER_ROOT_KEY is not the one this ledger was begun with")
	q.env["DOORBUSTER_ROOT_KEY"] = strings.Repeat("r", 32)
	if _, err := q.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"); err != nil {
		t.Fatal(err)
	}
	refuse("noeviction")
	q.env["DOORBUSTER_ACCEPT_EVICTION"] = "true"
	h := q.node(nil)
	if _, health := h.call("GET", h.operators("/healthz"), "", ""); !strings.Contains(fmt.Sprint(health["warnings"]), "evict") {
		t.Errorf("health says %v, want the warning that was accepted", health)
	}
	if _, err := q.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "noeviction"); err != nil {
		t.Fatal(err)
	}
}

func TestAStockInMemoryStandsAloneBeforeADatabase(t *testing.T) {
	q := openQuarter(t)
	delete(q.env, "DOORBUSTER_REDIS_URL")
	a := q.node(nil, sale(2, 0)).ready()
	if status, order := a.order("ann", "k"); status != http.StatusCreated || order["status"] != "paid" {
		t.Errorf("got %d %v, want a free order", status, order)
	}
	n, err := New(t.Context(), Options{Config: q.settings(), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err == nil {
		t.Fatal("a second one starts", n.Close())
	}
	if !strings.Contains(err.Error(), "another node serves this database") {
		t.Errorf("got %q", err)
	}
	q.env["DOORBUSTER_REDIS_URL"] = q.redis.URL()
	n, err = New(t.Context(), Options{Config: q.settings(), Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err == nil {
		t.Fatal("one of several starts beside it", n.Close())
	}
	if !strings.Contains(err.Error(), "a node with its stock in memory serves this database") {
		t.Errorf("got %q", err)
	}
	delete(q.env, "DOORBUSTER_REDIS_URL")
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	b := q.node(nil).ready()
	if status, order := b.order("ann", "k"); status != http.StatusOK || order["status"] != "paid" {
		t.Errorf("got %d %v, want the order of before", status, order)
	}
}
