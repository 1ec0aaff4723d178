package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rightSale is a document in which each case breaks something.
const rightSale = `id: right
title: Right
opens_at: 2036-12-01T10:00:00Z
hold: 10m
limit_per_buyer: 2
items:
  - sku: one
    title: One
    stock: 5
    price: {amount: 100, currency: EUR}
`

// TestWrongWays: whoever gets a file, a setting, a secret or a flag wrong is
// told which, where, and what to write instead, with exit code 2.
func TestWrongWays(t *testing.T) {
	t.Parallel()
	t.Run("sale files", func(t *testing.T) {
		for name, c := range map[string]struct {
			old, wrong string
			says       []string
		}{
			"an unknown field":       {"title: Right", "titel: Right", []string{"titel", "title"}},
			"a field twice":          {"hold: 10m", "hold: 10m\nhold: 20m", []string{"hold", "line"}},
			"a time without a zone":  {"10:00:00Z", "10:00:00", []string{"opens_at", "2026-12-01T10:00:00+08:00"}},
			"a hold too short":       {"hold: 10m", "hold: 5s", []string{"hold", "30s", "24h"}},
			"no limit":               {"limit_per_buyer: 2", "limit_per_buyer: 0", []string{"limit_per_buyer", "1000"}},
			"half a unit":            {"stock: 5", "stock: 0.5", []string{"items[0].stock", "whole number"}},
			"stock below zero":       {"stock: 5", "stock: -5", []string{"items[0].stock", "whole number"}},
			"an unknown currency":    {"EUR", "EURO", []string{"items[0].price.currency", "ISO 4217"}},
			"a price with a point":   {"amount: 100", "amount: 1.50", []string{"items[0].price.amount", "whole number"}},
			"a SKU that is none":     {"sku: one", "sku: a b", []string{"items[0].sku", "eu-42"}},
			"an id that is none":     {"id: right", "id: Right!", []string{"id", "retro-85"}},
			"a tab for spaces":       {"  - sku", "\t- sku", []string{"wrong.yaml:7", "YAML"}},
			"closing before opening": {"hold: 10m", "hold: 10m\ncloses_at: 2026-11-01T10:00:00Z", []string{"closes_at", "opens_at", "later"}},
		} {
			t.Run(name, func(t *testing.T) {
				text := strings.Replace(rightSale, c.old, c.wrong, 1)
				if text == rightSale {
					t.Fatal("the case changes nothing")
				}
				file := filepath.Join(t.TempDir(), "wrong.yaml")
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				misused(t, environment(), append(c.says, file), "serve", "--sale", file)
			})
		}
	})
	t.Run("settings", func(t *testing.T) {
		for name, c := range map[string]struct{ env, says string }{
			"an address without a port": {"DOORBUSTER_LISTEN=localhost", "DOORBUSTER_LISTEN|127.0.0.1:8080"},
			"a rate that is none":       {"DOORBUSTER_LIMIT_ADDRESS=fast", "DOORBUSTER_LIMIT_ADDRESS|50:100"},
			"a proxy that is none":      {"DOORBUSTER_TRUSTED_PROXIES=nginx", "DOORBUSTER_TRUSTED_PROXIES|10.0.0.0/8"},
			"Redis without a ledger":    {"DOORBUSTER_REDIS_URL=redis://127.0.0.1:1", "DOORBUSTER_REDIS_URL|--database-url"},
			"a level that is none":      {"DOORBUSTER_LOG_LEVEL=loud", "DOORBUSTER_LOG_LEVEL|info"},
			"a short key":               {"DOORBUSTER_BUYER_KEY=short", "DOORBUSTER_BUYER_KEY|32"},
			"a key file that is not":    {"DOORBUSTER_ROOT_KEY_FILE=/no/such/file", "DOORBUSTER_ROOT_KEY|/no/such/file"},
		} {
			t.Run(name, func(t *testing.T) {
				misused(t, append(environment(), c.env), strings.Split(c.says, "|"), "serve")
			})
		}
	})
	t.Run("flags", func(t *testing.T) {
		for name, c := range map[string]struct{ args, says string }{
			"an unknown flag":          {"serve --lisen :8080", "--lisen|--listen"},
			"an unknown command":       {"server", "server|serve"},
			"no buyer":                 {"token", "--buyer"},
			"a token that never lives": {"token --buyer alice --ttl 0s", "--ttl|1s"},
			"no sale to export":        {"export --out x", "--sale"},
			"a file that is not there": {"serve --sale no-such.yaml", "no-such.yaml"},
			"a ledger that is nowhere": {"audit --data no-such-folder", "no-such-folder|--data"},
		} {
			t.Run(name, func(t *testing.T) {
				misused(t, environment(), strings.Split(c.says, "|"), strings.Fields(c.args)...)
			})
		}
	})
}

// misused wants exit code 2 and all the words.
func misused(t *testing.T, env, says []string, args ...string) {
	t.Helper()
	code, out := command(t, env, args...)
	if code != 2 {
		t.Errorf("exit %d, want 2\n%s", code, out)
	}
	for _, word := range says {
		if !strings.Contains(out, word) {
			t.Errorf("it does not say %q:\n%s", word, out)
		}
	}
	if strings.Contains(out, buyerKey) || strings.Contains(out, adminToken) {
		t.Errorf("it prints a secret:\n%s", out)
	}
}

// TestWrongToken: a buyer or an operator without the right token is told so,
// whatever is wrong with it, and learns nothing else.
func TestWrongToken(t *testing.T) {
	t.Parallel()
	n, c := opened(t, setup{})
	who := c.shopper(t, "buyer")
	for name, bearer := range map[string]string{
		"none": "", "not a token": "Bearer nonsense", "another scheme": "Basic Zm9vOmJhcg==",
		"bit flipped": who.bearer[:len(who.bearer)-2] + "AA", "the operator's": "Bearer " + adminToken,
	} {
		other := *who
		other.bearer = bearer
		a := other.buy(t.Context(), wish{c.sale.ID, "k", "one", 1})
		if a.status != 401 || a.code != "unauthorized" {
			t.Errorf("a buyer with the token %s: %s, want 401 unauthorized", name, a)
		}
	}
	op := n.operator()
	for _, token := range []string{"", "wrong", strings.TrimPrefix(who.bearer, "Bearer ")} {
		status, body, err := op.as(token, "GET", "/sales")
		if err != nil || status != 401 {
			t.Errorf("an operator with the token %q: %d %s %v, want 401", token, status, body, err)
		}
	}
	code, out := command(t, append(environment(), "DOORBUSTER_ADMIN_TOKEN=wrong-admin-token-0123456789"), "sale", "list", "--admin-url", n.operators)
	if code != 1 || !strings.Contains(out, "DOORBUSTER_ADMIN_TOKEN") {
		t.Errorf("sale list with a wrong token: exit %d, want 1 and which one is wrong\n%s", code, out)
	}
}
