package wire_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/wire"
)

func order() shop.Order {
	return shop.Order{
		ID: shop.ClaimID{0xab, 15: 1}, Sale: "retro-85", Buyer: `b"1`, SKU: "eu-42", Quantity: 2,
		Status: shop.AwaitingPayment, Amount: 25800, Currency: "EUR",
		CreatedAt: time.Date(2026, 12, 1, 10, 0, 0, 7_900_000, time.FixedZone("", 8*3600)),
		PayBy:     time.Date(2026, 12, 1, 2, 10, 0, 0, time.UTC), AsOf: 17, Reference: "r-1",
	}
}

func TestABuyerSeesTheOrderOfTheContract(t *testing.T) {
	o := order()
	want := `{"id":"ab000000000000000000000000000001","sale":"retro-85","sku":"eu-42","quantity":2,` +
		`"status":"awaiting_payment","amount":25800,"currency":"EUR","created_at":"2026-12-01T02:00:00.007Z",` +
		`"pay_by":"2026-12-01T02:10:00.000Z","as_of":17}`
	if got := string(wire.AppendOrder(nil, &o, false)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnOperatorAlsoSeesBuyerAndReference(t *testing.T) {
	o := order()
	o.Status, o.Reason, o.PayBy, o.Reference = shop.Refused, shop.SoldOut, time.Time{}, ""
	want := `{"id":"ab000000000000000000000000000001","sale":"retro-85","buyer":"b\"1","sku":"eu-42","quantity":2,` +
		`"status":"refused","reason":"sold_out","amount":25800,"currency":"EUR","created_at":"2026-12-01T02:00:00.007Z",` +
		`"pay_by":null,"as_of":17,"reference":null}`
	if got := string(wire.AppendOrder(nil, &o, true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStringsAreReadBackByAnyJSONReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\x00\x1f\x7f\"\\/\n\r\t\u2028\u2029\ufffd<é🎟")))).Draw(t, "s")
		var got string
		if err := json.Unmarshal(wire.AppendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if got != strings.ToValidUTF8(s, "\ufffd") {
			t.Fatalf("got %q, want %q", got, s)
		}
	})
}

func TestBytesThatAreNotUTF8BecomeTheReplacementCharacter(t *testing.T) {
	if got, want := string(wire.AppendString(nil, "a\xffb\xe2\x80")), `"a\ufffdb\ufffd\ufffd"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMomentsAreRFC3339(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms"))
		got := string(wire.AppendMoment(nil, at))
		if want := at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestEveryCodeHasItsStatusAndTitle(t *testing.T) {
	want := map[shop.Code]int{
		"malformed": 400, "unauthorized": 401, "forbidden": 403, "challenge_required": 403, "pass_required": 403,
		"not_found": 404, "method_not_allowed": 405, "too_large": 413, "unsupported_media_type": 415,
		"not_open": 409, "closed": 409, "paused": 409, "sold_out": 409, "not_enough": 409, "missed": 409,
		"limit_reached": 409, "wrong_status": 409, "key_reused": 422, "too_many_requests": 429,
		"overloaded": 503, "unavailable": 503,
	}
	got, titles := map[shop.Code]int{}, map[string]shop.Code{wire.Title("new"): "new"}
	for _, code := range shop.Codes() {
		got[code] = wire.Status(code)
		title := wire.Title(code)
		if other, twice := titles[title]; twice {
			t.Errorf("%s and %s share the title %q", code, other, title)
		}
		titles[title] = code
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if wire.Status("new") != http.StatusInternalServerError {
		t.Error("a code without a status must show as a fault of ours")
	}
}

func TestARefusalCarriesWhatItsCodePromises(t *testing.T) {
	o := order()
	for _, c := range []struct {
		name string
		no   shop.Refusal
		want string
	}{
		{
			"an empty detail is the title",
			shop.Refusal{Code: shop.SalePaused},
			`{"type":"/problems/paused","title":"The sale is paused","status":409,"detail":"The sale is paused.","code":"paused"}`,
		},
		{
			"sold out for good",
			shop.Refusal{Code: shop.SoldOut, Detail: "All gone.", AsOf: 9},
			`{"type":"/problems/sold_out","title":"Sold out","status":409,"detail":"All gone.","code":"sold_out","may_return":false,"as_of":9}`,
		},
		{
			"sold out for now",
			shop.Refusal{Code: shop.SoldOut, Detail: "Held.", MayReturn: true},
			`{"type":"/problems/sold_out","title":"Sold out","status":409,"detail":"Held.","code":"sold_out","may_return":true}`,
		},
		{
			"a limit with its orders",
			shop.Refusal{Code: shop.LimitReached, Detail: "One a person.", Orders: []shop.ClaimID{o.ID}},
			`{"type":"/problems/limit_reached","title":"The limit per buyer is reached","status":409,"detail":"One a person.",` +
				`"code":"limit_reached","orders":["ab000000000000000000000000000001"]}`,
		},
		{
			"a challenge",
			shop.Refusal{Code: shop.ChallengeRequired, Detail: "Solve it.", Challenge: "/api/v1/sales/s/challenge"},
			`{"type":"/problems/challenge_required","title":"A challenge has to be solved first","status":403,"detail":"Solve it.",` +
				`"code":"challenge_required","challenge":"/api/v1/sales/s/challenge"}`,
		},
		{
			"decided",
			shop.Refusal{Code: shop.Missed, Detail: "Gone.", Order: &o},
			`{"type":"/problems/missed","title":"The last unit went to someone else","status":409,"detail":"Gone.","code":"missed","order":` +
				string(wire.AppendOrder(nil, &o, false)) + `}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(wire.AppendRefusal(nil, &c.no)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAProblemListsItsReasons(t *testing.T) {
	got := string(wire.AppendProblem(nil, wire.Problem{Status: 422, Code: "not_a_sale", Title: "T", Detail: "D", Reasons: []string{"a", `b"`}}))
	want := `{"type":"/problems/not_a_sale","title":"T","status":422,"detail":"D","code":"not_a_sale","reasons":["a","b\""]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWritingIntoABufferAllocatesNothing(t *testing.T) {
	o := order()
	no := shop.Refusal{Code: shop.LimitReached, Detail: "One a person.", Orders: []shop.ClaimID{o.ID}, Order: &o}
	buffer := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { _ = wire.AppendOrder(buffer, &o, true); _ = wire.AppendRefusal(buffer, &no) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkAppendOrder(b *testing.B) {
	o := order()
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		_ = wire.AppendOrder(buffer, &o, false)
	}
}
