package web

import (
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// While the desk has no room, new orders are refused before anything else is
// looked at, and whoever has an order is served.
func TestNewOrdersAreShedAndHoldersAreNot(t *testing.T) {
	h := openHouse(t, sneakers())
	ann := h.token("ann")
	won := h.buy("ann", "eu-42", "won")
	if won.status != 201 {
		t.Fatalf("got %d %s, want 201", won.status, won.body)
	}
	order := won.header.Get("Location")
	for n := gate.OrdersMax; n > 0; n-- {
		h.door.Pressure.Enter()
	}
	for name, c := range map[string]call{
		"a new order": {token: ann, body: `{"sku":"eu-42","quantity":1}`, header: keyed("new")}, "one without a key": {token: ann}, "a stranger": {},
		"the holder's key": {token: h.token("bob"), body: `{"sku":"eu-42","quantity":1}`, header: keyed("won")}, "an odd body": {body: "{"},
	} {
		c.method, c.path = http.MethodPost, toRetro
		t.Run(name, func(t *testing.T) { check(t, (&house{t: t, addr: h.addr}).do(c), 503, shop.Overloaded) })
	}
	for _, c := range []call{ // in this order: an order that was given back cannot be paid
		{method: http.MethodPost, path: toRetro, token: ann, body: `{"sku":"eu-42","quantity":1}`, header: keyed("won")},
		{path: order, token: ann},
		{path: "/api/v1/orders?sale=retro-85", token: ann},
		{method: http.MethodPost, path: order + "/payment", token: ann},
		{path: "/api/v1/sales/retro-85"},
		{path: "/s/retro-85"},
		{path: "/s/retro-85/state.json"},
		{method: http.MethodPost, path: order + "/cancel", token: ann},
	} {
		if got := h.do(c); got.status != 200 {
			t.Errorf("%s %s: %d %s, want 200", c.method, c.path, got.status, got.body)
		}
	}
	counted := map[gate.Shed]uint64{}
	for why, count := range h.door.Pressure.Sheds() {
		counted[why] = count
	}
	if counted[gate.ShedCeiling] != 5 {
		t.Errorf("counted %v, want 5 above the ceiling", counted)
	}
	h.door.Pressure.Leave(true)
	if got := h.buy("bob", "eu-42", "b"); got.status != 201 {
		t.Errorf("with room again: %d %s, want 201", got.status, got.body)
	}
}

func TestHoldersAreTurnedAwayWhenEvenTheyAreTooMany(t *testing.T) {
	h := openHouse(t, sneakers())
	ann := h.token("ann")
	order := h.buy("ann", "eu-42", "won").header.Get("Location")
	for range gate.HoldersMax {
		h.door.Pressure.EnterHolder()
	}
	check(t, h.do(call{path: order, token: ann}), 503, shop.Overloaded)
	check(t, h.do(call{path: "/api/v1/orders?sale=retro-85", token: ann}), 503, shop.Overloaded)
	check(t, h.buy("ann", "eu-42", "won"), 503, shop.Overloaded)
	h.door.Pressure.LeaveHolder()
	if got := h.do(call{path: order, token: ann}); got.status != 200 {
		t.Errorf("with room again: %d %s, want 200", got.status, got.body)
	}
}

// A place at the desk is given back whatever comes of the order.
func TestEveryPlaceAtTheDeskIsGivenBack(t *testing.T) {
	h := openHouse(t, sneakers())
	for i, body := range []string{`{"sku":"eu-42","quantity":1}`, `{"sku":"eu-42","quantity":1}`, `{"sku":"eu-42","quantity":5}`, `{"sku":"none","quantity":1}`, `{"sku":"eu-43","quantity":2}`} {
		for _, buyer := range []string{"ann", "bob"} {
			h.do(call{method: http.MethodPost, path: toRetro, token: h.token(buyer), body: body, header: keyed(strconv.Itoa(i / 2))})
		}
	}
	if inside := h.door.Pressure.Inside(); inside != 0 {
		t.Errorf("%d are at the desk although all were answered", inside)
	}
}

// A quick shed says to the byte what the handlers say.
func TestAQuickShedIsTheSameAsAnyOther(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Pressure = gate.NewPressure(0)
	h.door.Jitter = func(n int64) int64 { return n - 1 }
	h.open()
	request := "POST " + toRetro + " HTTP/1.1\r\nHost: x\r\nIdempotency-Key: new\r\n%sContent-Length: 2\r\n\r\n{}"
	got := h.spoken(fmt.Sprintf(request, ""), fmt.Sprintf(request, "Connection: TE\r\n"))
	date := regexp.MustCompile(`Date: [^\r]*`)
	for i := range got {
		got[i] = date.ReplaceAllString(got[i], "Date")
	}
	if got[0] != got[1] || !strings.HasPrefix(got[0], "HTTP/1.1 503 ") || !strings.Contains(got[0], "Retry-After: 4\r\n") {
		t.Errorf("quick\n%s\nslow\n%s", got[0], got[1])
	}
}

// A crowd that is told to wait at the same moment does not come back at one:
// the server spreads it over seconds, and the page waits up to as long again.
func TestRetriesDoNotSynchronise(t *testing.T) {
	const crowd = 10_000
	d := &Door{Jitter: mathrand.Int64N}
	for wait, most := range map[time.Duration]int{time.Second: crowd / 15, overloadedFor: crowd / 20, 5 * time.Second: crowd / 40} {
		told, back := map[int64]int{}, map[int64]int{}
		for range crowd {
			seconds := d.jittered(wait)
			told[seconds]++
			page := time.Duration((1 + mathrand.Float64()) * float64(seconds) * float64(time.Second)) // web/buyer/patience.js
			back[page.Milliseconds()/100]++
		}
		for seconds, count := range told {
			if time.Duration(seconds)*time.Second < wait || count > crowd*6/10 {
				t.Errorf("after %s: %d of %d were told %d s", wait, count, crowd, seconds)
			}
		}
		for at, count := range back {
			if count > most {
				t.Errorf("after %s: %d of %d come back within the same 100 ms, after %d ms", wait, count, crowd, 100*at)
			}
		}
	}
}
