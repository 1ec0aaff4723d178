package web

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
)

func TestWhatIsLeftIsToldWhereAsked(t *testing.T) {
	seconds := regexp.MustCompile(`t=\d+`)
	for _, asked := range []bool{false, true} {
		h := build(t).publish(sneakers()).walk().work()
		h.door.Options.RateLimitHeaders = asked
		h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 4}, 0, 64)
		h.door.Gate.Buyers = gate.NewLimiter(gate.Rate{PerSecond: 0.01, Burst: 2}, 64)
		h.open()
		for i, want := range []struct {
			got          reply
			status       int
			policy, left string
		}{
			{h.buy("ann", "eu-42", "a"), 201, `"address";q=4;w=400, "buyer";q=2;w=200`, `"address";r=3;t=100, "buyer";r=1;t=100`},
			{h.buy("ann", "eu-42", "a"), 200, `"address";q=4;w=400, "buyer";q=2;w=200`, `"address";r=2;t=200, "buyer";r=0;t=200`},
			{h.buy("ann", "eu-42", "a"), 429, `"address";q=4;w=400, "buyer";q=2;w=200`, `"address";r=1;t=300, "buyer";r=0;t=200`},
			{h.do(call{method: "POST", path: toRetro}), 401, "", ""},
			{h.do(call{method: "POST", path: toRetro}), 429, `"address";q=4;w=400`, `"address";r=0;t=400`},
			{h.do(call{path: "/api/v1/sales"}), 200, "", ""},
			{h.do(call{path: "/s/retro-85/state.json"}), 200, "", ""},
		} {
			if !asked {
				want.policy, want.left = "", ""
			}
			left := seconds.ReplaceAllStringFunc(want.got.header.Get("Ratelimit"), func(text string) string {
				n, err := strconv.Atoi(text[len("t="):])
				must(t, err)
				return fmt.Sprint("t=", (n+99)/100*100) // some seconds may have passed
			})
			if policy := want.got.header.Get("Ratelimit-Policy"); want.got.status != want.status || policy != want.policy || left != want.left {
				t.Errorf("asked: %v: call %d: %d, %s and %s; want %d, %s and %s", asked, i, want.got.status, policy, left, want.status, want.policy, want.left)
			}
		}
	}
}

// The road that is quick gives way: its answers could not tell.
func TestAQuickRefusalTellsWhatIsLeftToo(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Options.RateLimitHeaders = true
	h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.1, Burst: 1}, 0, 64)
	h.open()
	request := "POST " + toRetro + " HTTP/1.1\r\nHost: x\r\n\r\n"
	got := h.spoken(request, request)
	if !strings.HasPrefix(got[1], "HTTP/1.1 429 ") || !strings.Contains(got[1], `Ratelimit: "address";r=0;t=`) {
		t.Errorf("got\n%s", got[1])
	}
	if count := h.count(gate.AddressLimit); count != 1 {
		t.Errorf("%d refusals were counted, want 1", count)
	}
}
