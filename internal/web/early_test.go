package web

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

// pass returns a sale's opening key.
func (h *house) pass(sale string) string {
	h.t.Helper()
	notice, ok := h.door.Board.Notice(sale)
	if !ok {
		h.t.Fatalf("no sale %s", sale)
	}
	return h.door.Desk.Hasher.Opening(&notice.Sale)
}

// soon are two sales that open in an hour; one wants its opening key.
func soon() []shop.Sale {
	normal, strict := sneakers(), sneakers()
	strict.ID, strict.Early = "strict", shop.EarlyStrict
	for _, sale := range []*shop.Sale{&normal, &strict} {
		sale.OpensAt = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		sale.Items[1].Stock = 0
	}
	return []shop.Sale{normal, strict}
}

// Whatever a script varies before the opening, it reads the same bytes, from a
// script as from the handlers: with the opening key, too, and for SKUs that are
// there, empty or unknown.
func TestAScanBeforeTheOpeningFindsNoDifference(t *testing.T) {
	h := build(t).publish(soon()...).walk().work().open()
	date := regexp.MustCompile(`Date: [^\r]*`)
	tokens := map[string]string{"none": "", "good": "Authorization: Bearer " + h.token("ann") + "\r\n", "bad": "Authorization: Bearer a.b.c\r\n"}
	seen := map[string][]string{} // answer → what was asked
	for _, sale := range []string{"retro-85", "strict"} {
		for _, query := range []string{"", "?opening=" + h.pass(sale), "?opening=" + strings.Repeat("0", 32), "?opening=", "?x"} {
			for token, authorization := range tokens {
				for _, key := range []string{"", "Idempotency-Key: k\r\n"} {
					for _, way := range []string{"", "Connection: TE\r\n"} { // quick, and not
						for _, body := range []string{"", "{", `{"sku":"eu-42","quantity":1}`, `{"sku":"eu-43","quantity":1}`, `{"sku":"none","quantity":1}`, `{"sku":"eu-42","quantity":999}`} {
							request := fmt.Sprintf("POST /api/v1/sales/%s/orders%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s%s%sContent-Length: %d\r\n\r\n%s",
								sale, query, authorization, key, way, len(body), body)
							answer := date.ReplaceAllString(h.spoken(request)[0], "Date")
							seen[answer] = append(seen[answer], fmt.Sprint(sale, query, " token: ", token, key, way, body))
						}
					}
				}
			}
		}
	}
	if len(seen) != 1 {
		for answer, asked := range seen {
			t.Errorf("%d times, first for %s:\n%s", len(asked), asked[0], answer)
		}
	}
	for answer := range seen {
		if !strings.HasPrefix(answer, "HTTP/1.1 409 ") || !strings.Contains(answer, `"code":"not_open"`) {
			t.Errorf("want 409 not_open:\n%s", answer)
		}
	}
}

// reads are all that can be read without a token.
func (h *house) reads(sale string) map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		"/api/v1/sales", "/api/v1/sales/" + sale, "/s/" + sale, "/s/" + sale + "/state.json", "/api/openapi.json", "/readyz",
	} {
		got := h.do(call{path: path})
		all[path] = fmt.Sprint(got.status, got.header, got.body)
	}
	for _, name := range h.door.Pages.AssetNames() {
		all["/assets/"+name] = h.do(call{path: "/assets/" + name}).body
	}
	return all
}

// The opening key is in no answer before the flip, and then in the state file
// alone, for as long as the sale sells.
func TestOnlyTheStateRevealsTheOpeningKeyAndOnlyOnceOpen(t *testing.T) {
	h := build(t).publish(soon()...).walk().work().open()
	pass := h.pass("strict")
	reveal := func() []string {
		t.Helper()
		found := []string{}
		for path, text := range h.reads("strict") {
			if strings.Contains(text, pass) {
				found = append(found, path)
			}
		}
		return found
	}
	state := []string{"/s/strict/state.json"}
	if got := reveal(); len(got) != 0 {
		t.Errorf("before the opening %v has it", got)
	}
	for _, step := range []struct {
		verb shop.Verb
		want []string
	}{{shop.VerbOpen, state}, {shop.VerbPause, state}, {shop.VerbResume, state}, {shop.VerbClose, []string{}}} {
		h.move("strict", step.verb)
		if got := reveal(); !slices.Equal(got, step.want) {
			t.Errorf("after %s: %v has it, want %v", step.verb, got, step.want)
		}
		if now := h.pass("strict"); now != pass {
			t.Errorf("after %s: the key is another one", step.verb)
		}
	}
	h.move("retro-85", shop.VerbOpen)
	if got := h.do(call{path: "/s/retro-85/state.json"}); len(got.json) != 5 {
		t.Errorf("a normal sale's state has %v, want the five members of the contract", slices.Sorted(maps.Keys(got.json)))
	}
}

func TestAStrictSaleWantsItsOpeningKeyOnce(t *testing.T) {
	sale := sneakers()
	sale.Early = shop.EarlyStrict
	h := openHouse(t, sale)
	pass := h.do(call{path: "/s/retro-85/state.json"}).json["opening_key"].(string)
	buy := func(query, key string) reply {
		return h.do(call{
			method: http.MethodPost, path: toRetro + query, token: h.token("ann"), header: keyed(key), body: `{"sku":"eu-42","quantity":1}`,
		})
	}
	for _, query := range []string{"", "?", "?opening=", "?opening=" + strings.Repeat("0", 32), "?opening=" + pass[1:], "?opening=" + pass + "0", "?OPENING=" + pass, "?x=" + pass, "?opening=no&opening=" + pass} {
		check(t, buy(query, "k"), 403, shop.PassRequired)
	}
	if tried := h.do(call{method: http.MethodPost, path: toRetro}); !strings.Contains(tried.body, "/state.json") {
		t.Errorf("got %s, want it to say where the key is", tried.body)
	}
	won := buy("?opening="+pass, "k")
	if won.status != 201 {
		t.Fatalf("with the key: %d %s, want 201", won.status, won.body)
	}
	check(t, h.do(call{ // somebody else's key opens nothing
		method: http.MethodPost, path: toRetro, token: h.token("bob"), header: keyed("k"), body: `{"sku":"eu-42","quantity":1}`,
	}), 403, shop.PassRequired)
	for _, verb := range []shop.Verb{shop.VerbPause, shop.VerbResume, shop.VerbClose} {
		if again := buy("", "k"); again.status != 200 || again.json["id"] != won.json["id"] {
			t.Errorf("the repeat without it, before %s: %d %s, want 200 and the order", verb, again.status, again.body)
		}
		h.move("retro-85", verb)
	}
	if n := h.door.refused(shop.PassRequired).Load(); n != 11 {
		t.Errorf("%d were counted, want 11", n)
	}
}

// Two sales, two openings: a key opens nothing else.
func TestAnOpeningKeyIsOfOneSaleAtOneTime(t *testing.T) {
	h := build(t).publish(soon()...)
	sale := soon()[1]
	first := h.door.Desk.Hasher.Opening(&sale)
	moved := sale
	moved.OpensAt = sale.OpensAt.Add(time.Second)
	other := sale
	other.ID = "other"
	titled := sale
	titled.Title = "Another title"
	foreign, err := shop.NewHasher([]byte(strings.Repeat("s", shop.RootKeyMin)))
	must(t, err)
	if same := h.door.Desk.Hasher.Opening(&titled); same != first || len(first) != 32 {
		t.Errorf("%s under another title, want %s, which has 32 characters", same, first)
	}
	for what, key := range map[string]string{
		"another time": h.door.Desk.Hasher.Opening(&moved), "another sale": h.door.Desk.Hasher.Opening(&other), "another root key": foreign.Opening(&sale),
	} {
		if key == first {
			t.Errorf("%s: the same key", what)
		}
	}
}

// untouched are a ledger and a stock that nobody may ask: a call panics, which
// the house counts.
type (
	untouchedLedger struct{ ledger.Claims }
	untouchedStock  struct{ stock.Counter }
)

// Who has no token reaches neither the ledger nor the stock, whatever is asked.
func TestStrangersReachNeitherLedgerNorStock(t *testing.T) {
	h := build(t).publish(append(soon(), variety()[2:]...)...).walk().work()
	desk := h.door.Desk
	desk.Claims, desk.Stock, desk.Standings = untouchedLedger{}, untouchedStock{}, checkout.NewStandings(untouchedLedger{}, time.Now)
	h.open()
	nothing := "/api/v1/orders/" + strings.Repeat("0", 32)
	for _, path := range []string{
		"/api/v1/sales", "/api/v1/sales/strict", "/api/v1/sales/none", "/api/v1/orders", "/api/v1/orders?sale=strict", nothing, nothing + "/cancel",
		nothing + "/payment", "/api/v1/guests", "/s/strict", "/s/none", "/s/strict/state.json", "/api/v1/sales/strict/orders", "/api/v1/sales/gone/orders",
		"/api/v1/sales/over/orders?opening=" + h.pass("strict"), "/livez", "/readyz", "/admin/api/v1/sales", "/metrics",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			for _, token := range []string{"", "a.b.c"} {
				for _, body := range []string{"", `{"sku":"eu-42","quantity":1}`, `{"sale":"strict"}`, "{"} {
					if got := h.do(call{method: method, path: path, token: token, body: body, header: keyed("k")}); got.status == 0 || got.status >= 500 {
						t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
					}
				}
			}
		}
	}
}

// Security line 35: nor whatever is sent.
func TestAFloodOfStrangersReachesNeitherLedgerNorStock(t *testing.T) {
	h := build(t).publish(variety()...).walk().work()
	desk := h.door.Desk
	desk.Claims, desk.Stock, desk.Standings = untouchedLedger{}, untouchedStock{}, checkout.NewStandings(untouchedLedger{}, time.Now)
	h.open()
	forged, err := gate.NewSigner(gate.NewSecret([]byte(strings.Repeat("x", len(testKey)))))
	must(t, err)
	token, err := forged.Sign(gate.Identity{Buyer: "ann"}, time.Now(), time.Hour)
	must(t, err)
	requests, seed := floods(t)
	statuses := h.flood(forge{tokens: []string{token, "a.b.c"}, assets: h.door.Pages.AssetNames()}, requests, seed)
	if statuses[http.StatusUnauthorized] < requests/50 || h.door.Counts.Panics.Load() > 0 || h.door.Counts.Faults.Load() > 0 {
		t.Errorf("seed %d: answers %v, %d panics, %d faults", seed, statuses, h.door.Counts.Panics.Load(), h.door.Counts.Faults.Load())
	}
}
