package web

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// normal replaces what differs from run to run.
func normal(body string) string {
	body = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(body, "TIME")
	return regexp.MustCompile(`"[0-9a-f]{32}"`).ReplaceAllString(body, `"ID"`)
}

func TestWhatEachEndpointSays(t *testing.T) {
	sale := sneakers()
	sale.Guests, sale.Items = true, sale.Items[:2]
	h := openHouse(t, sale)
	won := h.buy("ann", "eu-43", "a")
	<-h.herald.Touch(sale.ID)
	id, ann := won.json["id"].(string), h.token("ann")
	const order = `{"id":"ID","sale":"retro-85","sku":"eu-43","quantity":1,"status":"awaiting_payment","amount":12900,"currency":"EUR",` +
		`"created_at":"TIME","pay_by":"TIME","as_of":N}`
	const times = `"phase":"open","opens_at":"TIME","closes_at":null`
	for name, c := range map[string]struct {
		got  reply
		want string
	}{
		"an order won": {won, "201 " + order},
		"repeated":     {h.buy("ann", "eu-43", "a"), "200 " + order},
		"read":         {h.do(call{path: "/api/v1/orders/" + id, token: ann}), "200 " + order},
		"listed":       {h.do(call{path: "/api/v1/orders?sale=retro-85", token: ann}), `200 {"orders":[` + order + `]}`},
		"nobody's":     {h.do(call{path: "/api/v1/orders?sale=retro-85", token: h.token("bob")}), `200 {"orders":[]}`},
		"to be paid": {
			h.do(call{method: "POST", path: "/api/v1/orders/" + id + "/payment", token: ann}),
			`200 {"url":"https://pay.example/` + id + `"}`,
		},
		"the sales": {h.do(call{path: "/api/v1/sales"}), `200 {"sales":[{"id":"retro-85","title":"Retro High ’85",` + times + `}]}`},
		"the sale": {
			h.do(call{path: "/api/v1/sales/retro-85"}), `200 {"server_time":"TIME","id":"retro-85","title":"Retro High ’85",` +
				`"description":"","image":"","page_url":"","sign_in_url":"",` + times + `,"hold":"10m","limit_per_buyer":2,"guests":true,"items":[` +
				`{"sku":"eu-42","title":"EU 42","price":{"amount":12900,"currency":"EUR"},"state":"available"},` +
				`{"sku":"eu-43","title":"EU 43","price":{"amount":12900,"currency":"EUR"},"state":"sold_out"}]}`,
		},
		"its state": {
			h.do(call{path: "/s/retro-85/state.json"}), `200 {"server_time":"TIME",` + times +
				`,"items":[{"sku":"eu-42","state":"available"},{"sku":"eu-43","state":"sold_out"}]}`,
		},
		"alive": {h.do(call{path: "/livez"}), "200 ok\n"},
		"ready": {h.do(call{path: "/readyz"}), "200 ok\n"},
		"well":  {h.do(call{path: "/healthz"}), "200 ok\n"},
	} {
		t.Run(name, func(t *testing.T) {
			body := regexp.MustCompile(`"as_of":\d+`).ReplaceAllString(normal(c.got.body), `"as_of":N`)
			if diff := cmp.Diff(c.want, fmt.Sprintf("%d %s", c.got.status, body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnOrderThroughItsLife(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	h.open()
	ask := func(prefer string) reply {
		return h.do(call{
			method: "POST", path: toRetro, token: h.token("ann"), body: `{"sku":"eu-42","quantity":2}`,
			header: http.Header{"Idempotency-Key": {"k"}, "Prefer": {prefer}},
		})
	}
	for _, prefer := range []string{"respond-async", "wait=0", "respond-async", "wait=1"} { // a pending repeat is 202 as well
		got := ask(prefer)
		if got.status != 202 || got.json["status"] != "pending" || got.json["pay_by"] != nil || got.json["amount"] != 25800.0 {
			t.Fatalf("Prefer %s: got %d %s, want 202 pending", prefer, got.status, got.body)
		}
		checkRetry(t, got, true)
		if want := "/api/v1/orders/" + got.json["id"].(string); got.header.Get("Location") != want {
			t.Errorf("Location %q, want %q", got.header.Get("Location"), want)
		}
		read := h.do(call{path: got.header.Get("Location"), token: h.token("ann")})
		if read.status != 200 || read.json["status"] != "pending" {
			t.Errorf("read: %d %s, want the pending order", read.status, read.body)
		}
	}
	h.work()
	if got := ask("wait=30"); got.status != 200 && got.status != 201 || got.json["status"] != "awaiting_payment" {
		t.Fatalf("got %d %s, want the decided order", got.status, got.body)
	}
	got := ask("")
	path := got.header.Get("Location")
	for range 2 {
		back := h.do(call{method: "POST", path: path + "/cancel", token: h.token("ann")})
		if back.status != 200 || back.json["status"] != "cancelled" {
			t.Errorf("cancel: %d %s, want 200 cancelled", back.status, back.body)
		}
	}
	if again := ask(""); again.status != 200 || again.json["status"] != "cancelled" {
		t.Errorf("repeat: %d %s, want the cancelled order", again.status, again.body)
	}
}

func TestAFreeItemIsPaidAtOnceAndCanBeGivenBack(t *testing.T) {
	h := openHouse(t, sneakers())
	got := h.buy("ann", "free", "")
	if got.status != 201 || got.json["status"] != "paid" || got.json["amount"] != 0.0 {
		t.Fatalf("got %d %s, want 201 paid", got.status, got.body)
	}
	back := h.do(call{method: "POST", path: got.header.Get("Location") + "/cancel", token: h.token("ann")})
	if back.status != 200 || back.json["status"] != "cancelled" {
		t.Errorf("cancel: %d %s, want 200 cancelled", back.status, back.body)
	}
}

// Without a key the node makes one: each request is an attempt of its own.
func TestWithoutAKeyEveryRequestIsAnotherAttempt(t *testing.T) {
	h := openHouse(t, sneakers())
	first, second := h.buy("ann", "eu-42", ""), h.buy("ann", "eu-42", "")
	if first.status != 201 || second.status != 201 || first.json["id"] == second.json["id"] {
		t.Errorf("got %d %s and %d %s, want two orders", first.status, first.body, second.status, second.body)
	}
}

func TestAGuestBuysInItsSale(t *testing.T) {
	sale := sneakers()
	sale.Guests = true
	h := openHouse(t, sale)
	got := h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"retro-85"}`})
	if got.status != 201 || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s %s, want 201", got.status, got.body, got.header)
	}
	bought := h.do(call{method: "POST", path: toRetro, token: got.json["token"].(string), body: `{"sku":"eu-42","quantity":1}`})
	if bought.status != 201 {
		t.Errorf("got %d %s, want 201", bought.status, bought.body)
	}
}

// A token may be of a shop's own making: good for one sale, of a buyer who has
// orders in others.
func TestATokenForOneSaleDoesNothingToAnothersOrders(t *testing.T) {
	other := sneakers()
	other.ID = "other"
	h := openHouse(t, sneakers(), other)
	id := h.buy("ann", "eu-42", "k").json["id"].(string)
	bound := func(sale string) string {
		token, err := h.signer.Sign(gate.Identity{Buyer: "ann", Sale: sale}, time.Now(), time.Hour)
		must(t, err)
		return token
	}
	calls := []call{
		{path: "/api/v1/orders/" + id},
		{method: "POST", path: "/api/v1/orders/" + id + "/payment"},
		{method: "POST", path: "/api/v1/orders/" + id + "/cancel"},
	}
	for _, c := range calls {
		c.token = bound("other")
		if got := h.do(c); got.status != 404 || got.json["code"] != "not_found" {
			t.Errorf("%s %s: got %d %s, want 404 not_found", c.method, c.path, got.status, got.body)
		}
	}
	if got := h.do(call{path: "/api/v1/orders/" + id, token: h.token("ann")}); got.json["status"] != "awaiting_payment" {
		t.Fatalf("the order is %s, want it as it was", got.body)
	}
	for _, c := range calls {
		c.token = bound("retro-85")
		if got := h.do(c); got.status != 200 {
			t.Errorf("with a token for its sale, %s %s: got %d %s, want 200", c.method, c.path, got.status, got.body)
		}
	}
}

func TestATokenForOneSaleFindsNoPendingOrderOfAnother(t *testing.T) {
	other := sneakers()
	other.ID = "other"
	h := build(t).publish(sneakers(), other).walk().open() // nobody decides
	asked := h.do(call{
		method: "POST", path: toRetro, token: h.token("ann"), body: `{"sku":"eu-42","quantity":1}`,
		header: http.Header{"Prefer": {"respond-async"}},
	})
	for sale, want := range map[string]int{"retro-85": 200, "other": 404, "": 200} {
		token, err := h.signer.Sign(gate.Identity{Buyer: "ann", Sale: sale}, time.Now(), time.Hour)
		must(t, err)
		if got := h.do(call{path: asked.header.Get("Location"), token: token}); got.status != want {
			t.Errorf("a token for %q: got %d %s, want %d", sale, got.status, got.body, want)
		}
	}
}

func TestTheStateBearsTheExactTime(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	at := time.Date(2026, 12, 1, 2, 0, 0, 7_999_999, time.UTC)
	h.door.Now = func() time.Time { at = at.Add(time.Second); return at }
	h.open()
	for _, want := range []string{"2026-12-01T02:00:01.007Z", "2026-12-01T02:00:02.007Z"} {
		if got := h.do(call{path: "/s/retro-85/state.json"}).json["server_time"]; got != want {
			t.Errorf("server_time %v, want %s", got, want)
		}
	}
}

func TestHEADWorksWhereverGETDoes(t *testing.T) {
	h := openHouse(t, sneakers())
	id := h.buy("ann", "eu-42", "k").json["id"].(string)
	paths := []string{
		"/api/v1/sales", "/api/v1/sales/retro-85", "/api/v1/orders/" + id, "/api/v1/orders?sale=retro-85", "/api/openapi.json",
		"/s/retro-85", "/s/retro-85/state.json", "/assets/" + h.door.Pages.AssetNames()[0], "/livez", "/readyz", "/healthz",
		"/s/none", "/nothing",
	}
	for _, path := range paths {
		get := h.do(call{path: path, token: h.token("ann")})
		head := h.do(call{method: "HEAD", path: path, token: h.token("ann")})
		if head.status != get.status || head.body != "" {
			t.Errorf("%s: HEAD %d with %d bytes, GET %d", path, head.status, len(head.body), get.status)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "ETag"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("%s: HEAD has %s %q, GET %q", path, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
}

func TestAnotherMethodIsToldWhichWouldDo(t *testing.T) {
	h := openHouse(t, sneakers())
	for path, allow := range map[string]string{
		"/api/v1/sales": "GET, HEAD, OPTIONS", "/api/v1/sales/retro-85": "GET, HEAD, OPTIONS", toRetro: "POST, OPTIONS",
		"/api/v1/orders": "GET, HEAD, OPTIONS", "/api/v1/orders/x": "GET, HEAD, OPTIONS", "/api/v1/orders/x/cancel": "POST, OPTIONS",
		"/api/v1/orders/x/payment": "POST, OPTIONS", "/api/v1/guests": "POST, OPTIONS", "/s/retro-85": "GET, HEAD, OPTIONS",
		"/s/retro-85/state.json": "GET, HEAD, OPTIONS", "/assets/x": "GET, HEAD, OPTIONS", "/livez": "GET, HEAD, OPTIONS",
		"/api/openapi.json": "GET, HEAD, OPTIONS",
	} {
		wrong := []string{"PUT", "DELETE", "PATCH", "TRACE", "BREW", "get"}
		if strings.HasPrefix(allow, "GET") {
			wrong = append(wrong, "POST")
		} else {
			wrong = append(wrong, "GET", "HEAD")
		}
		for _, method := range wrong {
			got := h.do(call{method: method, path: path})
			if method != "HEAD" {
				check(t, got, 405, shop.MethodNotAllowed)
			}
			if got.status != 405 || got.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want 405 and %q", method, path, got.status, got.header.Get("Allow"), allow)
			}
		}
	}
}

func TestOnlyPathsAsTheyAreWrittenLeadSomewhere(t *testing.T) {
	h := openHouse(t, sneakers())
	for _, path := range []string{
		"/", "/s", "/s/", "/s/retro-85/", "/s//retro-85", "//s/retro-85", "/s/./retro-85", "/s/../s/retro-85", "/s/retro-85/../retro-85",
		"/s/retro%2d85", "/s/retro-85%2fstate.json", "/%73/retro-85", "/s/retro-85/state.json/", "/s/retro-85/state", "/S/retro-85",
		"/assets/", "/assets/..", "/assets/../s/retro-85", "/assets/x/y", "/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/sales/",
		"/api/v1/sales/retro-85/", "/api/v1/sales/retro-85/orders/", "/api/v1//sales", "/api/v1/orders/", "/api/v1/orders/x/", "/api/v1/orders/x/y",
		"/api/v2/sales", "/API/v1/sales", "/livez/", "/metrics", "/debug/pprof", "/debug/pprof/", "/admin/api/v1/sales", "/console",
		"/favicon.ico", "/.git/config", "/..", "/../etc/passwd", "/%2e%2e/etc/passwd", "/s/retro-85;a=b", "/s/RETRO-85",
	} {
		check(t, h.do(call{path: path}), 404, shop.NotFound)
	}
	if got := h.do(call{path: "/s/retro-85?utm_source=x/../.."}); got.status != 200 {
		t.Errorf("a query: %d, want 200", got.status)
	}
}

func TestThePageIsCachedComparedAndCompressed(t *testing.T) {
	h := openHouse(t, sneakers())
	plain := h.do(call{path: "/s/retro-85", header: http.Header{"Accept-Encoding": {"identity"}}})
	zipped := h.do(call{path: "/s/retro-85", header: http.Header{"Accept-Encoding": {"br;q=1.0, GZIP;q=0.5"}}})
	reader, err := gzip.NewReader(strings.NewReader(zipped.body))
	must(t, err)
	unzipped, err := io.ReadAll(reader)
	must(t, err)
	if string(unzipped) != plain.body || zipped.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" {
		t.Error("the gzipped page is not the page")
	}
	if plain.header.Get("ETag") == zipped.header.Get("ETag") {
		t.Error("two representations share an ETag")
	}
	for name, got := range map[string]reply{"plain": plain, "zipped": zipped} {
		tag := got.header.Get("ETag")
		for header, want := range map[string]string{
			"Cache-Control": "public, max-age=60", "Vary": "Accept-Encoding", "Content-Type": "text/html; charset=utf-8",
			"X-Content-Type-Options": "nosniff", "Server": "", "Set-Cookie": "",
		} {
			if got.header.Get(header) != want {
				t.Errorf("%s: %s %q, want %q", name, header, got.header.Get(header), want)
			}
		}
		if !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") || got.header.Get("Referrer-Policy") == "" || got.header.Get("Date") == "" {
			t.Errorf("%s: header %v lacks a policy or the date", name, got.header)
		}
		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			again := h.do(call{path: "/s/retro-85", header: http.Header{
				"Accept-Encoding": {map[string]string{"plain": "gzip;q=0", "zipped": "gzip"}[name]}, "If-None-Match": {match},
			}})
			if again.status != 304 || again.body != "" || again.header.Get("ETag") != tag || again.header.Get("Cache-Control") == "" {
				t.Errorf("%s: If-None-Match %s: %d, %v; want 304", name, match, again.status, again.header)
			}
		}
	}
	if changed := h.do(call{path: "/s/retro-85", header: http.Header{"If-None-Match": {`"x"`}}}); changed.status != 200 {
		t.Errorf("another tag: %d, want 200", changed.status)
	}
}

func TestThePageFollowsItsSale(t *testing.T) {
	sale := sneakers()
	h := openHouse(t, sale)
	before := h.do(call{path: "/s/retro-85"})
	h.move("retro-85", shop.VerbPause)
	if same := h.do(call{path: "/s/retro-85"}); same.body != before.body {
		t.Error("the page changed with the phase: it is static")
	}
	sale.Title = "Another <title>"
	h.publish(sale)
	after := h.do(call{path: "/s/retro-85"})
	if !strings.Contains(after.body, "Another &lt;title&gt;") || after.header.Get("ETag") == before.header.Get("ETag") {
		t.Error("the page does not show the new title, escaped, under another ETag")
	}
}

func TestAssetsAreKeptForGood(t *testing.T) {
	h := openHouse(t, sneakers())
	for _, name := range h.door.Pages.AssetNames() {
		got := h.do(call{path: "/assets/" + name, header: http.Header{"Accept-Encoding": {"identity"}}})
		asset, _ := h.door.Pages.Asset(name)
		if got.status != 200 || got.body != string(asset.Body) || got.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, %v", name, got.status, got.header)
		}
		if got.header.Get("Content-Type") == "" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", name, got.header)
		}
	}
	check(t, h.do(call{path: "/assets/none.js"}), 404, shop.NotFound)
}
