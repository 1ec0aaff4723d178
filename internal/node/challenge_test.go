package node

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/gate/altchatest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// prove orders with a solution.
func (h *house) prove(buyer, key, proof string) (int, map[string]any) {
	h.t.Helper()
	return h.call("POST", h.buyers("/api/v1/sales/retro/orders"), h.token(buyer), `{"sku":"a","quantity":1}`,
		"Idempotency-Key", key, "Doorbuster-Challenge", proof)
}

func TestASolutionIsSpentOnceAcrossNodes(t *testing.T) {
	q := openQuarter(t)
	doc := sale(5, 100)
	doc.Challenge = shop.ChallengeAlways
	a, b := q.node(nil, doc).ready(), q.node(nil, doc).ready()
	status, posed := a.call("GET", a.buyers("/api/v1/sales/retro/challenge"), a.token("ann"), "", "Idempotency-Key", "k")
	if status != http.StatusOK {
		t.Fatalf("challenge: %d %v", status, posed)
	}
	text, err := json.Marshal(posed)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := altchatest.Solve(text)
	if err != nil {
		t.Fatal(err)
	}
	status, won := b.prove("ann", "k", proof)
	if status != http.StatusCreated {
		t.Fatalf("at the other node: %d %v, want the order", status, won)
	}
	for range 3 {
		for name, h := range map[string]*house{"the first node": a, "the second": b} {
			if status, again := h.prove("ann", "k", proof); status != http.StatusOK || again["id"] != won["id"] {
				t.Errorf("%s, again: %d %v; want order %v", name, status, again, won["id"])
			}
			for _, other := range [][2]string{{"ann", "k2"}, {"bob", "k"}} {
				if status, no := h.prove(other[0], other[1], proof); status != http.StatusForbidden || no["code"] != "challenge_required" {
					t.Errorf("%s, %s with key %s: %d %v; want 403", name, other[0], other[1], status, no)
				}
			}
		}
	}
}

func TestAServiceThatTheOperatorNamesJudgesInstead(t *testing.T) {
	judge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"success":%v}`, r.FormValue("secret") == "theirs" && r.FormValue("response") == "a person")
	}))
	t.Cleanup(judge.Close)
	folder := filepath.Join(t.TempDir(), "data")
	c, err := config.Read(config.Flags{
		Data: &folder, Listen: new("127.0.0.1:0"), AdminListen: new("127.0.0.1:0"), CaptchaURL: &judge.URL,
	}, func(name string) string { return map[string]string{"DOORBUSTER_CAPTCHA_SECRET": "theirs"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	doc := sale(5, 100)
	doc.Challenge = shop.ChallengeAlways
	n, err := New(t.Context(), Options{Config: c, Sales: []shop.Sale{doc}, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	h := run(t, n)
	if status, no := h.prove("ann", "k", "a bot"); status != http.StatusForbidden || no["code"] != "challenge_required" {
		t.Errorf("got %d %v, want 403", status, no)
	}
	if status, order := h.prove("ann", "k", "a person"); status != http.StatusCreated {
		t.Errorf("got %d %v, want the order", status, order)
	}
	judge.Close()
	if status, no := h.prove("bob", "k", "a person"); status != http.StatusServiceUnavailable {
		t.Errorf("while nobody judges: %d %v, want 503", status, no)
	}
}
