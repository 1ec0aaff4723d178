package web

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const toRetro = "/api/v1/sales/retro-85/orders"

// check fails unless the reply is a problem of the code, whole and uncached.
func check(t *testing.T, got reply, status int, code shop.Code) {
	t.Helper()
	if got.status != status || got.json["code"] != string(code) {
		t.Fatalf("got %d %s, want %d %s", got.status, got.body, status, code)
	}
	for _, member := range []string{"type", "title", "detail"} {
		if text, ok := got.json[member].(string); !ok || text == "" {
			t.Errorf("%s is %v, want a text", member, got.json[member])
		}
	}
	if got.json["status"] != float64(status) {
		t.Errorf("status member %v, want %d", got.json["status"], status)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("Content-Type %q", kind)
	}
	if cached := got.header.Get("Cache-Control"); cached != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", cached)
	}
	checkRetry(t, got, status == 429 || status == 503)
}

func checkRetry(t *testing.T, got reply, told bool) {
	t.Helper()
	text := got.header.Get("Retry-After")
	if !told && text == "" {
		return
	}
	if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After %q, want whole seconds from 1", text)
	}
}

func TestABodyThatIsNoOrderIsMalformed(t *testing.T) {
	h := openHouse(t, sneakers())
	token := h.token("ann")
	for name, body := range map[string]string{
		"nothing":                 "",
		"no JSON":                 "sku=eu-42",
		"an array":                `[{"sku":"eu-42","quantity":1}]`,
		"null":                    `null`,
		"half an object":          `{"sku":"eu-42","quantity":1`,
		"two objects":             `{"sku":"eu-42","quantity":1}{}`,
		"something behind":        `{"sku":"eu-42","quantity":1} x`,
		"an unknown field":        `{"sku":"eu-42","quantity":1,"price":1}`,
		"a client's time":         `{"sku":"eu-42","quantity":1,"time":"2026-12-01T10:00:00Z"}`,
		"a field twice":           `{"sku":"eu-42","sku":"eu-42","quantity":1}`,
		"a quantity twice":        `{"sku":"eu-42","quantity":1,"quantity":1}`,
		"a field twice, escaped":  `{"sku":"eu-42","s\u006bu":"eu-43","quantity":1}`,
		"names in capitals":       `{"SKU":"eu-42","Quantity":1}`,
		"no sku":                  `{"quantity":1}`,
		"no quantity":             `{"sku":"eu-42"}`,
		"an empty sku":            `{"sku":"","quantity":1}`,
		"a bad sku":               `{"sku":"eu 42","quantity":1}`,
		"a long sku":              `{"sku":"` + strings.Repeat("a", 64) + `","quantity":1}`,
		"an unknown sku":          `{"sku":"eu-99","quantity":1}`,
		"a sku that is a number":  `{"sku":42,"quantity":1}`,
		"a sku that is null":      `{"sku":null,"quantity":1}`,
		"a quantity of 0":         `{"sku":"eu-42","quantity":0}`,
		"a quantity of -1":        `{"sku":"eu-42","quantity":-1}`,
		"a quantity of -0":        `{"sku":"eu-42","quantity":-0}`,
		"half a unit":             `{"sku":"eu-42","quantity":0.5}`,
		"a quantity of 1.0":       `{"sku":"eu-42","quantity":1.0}`,
		"a quantity of 1e0":       `{"sku":"eu-42","quantity":1e0}`,
		"a quantity of 01":        `{"sku":"eu-42","quantity":01}`,
		"a quantity in quotes":    `{"sku":"eu-42","quantity":"1"}`,
		"a quantity of null":      `{"sku":"eu-42","quantity":null}`,
		"a quantity of true":      `{"sku":"eu-42","quantity":true}`,
		"a quantity over 64 bits": `{"sku":"eu-42","quantity":99999999999999999999}`,
		"not UTF-8":               "{\"sku\":\"\xff\",\"quantity\":1}",
		"a byte order mark":       "\ufeff" + `{"sku":"eu-42","quantity":1}`,
		"deep nesting":            strings.Repeat(`{"sku":`, 500) + "1" + strings.Repeat("}", 500),
		"a NUL":                   "{\"sku\":\"eu-42\",\"quantity\":1}\x00",
	} {
		t.Run(name, func(t *testing.T) {
			got := (&house{t: t, addr: h.addr}).do(call{
				method: "POST", path: toRetro, token: token, body: body, header: http.Header{"Content-Type": {"application/json"}},
			})
			check(t, got, 400, shop.Malformed)
		})
	}
}

func TestAnOrderMayBeWrittenInAnyShapeThatJSONHas(t *testing.T) {
	h := openHouse(t, sneakers())
	for name, body := range map[string]string{
		"spaces":            " {\r\n\t\"quantity\" : 1 , \"sku\" : \"eu-42\" } \n",
		"escapes":           `{"s\u006bu":"eu\u002d42","quantity":1}`,
		"the usual":         `{"sku":"eu-42","quantity":1}`,
		"another parameter": `{"sku":"eu-42","quantity":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := (&house{t: t, addr: h.addr}).do(call{
				method: "POST", path: toRetro, token: h.token(name), body: body,
				header: http.Header{"Content-Type": {"Application/JSON; charset=utf-8"}},
			})
			if got.status != 201 {
				t.Errorf("got %d %s, want 201", got.status, got.body)
			}
		})
	}
}

func TestEveryRefusalBeforeTheDesk(t *testing.T) {
	guests := sneakers()
	guests.ID, guests.Guests = "for-guests", true
	h := openHouse(t, sneakers(), guests)
	guest := h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"for-guests"}`})
	ann, order := h.token("ann"), `{"sku":"eu-42","quantity":1}`
	expired, err := h.signer.Sign(gate.Identity{Buyer: "ann"}, time.Now().Add(-time.Hour), time.Minute)
	must(t, err)
	for name, c := range map[string]struct {
		call
		status int
		code   shop.Code
	}{
		"no token":                 {call{method: "POST", path: toRetro, body: order}, 401, shop.Unauthorized},
		"a bad token":              {call{method: "POST", path: toRetro, body: order, token: "a.b.c"}, 401, shop.Unauthorized},
		"an expired token":         {call{method: "POST", path: toRetro, body: order, token: expired}, 401, shop.Unauthorized},
		"a bad token, a bad body":  {call{method: "POST", path: toRetro, body: "{", token: "a.b.c"}, 401, shop.Unauthorized},
		"no token for an order":    {call{path: "/api/v1/orders/" + strings.Repeat("0", 32)}, 401, shop.Unauthorized},
		"no token for orders":      {call{path: "/api/v1/orders?sale=retro-85"}, 401, shop.Unauthorized},
		"another sale's guest":     {call{method: "POST", path: toRetro, body: order, token: guest.json["token"].(string)}, 403, shop.Forbidden},
		"another sale's orders":    {call{path: "/api/v1/orders?sale=retro-85", token: guest.json["token"].(string)}, 403, shop.Forbidden},
		"no guests here":           {call{method: "POST", path: "/api/v1/guests", body: `{"sale":"retro-85"}`}, 403, shop.Forbidden},
		"guests of nothing":        {call{method: "POST", path: "/api/v1/guests", body: `{"sale":"none"}`}, 404, shop.NotFound},
		"guests of no JSON":        {call{method: "POST", path: "/api/v1/guests", body: `sale`}, 400, shop.Malformed},
		"an unknown sale":          {call{method: "POST", path: "/api/v1/sales/none/orders", body: order, token: ann}, 404, shop.NotFound},
		"no sale named":            {call{path: "/api/v1/orders", token: ann}, 400, shop.Malformed},
		"orders of an unknown one": {call{path: "/api/v1/orders?sale=none", token: ann}, 404, shop.NotFound},
		"an unknown order":         {call{path: "/api/v1/orders/" + strings.Repeat("0", 32), token: ann}, 404, shop.NotFound},
		"an id that is none":       {call{path: "/api/v1/orders/7", token: ann}, 404, shop.NotFound},
		"an id in capitals":        {call{path: "/api/v1/orders/" + strings.Repeat("A", 32), token: ann}, 404, shop.NotFound},
		"cancel nothing":           {call{method: "POST", path: "/api/v1/orders/" + strings.Repeat("0", 32) + "/cancel", token: ann}, 404, shop.NotFound},
		"a form":                   {call{method: "POST", path: toRetro, body: order, token: ann, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, 415, shop.UnsupportedMedia},
		"text":                     {call{method: "POST", path: toRetro, body: order, token: ann, header: http.Header{"Content-Type": {"text/plain"}}}, 415, shop.UnsupportedMedia},
		"no content type":          {call{method: "POST", path: toRetro, token: ann}, 415, shop.UnsupportedMedia},
		"a guest's form":           {call{method: "POST", path: "/api/v1/guests", body: `{"sale":"for-guests"}`, header: http.Header{"Content-Type": {"text/plain"}}}, 415, shop.UnsupportedMedia},
		"a long key":               {call{method: "POST", path: toRetro, body: order, token: ann, header: keyed(strings.Repeat("k", 65))}, 400, shop.Malformed},
		"a key with a dot":         {call{method: "POST", path: toRetro, body: order, token: ann, header: keyed("a.b")}, 400, shop.Malformed},
		"a key in quotes":          {call{method: "POST", path: toRetro, body: order, token: ann, header: keyed(`"a"`)}, 400, shop.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, (&house{t: t, addr: h.addr}).do(c.call), c.status, c.code)
		})
	}
}

// Whatever is wrong with a token, the answer is the same to the last byte.
func TestABadTokenIsOneAnswer(t *testing.T) {
	h := openHouse(t, sneakers())
	good := h.token("ann")
	other, err := gate.NewSigner(gate.NewSecret([]byte(strings.Repeat("x", 32))))
	must(t, err)
	foreign, err := other.Sign(gate.Identity{Buyer: "ann"}, time.Now(), time.Hour)
	must(t, err)
	want := h.do(call{method: "POST", path: toRetro})
	if want.header.Get("Www-Authenticate") != "Bearer" {
		t.Errorf("WWW-Authenticate %q, want Bearer", want.header.Get("Www-Authenticate"))
	}
	for _, token := range []string{"x", good[:len(good)-2], good + "A", foreign, "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + "."} {
		if got := h.do(call{method: "POST", path: toRetro, token: token}); got.status != 401 || got.body != want.body {
			t.Errorf("%d %s\nwant %s", got.status, got.body, want.body)
		}
	}
}

func TestTheNoticeIsReadBeforeTheTokenUnlessTheKeyIsKnown(t *testing.T) {
	later := sneakers()
	later.ID, later.OpensAt = "later", time.Now().Add(time.Hour)
	h := openHouse(t, sneakers(), later)
	won := h.buy("ann", "eu-42", "ann-1")
	if won.status != 201 {
		t.Fatalf("got %d %s, want 201", won.status, won.body)
	}
	check(t, h.do(call{method: "POST", path: "/api/v1/sales/later/orders"}), 409, shop.NotOpen)
	for _, step := range []struct {
		verb shop.Verb
		code shop.Code
	}{{shop.VerbPause, shop.SalePaused}, {shop.VerbClose, shop.SaleClosed}} {
		h.move("retro-85", step.verb)
		check(t, h.do(call{method: "POST", path: toRetro}), 409, step.code) // no token, no body, no key
		check(t, h.buy("ann", "eu-42", "ann-2"), 409, step.code)
		check(t, h.buy("bob", "eu-42", "ann-1"), 409, step.code) // a known key, but not his
		check(t, h.do(call{method: "POST", path: toRetro, header: keyed("ann-1")}), 401, shop.Unauthorized)
		check(t, h.do(call{method: "POST", path: toRetro, header: keyed("a b")}), 400, shop.Malformed)
		again := h.buy("ann", "eu-42", "ann-1")
		if again.status != 200 || again.json["id"] != won.json["id"] {
			t.Errorf("the winner's repeat: %d %s, want 200 and the order", again.status, again.body)
		}
	}
}

func TestSoldOutSaysWhetherUnitsMayReturn(t *testing.T) {
	sale := sneakers()
	sale.Items = sale.Items[1:2] // one unit
	h := openHouse(t, sale)
	if got := h.buy("ann", "eu-43", "k"); got.status != 201 {
		t.Fatalf("got %d %s, want 201", got.status, got.body)
	}
	<-h.herald.Touch(sale.ID)
	held := h.do(call{method: "POST", path: toRetro})
	check(t, held, 409, shop.SoldOut)
	if held.json["may_return"] != true {
		t.Errorf("got %s, want may_return true: a unit is held", held.body)
	}
	id, _ := shop.ParseClaimID(h.buy("ann", "eu-43", "k").json["id"].(string))
	h.pay(id)
	<-h.herald.Touch(sale.ID)
	gone := h.do(call{method: "POST", path: toRetro})
	check(t, gone, 409, shop.SoldOut)
	if gone.json["may_return"] != false || gone.json["as_of"] == nil {
		t.Errorf("got %s, want may_return false and as_of", gone.body)
	}
}

func TestASoldOutItemIsRefusedWhileOthersSell(t *testing.T) {
	h := openHouse(t, sneakers())
	if got := h.buy("ann", "eu-43", "k"); got.status != 201 {
		t.Fatalf("got %d %s, want 201", got.status, got.body)
	}
	<-h.herald.Touch("retro-85")
	check(t, h.buy("bob", "eu-43", "b"), 409, shop.SoldOut)
	if got := h.buy("ann", "eu-43", "k"); got.status != 200 {
		t.Errorf("the winner's repeat: %d %s, want 200", got.status, got.body)
	}
	if got := h.buy("bob", "eu-42", "b"); got.status != 201 {
		t.Errorf("another item, the same key: %d %s, want 201", got.status, got.body)
	}
}

func TestEveryRefusalOfTheDesk(t *testing.T) {
	h := openHouse(t, sneakers())
	post := func(buyer, key, body string) reply {
		return h.do(call{method: "POST", path: toRetro, token: h.token(buyer), body: body, header: keyed(key)})
	}
	won := post("ann", "a", `{"sku":"eu-42","quantity":2}`)
	if won.status != 201 {
		t.Fatalf("got %d %s, want 201", won.status, won.body)
	}
	check(t, post("ann", "a", `{"sku":"eu-42","quantity":1}`), 422, shop.KeyReused)
	check(t, post("ann", "a", `{"sku":"eu-43","quantity":2}`), 422, shop.KeyReused)
	check(t, post("ann", "a", `{"sku":"nothing-here","quantity":2}`), 422, shop.KeyReused)
	limit := post("ann", "b", `{"sku":"eu-43","quantity":1}`)
	check(t, limit, 409, shop.LimitReached)
	if orders, ok := limit.json["orders"].([]any); !ok || len(orders) != 1 || orders[0] != won.json["id"] {
		t.Errorf("orders %v, want the buyer's one", limit.json["orders"])
	}
	check(t, post("bob", "c", `{"sku":"eu-42","quantity":3}`), 409, shop.LimitReached)
	check(t, post("bob", "d", `{"sku":"eu-42","quantity":9000000000000000000}`), 409, shop.LimitReached)
	check(t, post("bob", "e", `{"sku":"eu-43","quantity":2}`), 409, shop.NotEnough)

	id := won.json["id"].(string)
	check(t, h.do(call{path: "/api/v1/orders/" + id, token: h.token("bob")}), 404, shop.NotFound)
	check(t, h.do(call{method: "POST", path: "/api/v1/orders/" + id + "/cancel", token: h.token("bob")}), 404, shop.NotFound)
	parsed, _ := shop.ParseClaimID(id)
	h.pay(parsed)
	check(t, h.do(call{method: "POST", path: "/api/v1/orders/" + id + "/cancel", token: h.token("ann")}), 409, shop.WrongStatus)
}

// A ticket of an epoch that ended, and whose unit was granted anew, is decided
// against: final for its key.
func TestAMissedUnitCarriesItsOrder(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	h.open()
	early := h.do(call{
		method: "POST", path: toRetro, token: h.token("ann"), body: `{"sku":"eu-43","quantity":1}`,
		header: http.Header{"Idempotency-Key": {"a"}, "Prefer": {"respond-async"}},
	})
	if early.status != 202 {
		t.Fatalf("got %d %s, want 202", early.status, early.body)
	}
	_, err := h.ledger.Bump(t.Context(), shop.Bucket{Sale: "retro-85"}, 1)
	must(t, err)
	<-h.herald.Renew("retro-85") // grants it anew
	h.work()
	got := h.buy("ann", "eu-43", "a")
	check(t, got, 409, shop.Missed)
	order, ok := got.json["order"].(map[string]any)
	if !ok || order["status"] != "refused" || order["reason"] != "missed" {
		t.Errorf("order %v, want one refused: missed", got.json["order"])
	}
	again := h.buy("ann", "eu-43", "a")
	check(t, again, 409, shop.Missed)
}

func TestTheDoorIsUnavailableWhileTheMachineCannotSell(t *testing.T) {
	h := openHouse(t, sneakers())
	won := h.buy("ann", "eu-42", "a")
	h.door.Board.Suspend(shop.Refusal{Code: shop.Unavailable, Detail: "No room.", RetryAfter: 5 * time.Second})
	for range 2 {
		check(t, h.do(call{method: "POST", path: toRetro}), 503, shop.Unavailable)
	}
	if again := h.buy("ann", "eu-42", "a"); again.status != 200 || again.json["id"] != won.json["id"] {
		t.Errorf("the winner's repeat: %d %s, want 200", again.status, again.body)
	}
	h.door.Board.Resume()
	if got := h.buy("bob", "eu-42", "b"); got.status != 201 {
		t.Errorf("after it: %d %s, want 201", got.status, got.body)
	}
}

func TestTheDoorIsOverloadedWhenTooManyWait(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	h.door.Pressure = gate.NewPressure(1)
	h.open()
	first := make(chan reply, 1)
	go func() { first <- h.buy("ann", "eu-42", "a") }()
	for h.door.Pressure.Inside() == 0 {
		<-h.herald.Touch("retro-85") // time passes
	}
	check(t, h.buy("bob", "eu-42", "b"), 503, shop.Overloaded)
	h.work()
	if got := <-first; got.status != 201 {
		t.Errorf("who waited: %d %s, want 201", got.status, got.body)
	}
}

func TestLimitsAreToldWithTheTimeToWait(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.1, Burst: 6}, 0, 64)
	h.door.Gate.Buyers = gate.NewLimiter(gate.Rate{PerSecond: 0.1, Burst: 2}, 64)
	h.open()
	if got := h.buy("ann", "eu-42", "a"); got.status != 201 {
		t.Fatalf("got %d %s, want 201", got.status, got.body)
	}
	h.buy("ann", "eu-42", "a")
	check(t, h.buy("ann", "eu-42", "a"), 429, shop.TooManyRequests) // the buyer's limit
	if got := h.buy("bob", "eu-42", "b"); got.status != 201 {
		t.Fatalf("another buyer: %d %s, want 201", got.status, got.body)
	}
	for range 6 {
		if got := h.do(call{path: "/api/v1/sales"}); got.status != 200 { // looking takes nothing from buying
			t.Errorf("a look: %d, want 200", got.status)
		}
	}
	h.buy("ann", "eu-42", "a")
	h.buy("ann", "eu-42", "a")
	for _, path := range []string{"/api/v1/sales", "/api/v1/sales/retro-85", "/api/v1/orders?sale=retro-85", "/api/v1/orders/0"} {
		check(t, h.do(call{path: path}), 429, shop.TooManyRequests) // the address's
	}
	check(t, h.buy("cid", "eu-42", "c"), 429, shop.TooManyRequests)
	for _, path := range []string{"/s/retro-85", "/s/retro-85/state.json", "/livez", "/readyz"} {
		if got := h.do(call{path: path}); got.status != 200 {
			t.Errorf("%s: %d, want 200: it is not limited", path, got.status)
		}
	}
}
