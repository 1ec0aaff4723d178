package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// described is what the OpenAPI file says: operation → status → its codes.
func described(t *testing.T) map[string]map[string][]string {
	t.Helper()
	var file struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Responses map[string]json.RawMessage }
	}
	must(t, json.Unmarshal(openAPI, &file))
	all := map[string]map[string][]string{}
	for path, members := range file.Paths {
		for method, raw := range members {
			if method == "parameters" {
				continue
			}
			var operation struct{ Responses map[string]json.RawMessage }
			must(t, json.Unmarshal(raw, &operation))
			name := strings.ToUpper(method) + " " + path
			all[name] = map[string][]string{}
			for status, response := range operation.Responses {
				all[name][status] = codesOf(t, response, file.Components.Responses)
			}
		}
	}
	return all
}

// codesOf finds the codes in a response, behind its reference if it is one.
func codesOf(t *testing.T, raw json.RawMessage, shared map[string]json.RawMessage) []string {
	t.Helper()
	var response struct {
		Ref     string `json:"$ref"`
		Content map[string]struct {
			Schema struct {
				AllOf []struct {
					Properties struct{ Code struct{ Enum []string } }
				}
			}
		}
	}
	must(t, json.Unmarshal(raw, &response))
	if name, ok := strings.CutPrefix(response.Ref, "#/components/responses/"); ok {
		return codesOf(t, shared[name], nil)
	}
	codes := []string{}
	for _, part := range response.Content["application/problem+json"].Schema.AllOf {
		codes = append(codes, part.Properties.Code.Enum...)
	}
	slices.Sort(codes)
	return codes
}

// witness notes what is really answered.
type witness map[string]map[string]map[string]bool

func (w witness) saw(operation string, got reply) {
	if w[operation] == nil {
		w[operation] = map[string]map[string]bool{}
	}
	status := fmt.Sprint(got.status)
	if w[operation][status] == nil {
		w[operation][status] = map[string]bool{}
	}
	if code, ok := got.json["code"].(string); ok {
		w[operation][status][code] = true
	}
}

func TestTheOpenAPIFileSaysWhatIsServed(t *testing.T) {
	seen := witness{}
	h := openHouse(t, variety()...)
	witnessReads(h, seen)
	witnessOrders(h, seen)
	witnessPurchases(h, seen)
	witnessChallenges(h, seen)
	witnessMissed(t, seen)
	witnessLimits(t, seen)
	witnessFaults(t, seen)

	got := map[string]map[string][]string{}
	for operation, statuses := range seen {
		got[operation] = map[string][]string{}
		for status, codes := range statuses {
			got[operation][status] = slices.AppendSeq([]string{}, maps.Keys(codes))
			slices.Sort(got[operation][status])
		}
	}
	want := described(t)
	for _, statuses := range want {
		delete(statuses, "default") // framing, Host, path, method and size: the same everywhere, tested elsewhere
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is described and what is answered (-described +answered):\n%s", diff)
	}
}

func TestTheOpenAPIFileKnowsEveryRoute(t *testing.T) {
	var file struct {
		OpenAPI string
		Paths   map[string]json.RawMessage
	}
	must(t, json.Unmarshal(openAPI, &file))
	want := []string{"/healthz"} // the same route as /readyz
	for r := toSales; r <= toReady; r++ {
		want = append(want, r.String())
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(file.Paths))); diff != "" {
		t.Errorf("paths (-served +described):\n%s", diff)
	}
	if file.OpenAPI != "3.0.3" {
		t.Errorf("openapi is %q, want 3.0.3", file.OpenAPI)
	}
	h := openHouse(t)
	got := h.do(call{path: "/api/openapi.json"})
	if got.status != 200 || got.body != string(openAPI) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("served: %d, %v", got.status, got.header)
	}
}

// Security line 15: there is one clock, and nobody may bring another.
func TestNoRequestHasAPlaceForATime(t *testing.T) {
	var file struct {
		Paths      map[string]map[string]json.RawMessage
		Components map[string]map[string]json.RawMessage
	}
	must(t, json.Unmarshal(openAPI, &file))
	ofTime := regexp.MustCompile(`(?i)"\w*(date|time|clock|_at)\w*"`) // a name; sentences have spaces
	looked := 0
	for path, members := range file.Paths {
		for method, raw := range members {
			var operation struct{ Parameters, RequestBody json.RawMessage }
			if method == "parameters" {
				operation.Parameters = raw
			} else {
				must(t, json.Unmarshal(raw, &operation))
			}
			asked := string(operation.Parameters) + string(operation.RequestBody)
			for _, ref := range regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllStringSubmatch(asked, -1) {
				part, ok := file.Components[ref[1]][ref[2]]
				if !ok {
					t.Errorf("%s %s: there is no %s", method, path, ref[0])
				}
				asked += string(part)
			}
			if strings.Contains(asked, `"quantity"`) {
				looked++
			}
			if word := ofTime.FindString(asked); word != "" {
				t.Errorf("%s %s takes %s", method, path, word)
			}
		}
	}
	if looked == 0 {
		t.Error("no operation takes a quantity: nothing was looked at")
	}
}

// variety is a sale for every answer.
func variety() []shop.Sale {
	with := func(id string, change func(*shop.Sale)) shop.Sale {
		s := sneakers()
		s.ID = id
		change(&s)
		return s
	}
	return []shop.Sale{
		with("retro-85", func(*shop.Sale) {}),
		with("guests", func(s *shop.Sale) { s.Guests = true }),
		with("later", func(s *shop.Sale) { s.OpensAt = time.Now().Add(time.Hour) }),
		with("over", func(s *shop.Sale) { s.ClosesAt = time.Now().Add(-time.Second) }),
		with("paused", func(*shop.Sale) {}),
		with("strict", func(s *shop.Sale) { s.Early = shop.EarlyStrict }),
		with("guarded", func(s *shop.Sale) { s.Challenge = shop.ChallengeAlways }),
		with("gone", func(s *shop.Sale) { s.Items = s.Items[:1]; s.Items[0].Stock = 0 }),
	}
}

func witnessReads(h *house, seen witness) {
	h.t.Helper()
	for path, paths := range map[string][]string{
		"/api/v1/sales": {"/api/v1/sales"}, "/api/v1/sales/{sale}": {"/api/v1/sales/later", "/api/v1/sales/none"},
		"/api/openapi.json": {"/api/openapi.json"}, "/s/{sale}": {"/s/paused", "/s/none"},
		"/s/{sale}/state.json": {"/s/over/state.json", "/s/none/state.json"},
		"/assets/{name}":       {"/assets/" + h.door.Pages.AssetNames()[0], "/assets/none"},
		"/livez":               {"/livez"}, "/readyz": {"/readyz"}, "/healthz": {"/healthz"},
	} {
		for _, at := range paths {
			seen.saw("GET "+path, h.do(call{path: at}))
		}
	}
	seen.saw("GET /s/{sale}", h.do(call{path: "/s/paused", header: http.Header{"If-None-Match": {"*"}}}))
	for _, c := range []call{
		{body: `{"sale":"guests"}`},
		{body: `{"sale":"retro-85"}`},
		{body: `{"sale":"none"}`},
		{body: `{}x`},
		{body: `{}`, header: http.Header{"Content-Type": {"text/plain"}}},
	} {
		c.method, c.path = "POST", "/api/v1/guests"
		seen.saw("POST /api/v1/guests", h.do(c))
	}
}

func witnessOrders(h *house, seen witness) {
	h.t.Helper()
	ann := h.token("ann")
	guest := h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"guests"}`}).json["token"].(string)
	for _, c := range []call{{token: ann, path: "retro-85"}, {path: "retro-85"}, {token: ann}, {token: ann, path: "none"}, {token: guest, path: "retro-85"}} {
		c.path = "/api/v1/orders?sale=" + c.path
		seen.saw("GET /api/v1/orders", h.do(c))
	}
	path := h.buy("ann", "free", "mine").header.Get("Location")
	nothing := "/api/v1/orders/" + strings.Repeat("0", 32)
	other := h.buy("ann", "eu-42", "other")
	seen.saw("POST /api/v1/orders/{id}/payment", h.do(call{method: "POST", path: other.header.Get("Location") + "/payment", token: ann}))
	h.pay(mustID(h, other))
	for _, c := range []call{{path: path, token: ann}, {path: path}, {path: nothing, token: ann}, {path: other.header.Get("Location"), token: ann}} {
		if c.path != other.header.Get("Location") {
			seen.saw("GET /api/v1/orders/{id}", h.do(c))
		}
		for _, part := range []string{"/payment", "/cancel"} {
			seen.saw("POST /api/v1/orders/{id}"+part, h.do(call{method: "POST", path: c.path + part, token: c.token}))
		}
	}
}

func mustID(h *house, got reply) shop.ClaimID {
	h.t.Helper()
	id, ok := shop.ParseClaimID(fmt.Sprint(got.json["id"]))
	if !ok {
		h.t.Fatalf("no order in %s", got.body)
	}
	return id
}

func witnessPurchases(h *house, seen witness) {
	h.t.Helper()
	h.move("paused", shop.VerbPause)
	bob, order := h.token("bob"), `{"sku":"eu-42","quantity":1}`
	guest := h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"guests"}`}).json["token"].(string)
	for _, c := range []call{
		{token: bob, body: order, header: keyed("b1")},
		{token: bob, body: order, header: keyed("b1")},
		{token: bob, body: `{"sku":"eu-42","quantity":2}`, header: keyed("b1")},
		{token: bob, body: `{"sku":"eu-42","quantity":3}`},
		{token: h.token("cid"), body: `{"sku":"eu-43","quantity":2}`},
		{token: bob, body: `{}`},
		{token: bob, body: order, header: http.Header{"Content-Type": {"text/plain"}}},
		{token: guest, body: order},
		{body: order},
		{path: "guarded", token: bob, body: order},
		{path: "none"},
		{path: "later"},
		{path: "over"},
		{path: "paused"},
		{path: "gone"},
		{path: "strict"},
	} {
		if c.path == "" {
			c.path = "retro-85"
		}
		c.method, c.path = "POST", "/api/v1/sales/"+c.path+"/orders"
		seen.saw("POST /api/v1/sales/{sale}/orders", h.do(c))
	}
}

func witnessChallenges(h *house, seen witness) {
	h.t.Helper()
	bob, guest := h.token("bob"), h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"guests"}`}).json["token"].(string)
	for _, c := range []call{
		{token: bob, header: keyed("c1"), path: "guarded"},
		{token: bob, path: "guarded"},
		{header: keyed("c1"), path: "guarded"},
		{token: guest, header: keyed("c1"), path: "guarded"},
		{token: bob, header: keyed("c1"), path: "retro-85"},
		{path: "none"},
		{path: "later"},
		{path: "over"},
		{path: "paused"},
		{path: "gone"},
	} {
		c.path = "/api/v1/sales/" + c.path + "/challenge"
		seen.saw("GET /api/v1/sales/{sale}/challenge", h.do(c))
	}
}

// witnessMissed sees what is said before and after a decision.
func witnessMissed(t *testing.T, seen witness) {
	t.Helper()
	h := build(t).publish(sneakers()).walk()
	h.door.Pressure = gate.NewPressure(1)
	h.open()
	early := call{
		method: "POST", path: toRetro, token: h.token("ann"), body: `{"sku":"eu-43","quantity":1}`,
		header: http.Header{"Idempotency-Key": {"a"}, "Prefer": {"respond-async"}},
	}
	seen.saw("POST /api/v1/sales/{sale}/orders", h.do(early))
	_, err := h.ledger.Bump(t.Context(), shop.Bucket{Sale: "retro-85"}, 1)
	must(t, err)
	<-h.herald.Renew("retro-85")
	h.door.Pressure.Enter()
	seen.saw("POST /api/v1/sales/{sale}/orders", h.buy("bob", "eu-42", "b"))
	h.door.Pressure.Leave(true)
	h.work()
	seen.saw("POST /api/v1/sales/{sale}/orders", h.buy("ann", "eu-43", "a"))
}

// apiCalls asks for everything that a limit or a fault can stand before.
func apiCalls(h *house) map[string]call {
	ann, at := h.token("ann"), "/api/v1/orders/"+strings.Repeat("0", 32)
	return map[string]call{
		"GET /api/v1/sales": {path: "/api/v1/sales"}, "GET /api/v1/sales/{sale}": {path: "/api/v1/sales/retro-85"},
		"GET /api/v1/orders": {path: "/api/v1/orders?sale=retro-85", token: ann}, "GET /api/v1/orders/{id}": {path: at, token: ann},
		"POST /api/v1/orders/{id}/cancel":    {method: "POST", path: at + "/cancel", token: ann},
		"POST /api/v1/orders/{id}/payment":   {method: "POST", path: at + "/payment", token: ann},
		"GET /api/v1/sales/{sale}/challenge": {path: "/api/v1/sales/retro-85/challenge", token: ann},
		"POST /api/v1/guests":                {method: "POST", path: "/api/v1/guests", body: `{"sale":"guests"}`},
		"POST /api/v1/sales/{sale}/orders":   {method: "POST", path: toRetro, token: ann, body: `{"sku":"eu-42","quantity":1}`},
	}
}

func witnessLimits(t *testing.T, seen witness) {
	t.Helper()
	h := build(t).publish(sneakers())
	h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 1}, 0, 64)
	h.door.Gate.Guests = h.door.Gate.Addresses
	h.open()
	h.do(call{path: "/api/v1/sales"})
	h.do(apiCalls(h)["POST /api/v1/guests"])
	h.do(call{method: "POST", path: toRetro})
	for operation, c := range apiCalls(h) {
		seen.saw(operation, h.do(c))
	}
	block(h, "127.0.0.0/8")
	for operation, c := range apiCalls(h) {
		seen.saw(operation, h.do(c))
	}
}

// witnessFaults sees what is said when the ledger is gone.
func witnessFaults(t *testing.T, seen witness) {
	t.Helper()
	h := build(t).publish(sneakers())
	must(t, h.ledger.Close())
	h.door.Ready = func() bool { return false }
	h.open()
	for operation, c := range apiCalls(h) {
		switch operation {
		case "GET /api/v1/sales", "GET /api/v1/sales/{sale}", "POST /api/v1/guests": // need no ledger
		case "POST /api/v1/sales/{sale}/orders", "GET /api/v1/sales/{sale}/challenge":
			h.door.Board.Suspend(shop.Refusal{Code: shop.Unavailable})
			seen.saw(operation, h.do(c))
		default:
			seen.saw(operation, h.do(c))
		}
	}
	for _, path := range []string{"/readyz", "/healthz"} {
		seen.saw("GET "+path, h.do(call{path: path}))
	}
}
