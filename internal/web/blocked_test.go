package web

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// block has the gate turn subjects away, and nobody else.
func block(h *house, subjects ...string) {
	h.t.Helper()
	var entries []shop.Entry
	for _, text := range subjects {
		subject, err := shop.ParseSubject(text)
		must(h.t, err)
		entries = append(entries, shop.Entry{List: shop.Block, Subject: subject})
	}
	h.door.Gate.Lists.Post(entries)
}

// count is how often the gate gave a reason.
func (h *house) count(want gate.Reason) uint64 {
	for reason, count := range h.door.Gate.Counts.All() {
		if reason == want {
			return count
		}
	}
	return 0
}

func TestABlockedAddressIsToldAtEveryDoorButThePages(t *testing.T) {
	h := openHouse(t, sneakers())
	order := h.buy("ann", "free", "a").json["id"].(string)
	block(h, "127.0.0.1")
	for _, path := range []string{"/api/v1/sales", "/api/v1/sales/retro-85", "/api/v1/orders?sale=retro-85", "/api/v1/orders/" + order} {
		check(t, h.do(call{path: path, token: h.token("ann")}), 403, shop.Forbidden)
	}
	for _, path := range []string{toRetro, "/api/v1/guests", "/api/v1/orders/" + order + "/cancel", "/api/v1/orders/" + order + "/payment"} {
		got := h.do(call{method: "POST", path: path, token: h.token("ann"), body: `{}`})
		check(t, got, 403, shop.Forbidden)
		if detail := got.json["detail"].(string); !strings.Contains(detail, "write to the shop") {
			t.Errorf("%s: %q does not say who can undo it", path, detail)
		}
	}
	for _, path := range []string{"/s/retro-85", "/s/retro-85/state.json", "/livez"} {
		if got := h.do(call{path: path}); got.status != 200 {
			t.Errorf("%s: %d, want 200: it is the same for everybody", path, got.status)
		}
	}
	if got := h.count(gate.BlockedAddress); got != 8 {
		t.Errorf("%d refusals were counted, want 8", got)
	}
	block(h)
	if got := h.do(call{path: "/api/v1/orders/" + order, token: h.token("ann")}); got.status != 200 {
		t.Errorf("after the block: %d, want 200", got.status)
	}
}

// What a blocked buyer has stays his; nothing new comes to it.
func TestABlockedBuyerKeepsOrdersAndGetsNoNewOne(t *testing.T) {
	h := openHouse(t, sneakers())
	first := h.buy("ann", "eu-42", "a")
	if first.status != 201 || h.buy("bob", "eu-42", "b").status != 201 {
		t.Fatalf("got %d %s, want 201", first.status, first.body)
	}
	id := first.json["id"].(string)
	block(h, "buyer:ann")
	check(t, h.buy("ann", "eu-42", "new"), 403, shop.Forbidden)
	check(t, h.buy("ann", "eu-42", "b"), 403, shop.Forbidden) // a key that is known, of somebody else
	check(t, h.buy("ann", "eu-42", ""), 403, shop.Forbidden)
	if got := h.buy("ann", "eu-42", "a"); got.status != 200 || got.json["id"] != id {
		t.Errorf("a repeat: %d %s, want 200 with %s", got.status, got.body, id)
	}
	check(t, h.buy("ann", "eu-43", "a"), 422, shop.KeyReused)
	if got := h.do(call{path: "/api/v1/orders/" + id, token: h.token("ann")}); got.status != 200 {
		t.Errorf("the order: %d, want 200", got.status)
	}
	if got := h.do(call{method: "POST", path: "/api/v1/orders/" + id + "/cancel", token: h.token("ann")}); got.status != 200 {
		t.Errorf("its end: %d, want 200", got.status)
	}
	if got := h.buy("bob", "eu-43", "c"); got.status != 201 {
		t.Errorf("another buyer: %d, want 201", got.status)
	}
	if got := h.count(gate.BlockedBuyer); got != 3 {
		t.Errorf("%d refusals were counted, want 3", got)
	}
}

// A block is said to the byte as quickly as slowly.
func TestAQuickBlockIsTheSameAsAnyOther(t *testing.T) {
	h := openHouse(t, sneakers())
	block(h, "127.0.0.0/8")
	request := "POST " + toRetro + " HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\n\r\n{}"
	got := h.spoken(fmt.Sprintf(request, ""), fmt.Sprintf(request, "Connection: TE\r\n"))
	date := regexp.MustCompile(`Date: [^\r]*`)
	if quick, slow := date.ReplaceAllString(got[0], ""), date.ReplaceAllString(got[1], ""); quick != slow || !strings.HasPrefix(quick, "HTTP/1.1 403 ") {
		t.Errorf("quick\n%s\nslow\n%s", quick, slow)
	}
	if got := h.count(gate.BlockedAddress); got != 2 {
		t.Errorf("%d refusals were counted, want 2", got)
	}
	c := &conn{peer: netip.MustParseAddr("127.0.0.1")}
	text, room := []byte(fmt.Sprintf(request, "")), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { h.door.quick(c, text, room) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a block, want none", n)
	}
}

func TestAnAllowedAddressPassesLimitsOfRequestsAndConnections(t *testing.T) {
	h := build(t).publish(sneakers())
	strict := gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 1}, 1, 64)
	h.door.Gate.Addresses, h.door.Gate.Guests, h.door.Options.ConnsPerAddressMax = strict, strict, 1
	subject, err := shop.ParseSubject("127.0.0.0/8")
	must(t, err)
	h.door.Gate.Lists.Post([]shop.Entry{{List: shop.Allow, Subject: subject}})
	h.open()
	h.dial()
	for range 3 {
		if got := h.do(call{path: "/api/v1/sales"}); got.status != 200 {
			t.Errorf("got %d, want 200", got.status)
		}
	}
	h.door.Gate.Lists.Post(nil)
	var statuses []int
	for range 3 {
		statuses = append(statuses, h.do(call{path: "/api/v1/sales"}).status)
	}
	if !slices.Contains(statuses, 429) && !slices.Contains(statuses, 503) {
		t.Errorf("got %v once it is allowed no more, want a refusal", statuses)
	}
}

// Guests are new buyers: an address gets few of them, and its network not many.
func TestGuestsOfOneNetworkAreCounted(t *testing.T) {
	doc := sneakers()
	doc.Guests = true
	h := build(t).publish(doc)
	h.door.Gate.Proxies = gate.NewProxies(prefixes(t, "127.0.0.0/8"))
	h.door.Gate.Guests = gate.NewLadder(gate.Rate{PerSecond: 0.1, Burst: 2}, 2, 64)
	h.open()
	made := map[string]int{}
	for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3", "198.51.100.1"} {
		got := h.do(call{method: "POST", path: "/api/v1/guests", body: `{"sale":"retro-85"}`, header: map[string][]string{"X-Forwarded-For": {from}}})
		if got.status == 201 {
			made[from]++
		} else {
			check(t, got, 429, shop.TooManyRequests)
		}
	}
	want := map[string]int{"192.0.2.1": 2, "192.0.2.2": 2, "198.51.100.1": 1}
	if fmt.Sprint(made) != fmt.Sprint(want) || h.count(gate.GuestLimit) != 2 {
		t.Errorf("%v guests and %d refusals, want %v and 2", made, h.count(gate.GuestLimit), want)
	}
}

// Security line 1: what stands left of a trusted hop chooses neither list.
func TestASpoofedHeaderNeitherBlocksNorAllows(t *testing.T) {
	h := build(t).publish(sneakers())
	h.door.Gate.Proxies = gate.NewProxies(prefixes(t, "127.0.0.0/8"))
	block(h, "192.0.2.0/24")
	h.open()
	for forwarded, want := range map[string]int{"192.0.2.1": 403, "198.51.100.1": 200, "192.0.2.1, 198.51.100.1": 200, "198.51.100.1, 192.0.2.1": 403} {
		if got := h.do(call{path: "/api/v1/sales", header: map[string][]string{"X-Forwarded-For": {forwarded}}}); got.status != want {
			t.Errorf("%s: %d, want %d", forwarded, got.status, want)
		}
	}
}

// A buyer's orders under way are bounded, and each place comes back.
func TestABuyersOrdersAtTheDeskAreBounded(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	h.door.Gate.Waiting = gate.NewWaiting(1, 0)
	h.open()
	first := make(chan reply, 1)
	go func() { first <- h.buy("ann", "eu-42", "a") }()
	for sits := 0; sits == 0; {
		<-h.herald.Touch("retro-85") // time passes
		var err error
		sits, err = h.worker.Queue.Depth(t.Context())
		must(t, err)
	}
	second := h.buy("ann", "eu-42", "b")
	check(t, second, 429, shop.TooManyRequests)
	h.work()
	if got := <-first; got.status != 201 {
		t.Errorf("who waited: %d %s, want 201", got.status, got.body)
	}
	for _, key := range []string{"c", "a"} {
		if got := h.buy("ann", "eu-42", key); got.status >= 300 {
			t.Errorf("later: %d %s, want an order", got.status, got.body)
		}
	}
	if got := h.count(gate.BuyerWaiting); got != 1 {
		t.Errorf("%d refusals were counted, want 1", got)
	}
}
