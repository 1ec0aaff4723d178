package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gate/altchatest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const toChallengeOfRetro = "/api/v1/sales/retro-85/challenge"

// guarded is a sale that asks everybody for a solution.
func guarded() shop.Sale {
	sale := sneakers()
	sale.Challenge = shop.ChallengeAlways
	return sale
}

// solve asks for the challenge of a buyer's order with the key k, and returns
// its solution.
func (h *house) solve(buyer string) string {
	h.t.Helper()
	got := h.do(call{path: toChallengeOfRetro, token: h.token(buyer), header: keyed("k")})
	if got.status != 200 || got.header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("challenge: %d %s, header %v", got.status, got.body, got.header)
	}
	proof, err := altchatest.Solve([]byte(got.body))
	must(h.t, err)
	return proof
}

// order asks for one unit with a solution.
func (h *house) order(buyer, key, proof string) reply {
	h.t.Helper()
	header := keyed(key)
	if proof != "" {
		header.Set(proofField, proof)
	}
	return h.do(call{
		method: http.MethodPost, path: toRetro, token: h.token(buyer),
		body: `{"sku":"eu-42","quantity":1}`, header: header,
	})
}

func TestAnOrderOfAGuardedSaleNeedsItsOwnSolution(t *testing.T) {
	h := openHouse(t, guarded())
	first := h.order("ann", "k", "")
	check(t, first, 403, shop.ChallengeRequired)
	if first.json["challenge"] != toChallengeOfRetro {
		t.Errorf("the refusal leads to %v, want %s", first.json["challenge"], toChallengeOfRetro)
	}
	proof := h.solve("ann")
	for name, got := range map[string]reply{
		"another key":            h.order("ann", "k2", proof),
		"no key":                 h.order("ann", "", proof),
		"another buyer":          h.order("bob", "k", proof),
		"half of it":             h.order("ann", "k", proof[:len(proof)/2]),
		"something else":         h.order("ann", "k", "solved"),
		"more than any solution": h.order("ann", "k", strings.Repeat("A", 4000)),
	} {
		if got.status != 403 || got.body != first.body {
			t.Errorf("%s: got %d %s\nwant 403 %s", name, got.status, got.body, first.body)
		}
	}
	won := h.order("ann", "k", proof)
	if won.status != 201 {
		t.Fatalf("got %d %s, want 201", won.status, won.body)
	}
	for name, proof := range map[string]string{"the same solution": proof, "none": "", "a wrong one": "solved"} {
		if again := h.order("ann", "k", proof); again.status != 200 || again.json["id"] != won.json["id"] {
			t.Errorf("a repeat with %s: got %d %s, want the order", name, again.status, again.body)
		}
	}
	check(t, h.order("bob", "k", ""), 403, shop.ChallengeRequired) // a key that is known, but not of his claim
	h.move("retro-85", shop.VerbClose)
	if again := h.order("ann", "k", ""); again.status != 200 {
		t.Errorf("after the end: got %d %s, want the order", again.status, again.body)
	}
}

// Where both are asked for, the refusal leads to a challenge that can be had.
func TestAStrictSaleWithAChallengeCanBeBought(t *testing.T) {
	sale := guarded()
	sale.Early = shop.EarlyStrict
	h := openHouse(t, sale)
	check(t, h.order("ann", "k", ""), 403, shop.PassRequired)
	pass, _ := h.do(call{path: "/s/retro-85/state.json"}).json["opening_key"].(string)
	buy := func(proof string) reply {
		header := keyed("k")
		header.Set(proofField, proof)
		return h.do(call{
			method: http.MethodPost, path: toRetro + "?opening=" + pass, token: h.token("ann"),
			body: `{"sku":"eu-42","quantity":1}`, header: header,
		})
	}
	asked := buy("none")
	check(t, asked, 403, shop.ChallengeRequired)
	where, _ := asked.json["challenge"].(string)
	check(t, h.do(call{path: toChallengeOfRetro, token: h.token("ann"), header: keyed("k")}), 403, shop.PassRequired)
	posed := h.do(call{path: where, token: h.token("ann"), header: keyed("k")})
	if posed.status != 200 {
		t.Fatalf("challenge at %q: %d %s", where, posed.status, posed.body)
	}
	proof, err := altchatest.Solve([]byte(posed.body))
	must(t, err)
	if won := buy(proof); won.status != 201 {
		t.Errorf("got %d %s, want 201", won.status, won.body)
	}
}

func TestASolutionOfAnotherSaleIsNone(t *testing.T) {
	other := guarded()
	other.ID = "other"
	h := openHouse(t, guarded(), other)
	got := h.do(call{
		method: http.MethodPost, path: "/api/v1/sales/other/orders", token: h.token("ann"),
		body:   `{"sku":"eu-42","quantity":1}`,
		header: http.Header{"Idempotency-Key": {"k"}, proofField: {h.solve("ann")}},
	})
	check(t, got, 403, shop.ChallengeRequired)
}

func TestAThousandReplaysOfASolutionAreOneOrder(t *testing.T) {
	h := openHouse(t, guarded())
	proof := h.solve("ann")
	var callers sync.WaitGroup
	ids := make(chan any, 1000)
	for range 20 {
		callers.Go(func() {
			for range 50 {
				got := h.order("ann", "k", proof)
				if got.status != 200 && got.status != 201 {
					t.Errorf("got %d %s, want the order", got.status, got.body)
				}
				ids <- got.json["id"]
			}
		})
	}
	callers.Wait()
	close(ids)
	different := map[any]bool{}
	for id := range ids {
		different[id] = true
	}
	if len(different) != 1 {
		t.Errorf("%d orders, want one", len(different))
	}
	for _, buyer := range []string{"bob", "cid", "dan", "eve"} { // the units that are left
		if got := h.order(buyer, "k", h.solve(buyer)); got.status != 201 {
			t.Errorf("%s got %d %s, want 201", buyer, got.status, got.body)
		}
	}
}

func TestNobodySolvesForWhatIsRefusedAnyway(t *testing.T) {
	sale := guarded()
	sale.Items[1].Stock = 0
	later := guarded()
	later.ID, later.OpensAt = "later", time.Now().Add(time.Hour)
	never := sneakers()
	never.ID = "never"
	h := openHouse(t, sale, later, never)
	ann := h.token("ann")
	for name, c := range map[string]struct {
		call
		status int
		code   shop.Code
	}{
		"a stranger's order":       {call{method: "POST", path: toRetro, body: `{"sku":"eu-42","quantity":1}`}, 401, shop.Unauthorized},
		"no JSON":                  {call{method: "POST", path: toRetro, token: ann, body: `{`, header: keyed("k")}, 400, shop.Malformed},
		"an item that is gone":     {call{method: "POST", path: toRetro, token: ann, body: `{"sku":"eu-43","quantity":1}`, header: keyed("k")}, 409, shop.SoldOut},
		"an order before opening":  {call{method: "POST", path: "/api/v1/sales/later/orders", token: ann}, 409, shop.NotOpen},
		"a challenge beforehand":   {call{path: "/api/v1/sales/later/challenge", token: ann, header: keyed("k")}, 409, shop.NotOpen},
		"a stranger's challenge":   {call{path: toChallengeOfRetro, header: keyed("k")}, 401, shop.Unauthorized},
		"a challenge for no order": {call{path: toChallengeOfRetro, token: ann}, 400, shop.Malformed},
		"a key that is none":       {call{path: toChallengeOfRetro, token: ann, header: keyed("a b")}, 400, shop.Malformed},
		"a sale without":           {call{path: "/api/v1/sales/never/challenge", token: ann, header: keyed("k")}, 404, shop.NotFound},
		"no such sale":             {call{path: "/api/v1/sales/none/challenge", token: ann, header: keyed("k")}, 404, shop.NotFound},
		"a POST to the challenge":  {call{method: "POST", path: toChallengeOfRetro, token: ann, body: "{}", header: keyed("k")}, 405, shop.MethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) { check(t, (&house{t: t, addr: h.addr}).do(c.call), c.status, c.code) })
	}
}

func TestAskingForChallengesIsChargedToTheBuyer(t *testing.T) {
	h := build(t).publish(guarded()).walk().work()
	h.door.Gate.Buyers = gate.NewLimiter(gate.Rate{PerSecond: 0.01, Burst: 2}, 64)
	h.open()
	for i, want := range []int{200, 200, 429} {
		if got := h.do(call{path: toChallengeOfRetro, token: h.token("ann"), header: keyed("k")}); got.status != want {
			t.Errorf("challenge %d: got %d, want %d", i, got.status, want)
		}
	}
	if got := h.door.Counts.Challenges.Load(); got != 2 {
		t.Errorf("%d challenges counted, want 2", got)
	}
}

// unsure is a challenger that does not answer.
type unsure struct{}

func (unsure) Pose([]byte, gate.Task) ([]byte, error) { return nil, errors.New("secret trouble") }

func (unsure) Solved(context.Context, gate.Task, []byte) (bool, error) {
	return false, errors.New("secret trouble")
}

func TestWhereNobodyKnowsNobodyPasses(t *testing.T) {
	h := build(t).publish(guarded()).walk().work()
	h.door.Gate.Challenger = unsure{}
	h.open()
	for _, got := range []reply{
		h.order("ann", "k", "solved"),
		h.do(call{path: toChallengeOfRetro, token: h.token("ann"), header: keyed("k")}),
	} {
		check(t, got, 503, shop.Unavailable)
		if strings.Contains(got.body, "trouble") {
			t.Errorf("the answer tells of %s", got.body)
		}
	}
}

// attentive is a challenger that takes everything and remembers for what.
type attentive struct{ tasks chan gate.Task }

func (a attentive) Pose(to []byte, task gate.Task) ([]byte, error) {
	a.tasks <- task
	return append(to, "{}"...), nil
}

func (a attentive) Solved(_ context.Context, task gate.Task, _ []byte) (bool, error) {
	a.tasks <- task
	return true, nil
}

func TestAChallengeIsPosedForItsOrderAndThePressureOfItsSale(t *testing.T) {
	other := guarded()
	other.ID = "other"
	h := build(t).publish(guarded(), other).walk().work()
	a := attentive{tasks: make(chan gate.Task, 1)}
	now := time.Now()
	h.door.Gate.Challenger, h.door.Now = a, func() time.Time { return now }
	h.open()
	ask := func(sale string) gate.Task {
		h.do(call{path: "/api/v1/sales/" + sale + "/challenge", token: h.token("ann"), header: keyed("k")})
		return <-a.tasks
	}
	first := ask("retro-85")
	if first.Level != 0 || !first.Now.Equal(now) || first.Client.String() != "127.0.0.1" {
		t.Errorf("posed for %+v", first)
	}
	won := h.order("ann", "k", "solved")
	judged := <-a.tasks
	if id, _ := won.json["id"].(string); judged.Claim != first.Claim || id != first.Claim.String() {
		t.Errorf("posed for %s, judged for %s, and the order is %s", first.Claim, judged.Claim, won.body)
	}
	shown, _ := h.door.display("retro-85")
	for range 5000 {
		shown.difficulty.Note(now.UnixNano())
	}
	if busy, calm := ask("retro-85"), ask("other"); busy.Level != gate.LevelMax || calm.Level != 0 {
		t.Errorf("levels %d and %d, want %d in the sale that is pressed and 0 in the other", busy.Level, calm.Level, gate.LevelMax)
	}
	now = now.Add(time.Minute)
	if after := ask("retro-85"); after.Level != 0 {
		t.Errorf("a minute later level %d, want 0", after.Level)
	}
}

func TestOnlyAGuardedSalesPreflightAllowsTheSolution(t *testing.T) {
	never := sneakers()
	never.ID = "never"
	h := build(t).publish(guarded(), never).walk().work()
	h.door.Options.PageOrigins = []string{"*"}
	h.open()
	const usual = "Authorization, Content-Type, Idempotency-Key, Prefer"
	for path, want := range map[string]string{
		toRetro: usual + ", Doorbuster-Challenge", toChallengeOfRetro: usual,
		"/api/v1/sales/never/orders": usual, "/api/v1/sales/none/orders": usual, "/api/v1/orders": usual,
	} {
		got := h.do(call{method: http.MethodOptions, path: path, header: http.Header{"Origin": {"https://shop.example"}}})
		if allowed := got.header.Get("Access-Control-Allow-Headers"); allowed != want {
			t.Errorf("%s allows %q, want %q", path, allowed, want)
		}
	}
}
