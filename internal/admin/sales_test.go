package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

const saleURL = "/admin/api/v1/sales/retro-85"

func change(from, to string) string { return strings.Replace(sneakers, from, to, 1) }

func TestASaleIsPublishedChangedAndPublishedAgain(t *testing.T) {
	h := open(t)
	h.door.Warn = func(sale *shop.Sale, _ ledger.Published) []string { return []string{"mind " + sale.ID} }
	got := h.wants(h.ask("PUT", saleURL, sneakers), http.StatusCreated, `"id":"retro-85"`, `"phase":"scheduled"`, `"publication":"created","warnings":["mind retro-85"]`)
	if got.header.Get("Location") != saleURL {
		t.Errorf("Location is %q", got.header.Get("Location"))
	}
	h.wants(h.ask("PUT", saleURL, sneakers), http.StatusOK, `"stock":500`, `"publication":"unchanged","warnings":["mind`)
	h.wants(h.ask("PUT", saleURL, change("500", "600")), http.StatusOK, `"stock":600`, `"total":600`, `"publication":"changed"`)
	// Published before: it changes nothing, and says so.
	h.wants(h.ask("PUT", saleURL, sneakers), http.StatusOK, `"stock":600`, `"publication":"unchanged"`, "the sale is not as it says")
	if shown := h.ask("GET", saleURL, ""); strings.Contains(shown.body, "publication") || strings.Contains(shown.body, "warnings") {
		t.Errorf("a sale that is only shown: %s", shown.body)
	}
}

func TestASaleIsShownAsPublishedWithItsFigures(t *testing.T) {
	h := open(t)
	h.publish()
	h.order("eu-42", 3)
	h.order("sock", 2)
	got := h.wants(h.ask("GET", saleURL, ""), http.StatusOK)
	var sale map[string]any
	if err := json.Unmarshal([]byte(got.body), &sale); err != nil {
		t.Fatal(err)
	}
	delete(sale, "as_of")
	want := map[string]any{
		"id": "retro-85", "title": "Retro", "opens_at": "2036-12-01T02:00:00Z", "hold": "10m", "limit_per_buyer": 1.,
		"guests": false, "challenge": "never", "early": "normal", "phase": "scheduled",
		"items": []any{
			map[string]any{
				"sku": "eu-42", "title": "EU 42", "stock": 500., "price": map[string]any{"amount": 12900., "currency": "EUR"},
				"total": 500., "pool": 100., "granted": 397., "held": 3., "sold": 0., "withdrawn": 0.,
			},
			map[string]any{
				"sku": "sock", "title": "Sock", "stock": 2000., "price": map[string]any{"amount": 0., "currency": "EUR"},
				"total": 2000., "pool": 0., "granted": 1998., "held": 0., "sold": 2., "withdrawn": 0.,
			},
		},
	}
	if diff := cmp.Diff(want, sale); diff != "" {
		t.Errorf("sale (-want +got):\n%s", diff)
	}
	h.wants(h.ask("GET", "/admin/api/v1/sales", ""), http.StatusOK,
		`{"sales":[{"id":"retro-85","title":"Retro","phase":"scheduled","opens_at":"2036-12-01T02:00:00Z","total":2500,"pool":100,"granted":2395,"held":3,"sold":2,"withdrawn":0}]}`)
}

func TestAnEmptyHouseHasAnEmptyList(t *testing.T) {
	h := open(t)
	h.wants(h.ask("GET", "/admin/api/v1/sales", ""), http.StatusOK, `{"sales":[]}`)
}

func TestWhatIsNotASaleIsRefusedWithEveryReason(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		name, body string
		reasons    []string
	}{
		{"two faults", change("500", "-5")[:len(change("500", "-5"))-1] + `,"x":1}`, []string{"x: ", "items[0].stock: "}},
		{"another id", change("retro-85", "retro-86"), []string{`id: "retro-86" is not the name in the path`}},
		{"not JSON", "id: retro-85", []string{"not JSON"}},
		{"a list", "[]", []string{"not a JSON object"}},
		{"a duplicate", change(`"title"`, `"id":"retro-85","title"`), []string{"id: appears twice"}},
		{"other letters", change(`"title"`, `"Title"`), []string{"Title: is not a known field; write title", "title: missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := h.wants(h.ask("PUT", saleURL, c.body), http.StatusUnprocessableEntity)
			var p struct{ Reasons []string }
			if err := json.Unmarshal([]byte(got.body), &p); err != nil || len(p.Reasons) != len(c.reasons) {
				t.Fatalf("reasons %q, %v; want %d", p.Reasons, err, len(c.reasons))
			}
			for _, want := range c.reasons {
				if !slices.ContainsFunc(p.Reasons, func(r string) bool { return strings.Contains(r, want) }) {
					t.Errorf("no reason says %q: %q", want, p.Reasons)
				}
			}
		})
	}
	h.wants(h.ask("PUT", saleURL, ""), http.StatusUnprocessableEntity)
	h.wants(h.ask("PUT", saleURL, sneakers, "Content-Type", "text/yaml"), http.StatusUnsupportedMediaType, `"code":"unsupported_media_type"`)
	h.wants(h.ask("PUT", saleURL, sneakers, "Content-Type", ""), http.StatusUnsupportedMediaType)
	h.wants(h.ask("PUT", saleURL, strings.Repeat(" ", shop.DocumentMax+1)), http.StatusRequestEntityTooLarge, `"code":"too_large"`)
	h.wants(h.ask("PUT", saleURL, sneakers, "Content-Type", "application/json; charset=utf-8"), http.StatusCreated)
}

func TestABrokenPromiseIsRefusedWithEveryReason(t *testing.T) {
	h := open(t)
	h.publish()
	h.order("eu-42", 3)
	h.wants(h.ask("POST", saleURL+"/open", ""), http.StatusOK, `"phase":"open"`)
	broken := change(`"stock":500,"price":{"amount":12900`, `"stock":2,"price":{"amount":9900`)
	h.wants(h.ask("PUT", saleURL, broken), http.StatusConflict, `"code":"promise_broken"`, `"reasons":["stock of eu-42`, `"price of eu-42`)
	h.wants(h.ask("GET", saleURL, ""), http.StatusOK, `"stock":500`)
	// The ledger alone cannot withdraw what lies in a grant.
	h.wants(h.ask("PUT", saleURL, change("500", "50")), http.StatusConflict, `"reasons":["stock: more units`)
}

func TestVerbsMoveASaleAndASecondCallChangesNothing(t *testing.T) {
	h := open(t)
	h.publish()
	steps := []struct {
		verb   string
		status int
		phase  string
	}{
		{"pause", 409, ""},
		{"resume", 409, ""},
		{"open", 200, "open"},
		{"open", 200, "open"},
		{"pause", 200, "paused"},
		{"pause", 200, "paused"},
		{"open", 409, ""},
		{"resume", 200, "open"},
		{"resume", 200, "open"},
		{"close", 200, "closed"},
		{"close", 200, "closed"},
		{"open", 409, ""},
		{"pause", 409, ""},
		{"resume", 409, ""},
	}
	moved := 0
	for _, step := range steps {
		got := h.ask("POST", saleURL+"/"+step.verb, "")
		if step.status == http.StatusConflict {
			h.wants(got, step.status, `"code":"wrong_status"`, `"reasons":["`)
			continue
		}
		moved++
		h.wants(got, step.status, fmt.Sprintf(`"phase":%q`, step.phase))
	}
	if len(h.changed) != moved {
		t.Errorf("buyers were told %d times of %d moves", len(h.changed), moved)
	}
}

func TestAnAuditSaysWhatHolds(t *testing.T) {
	h := open(t)
	h.publish()
	h.door.Audit = func(context.Context, string) ([]audit.Result, error) {
		return []audit.Result{{ID: "I1", State: audit.Holds, Detail: "all"}, {ID: "I2", State: audit.Holds, Detail: "well"}}, nil
	}
	h.wants(h.ask("GET", saleURL+"/audit", ""), http.StatusOK,
		`{"ok":true,"invariants":[{"id":"I1","holds":true,"detail":"all"},{"id":"I2","holds":true,"detail":"well"}]}`)
	h.door.Audit = func(context.Context, string) ([]audit.Result, error) {
		return []audit.Result{{ID: "I1", State: audit.Holds}, {ID: "I2", State: audit.Broken, Detail: "sku eu-42"}}, nil
	}
	h.wants(h.ask("GET", saleURL+"/audit", ""), http.StatusOK, `"ok":false`, `{"id":"I2","holds":false,"detail":"sku eu-42"}`)
	h.door.Audit = func(context.Context, string) ([]audit.Result, error) { return nil, ledger.ErrNotFound }
	h.wants(h.ask("GET", "/admin/api/v1/sales/none/audit", ""), http.StatusNotFound)
}

func TestAFaultOfTheLedgerIsHiddenAndCanBeAskedAgain(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		err   error
		says  string
		reply int
	}{
		{fmt.Errorf("publish: %w", ledger.ErrFull), "disk is full", http.StatusServiceUnavailable},
		{errors.New("canary: disk I/O error"), "Asking again does no harm", http.StatusServiceUnavailable},
	} {
		h.door.Publisher = func(context.Context, shop.Sale) (ledger.Published, error) { return ledger.Same, c.err }
		got := h.wants(h.ask("PUT", saleURL, sneakers), c.reply, c.says, `"code":"unavailable"`)
		if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "canary") {
			t.Errorf("%v: %v", got.header, got.body)
		}
	}
}

func TestTheAnswersCanBeReadIntoTheTypesOfThePackage(t *testing.T) {
	h := open(t)
	h.publish()
	var sale admin.Sale
	if err := json.Unmarshal([]byte(h.ask("GET", saleURL, "").body), &sale); err != nil {
		t.Fatal(err)
	}
	if sale.ID != "retro-85" || len(sale.Items) != 2 || sale.Items[0].SKU != "eu-42" || sale.Items[0].Total != 500 {
		t.Errorf("got %+v", sale)
	}
}
