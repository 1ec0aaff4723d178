package web

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// An order for an item that is gone hears the same on both ways, and is charged
// the same: of a sale that has other items, most orders may be of this kind.
func TestAnOrderForAnItemThatIsGoneIsRefusedQuickly(t *testing.T) {
	varying := regexp.MustCompile(`Date: [^\r]*|Retry-After: \d+|"as_of":"[^"]*"|"(id|created_at|pay_by)":"[^"]*"|Location: [^\r]*`)
	heard := map[string][]string{}
	for way, field := range map[string]string{"quick": "", "slow": "Connection: TE\r\n"} {
		sale := sneakers()
		sale.Items[1].Stock = 0
		h := build(t).publish(sale).walk().work()
		h.door.Gate.Buyers = gate.NewLimiter(gate.Rate{PerSecond: 0.01, Burst: 4}, 64)
		block(h, "buyer:mallory")
		h.open()
		order := func(buyer, key, kind, body string) string {
			return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sIdempotency-Key: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
				toRetro, field, key, h.token(buyer), kind, len(body), body)
		}
		const gone, there = `{"sku":"eu-43","quantity":1}`, `{"sku":"eu-42","quantity":1}`
		answers := h.spoken(
			order("ann", "won", jsonType, there),
			order("ann", "won", jsonType, there), // her order, although the key's first item is not gone
			order("ann", "won", jsonType, gone),  // the key was used for something else
			order("ann", "new", jsonType, gone),  // the last that her limit lets pass
			order("ann", "new", jsonType, gone),  // …
			order("bob", "k", "application/json; charset=utf-8", ` { "quantity" : 2 , "sku" : "eu-43" } `),
			order("bob", "k", "text/plain", gone),
			order("bob", "k", jsonType, `{"sku":"eu-43","quantity":0}`),
			order("bob", "k", jsonType, `{"sku":"\u0065u-43","quantity":1}`), // read with care
			order("bob", "k", jsonType, gone),
			order("mallory", "k", jsonType, gone),
			order("carl", "k", jsonType, `{"sku":"none","quantity":1}`),
		)
		var statuses []string
		for i := range answers {
			statuses = append(statuses, answers[i][len("HTTP/1.1 "):][:3])
			heard[way] = append(heard[way], varying.ReplaceAllString(answers[i], "…"))
		}
		want := []string{"201", "200", "422", "409", "429", "409", "415", "400", "409", "429", "403", "400"}
		if !slices.Equal(statuses, want) {
			t.Errorf("%s: got %v, want %v", way, statuses, want)
		}
		if got := h.door.Counts.Refusals(slices.Index(shop.Codes(), shop.SoldOut)); got != 3 {
			t.Errorf("%s: sold_out was counted %d times, want 3", way, got)
		}
		for reason, count := range h.door.Gate.Counts.All() {
			if reason == gate.BuyerLimit && count != 2 {
				t.Errorf("%s: %s was counted %d times, want 2", way, reason, count)
			}
		}
	}
	for i := range heard["slow"] {
		if heard["quick"][i] != heard["slow"][i] {
			t.Errorf("request %d: quick\n%s\nslow\n%s", i, heard["quick"][i], heard["slow"][i])
		}
	}
}

// A proxy may write the requests of several buyers in one piece: nobody is taken
// for who was refused before, and nobody is denied what another was.
func TestWhoWasRefusedIsForgottenBeforeTheNextRequest(t *testing.T) {
	sale := sneakers()
	sale.Items[1].Stock = 0
	h := build(t).publish(sale).walk().work()
	block(h, "buyer:mallory")
	h.open()
	if won := h.buy("ann", "eu-42", "k"); won.status != 201 {
		t.Fatalf("got %d %s, want an order", won.status, won.body)
	}
	gone := func(buyer string) string {
		const body = `{"sku":"eu-43","quantity":1}`
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			toRetro, h.token(buyer), len(body), body)
	}
	list := func(token string) string {
		return fmt.Sprintf("GET /api/v1/orders?sale=retro-85 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token)
	}
	slow := strings.Replace(gone("carl"), "Host: x", "Host: x\r\nConnection: TE", 1)
	c := h.dial()
	reader := bufio.NewReader(c)
	_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, err)
	read(t, reader)
	_, err = io.WriteString(c, gone("ann")+list(h.token("bob"))+gone("ann")+list("bad")+gone("mallory")+slow)
	must(t, err)
	for i, want := range []struct {
		status int
		part   string
	}{{409, "sold_out"}, {200, `"orders":[]`}, {409, "sold_out"}, {401, "unauthorized"}, {403, "forbidden"}, {409, "sold_out"}} {
		if got := read(t, reader); got.status != want.status || !strings.Contains(got.body, want.part) {
			t.Errorf("answer %d is %d %s, want %d with %s", i, got.status, got.body, want.status, want.part)
		}
	}
}

// Who only watches is told, too, that nothing can come back.
func TestTheStateSaysWhatIsGoneForGood(t *testing.T) {
	sale := sneakers()
	sale.Items[1].Stock = 0
	sale.Items[2].Stock = 1
	h := openHouse(t, sale)
	state := func(at int) any {
		return h.do(call{path: "/s/retro-85/state.json"}).json["items"].([]any)[at]
	}
	becomes := func(at int, want map[string]any) {
		t.Helper()
		var got any
		for range 100 {
			<-h.herald.Touch(sale.ID)
			if got = state(at); reflect.DeepEqual(got, any(want)) {
				return
			}
		}
		t.Errorf("the state says %v, want %v", got, want)
	}
	becomes(0, map[string]any{"sku": "eu-42", "state": "available"})
	becomes(1, map[string]any{"sku": "eu-43", "state": "sold_out", "final": true}) // there never was one
	won := h.buy("ann", "eu-42", "k")
	for _, buyer := range []string{"bob", "carl", "dora", "eve"} {
		h.buy(buyer, "eu-42", "k")
	}
	becomes(0, map[string]any{"sku": "eu-42", "state": "sold_out"}) // all are held
	id, ok := shop.ParseClaimID(won.json["id"].(string))
	if !ok {
		t.Fatalf("got %d %s, want an order", won.status, won.body)
	}
	h.pay(id)
	becomes(0, map[string]any{"sku": "eu-42", "state": "sold_out"}) // four still are
	h.buy("ann", "free", "f")
	becomes(2, map[string]any{"sku": "free", "state": "sold_out", "final": true})
}
