package web

import (
	"net/netip"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestOnlySuspectsOfSuchASaleAreAsked(t *testing.T) {
	sale := guarded()
	sale.Challenge = shop.ChallengeSuspicious
	h := build(t).publish(sale).walk().work()
	h.door.Gate.Suspicion = gate.NewSuspicion(false, 0)
	h.open()
	if got := h.order("ann", "k", ""); got.status != 201 {
		t.Errorf("ann got %d %s, want 201", got.status, got.body)
	}
	h.hurry("bot", &sale)
	check(t, h.order("bot", "k", ""), 403, shop.ChallengeRequired)
	won := h.order("bot", "k", h.solve("bot"))
	if won.status != 201 {
		t.Fatalf("the suspect got %d %s, want 201 for a solution", won.status, won.body)
	}
	h.hurry("bot", &sale)
	if got := h.order("bot", "k", ""); got.status != 200 || got.json["id"] != won.json["id"] {
		t.Errorf("the suspect repeats its own key: %d %s, want the order", got.status, got.body)
	}
	suspects := h.door.Gate.Suspects("retro-85")
	if len(suspects) != 1 || suspects[0].Buyer != "bot" || suspects[0].Solved != 1 || suspects[0].Client.String() != "127.0.0.1" {
		t.Errorf("suspects: %+v, want the bot, who solved one", suspects)
	}
}

// hurry has the gate see more orders of the buyer than fingers make; the last
// one's key is k.
func (h *house) hurry(buyer string, sale *shop.Sale) {
	h.t.Helper()
	suspected, now := false, h.door.Now().UnixNano()
	for i := range 10 {
		suspected = h.door.Gate.Challenges(&gate.Attempt{
			Who: gate.Identity{Buyer: buyer}, Sale: sale, Key: []byte{byte('b' + i)},
			Client: netip.MustParseAddr("127.0.0.1"), Now: now,
		})
	}
	if !suspected {
		h.t.Fatalf("ten orders at once, and %s is no suspect", buyer)
	}
}

// Where an operator believes a buyer, nothing is asked of them from then on.
func TestASuspicionIsUndoneByTheAllowList(t *testing.T) {
	for _, entry := range []shop.Subject{{Buyer: "ann"}, {Prefix: netip.MustParsePrefix("127.0.0.0/8")}} {
		sale := guarded()
		sale.Challenge = shop.ChallengeSuspicious
		h := build(t).publish(sale).walk().work()
		h.door.Gate.Suspicion = gate.NewSuspicion(false, 0)
		h.open()
		h.hurry("ann", &sale)
		check(t, h.order("ann", "k", ""), 403, shop.ChallengeRequired)
		h.door.Gate.Lists.Post([]shop.Entry{{List: shop.Allow, Subject: entry}})
		if got := h.order("ann", "k", ""); got.status != 201 {
			t.Errorf("allowed %s: %d %s, want the order", entry, got.status, got.body)
		}
		if suspects := h.door.Gate.Suspects(""); len(suspects) != 1 || !suspects[0].Allowed {
			t.Errorf("allowed %s: suspects %+v, want one who is allowed by now", entry, suspects)
		}
	}
}

// What is refused before the challenge leaves no trace, and costs no look.
func TestWhatIsRefusedBeforeIsNotHeldAgainstAnybody(t *testing.T) {
	sale := guarded()
	sale.Challenge, sale.Items[1].Stock = shop.ChallengeSuspicious, 0
	h := build(t).publish(sale).walk().work()
	h.door.Gate.Suspicion = gate.NewSuspicion(false, 0)
	h.door.Gate.Sales = gate.NewLimiter(gate.Rate{PerSecond: 0.01, Burst: 41}, 64)
	h.open()
	send := func(body string, want int) {
		t.Helper()
		for i := range 20 { // quick, and in a rhythm: suspect, if it were looked at
			got := h.do(call{method: "POST", path: toRetro, token: h.token("ann"), body: body, header: keyed(string(rune('a' + i)))})
			if got.status != want {
				t.Fatalf("%s, order %d: %d %s, want %d", body, i, got.status, got.body, want)
			}
		}
	}
	send(`{"sku":"eu-43","quantity":1}`, 409)
	send(`{"quantity":`, 400)
	if got := h.order("ann", "K", ""); got.status != 201 {
		t.Errorf("the first order that is one: %d %s, want 201", got.status, got.body)
	}
	send(`{"sku":"eu-42","quantity":1}`, 429)
	if suspects := h.door.Gate.Suspects(""); len(suspects) != 0 {
		t.Errorf("suspects %+v, want nobody", suspects)
	}
}

// A page that was looked at speaks for its address, whichever way the node
// answered, and a browser that says what it is against its buyer.
func TestWhatPageAndSolverTellIsNoted(t *testing.T) {
	sale := guarded()
	sale.Challenge = shop.ChallengeSuspicious
	for name, look := range map[string]func(h *house){
		"nothing": func(*house) {},
		"page":    func(h *house) { h.do(call{path: "/s/retro-85"}) },
		"state":   func(h *house) { h.do(call{path: "/s/retro-85/state.json"}) },
		"state, quickly": func(h *house) {
			h.raw("GET /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\n\r\nGET /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t).publish(sale).walk().work()
			h.door.Gate.Suspicion = gate.NewSuspicion(true, 1) // 1970: it knows its visitors by now
			h.open()
			look(h)
			got := h.do(call{path: toChallengeOfRetro + "?automated", token: h.token("ann"), header: keyed("k")})
			if got.status != 200 {
				t.Fatalf("challenge: %d %s", got.status, got.body)
			}
			if got := h.order("ann", "k", ""); (got.status == 403) != (name == "nothing") {
				t.Errorf("got %d %s; a challenge is for who looked at nothing", got.status, got.body)
			}
			if got := h.order("bob", "k", ""); got.status != 201 {
				t.Errorf("no page alone: %d %s, want the order", got.status, got.body)
			}
		})
	}
}
