package admin_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type page struct {
	Orders []map[string]any `json:"orders"`
	Next   *string          `json:"next"`
}

func (h *house) list(query string) page {
	h.Helper()
	var p page
	got := h.wants(h.ask("GET", saleURL+"/orders"+query, ""), http.StatusOK)
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		h.Fatalf("%v: %s", err, got.body)
	}
	return p
}

func TestOrdersAreListedPageByPageNewestLast(t *testing.T) {
	h := open(t)
	h.publish()
	want := h.order("eu-42", 7)
	var got []string
	query, pages := "?limit=3", 0
	for {
		p := h.list(query)
		pages++
		for _, order := range p.Orders {
			got = append(got, order["id"].(string))
		}
		if p.Next == nil {
			break
		}
		query = "?limit=3&after=" + *p.Next
	}
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d pages with %v, want 3 with %v", pages, got, want)
	}
	if p := h.list("?limit=7"); p.Next != nil || len(p.Orders) != 7 {
		t.Errorf("a page that holds them all: %d orders, next %v", len(p.Orders), p.Next)
	}
}

func TestAnOrderIsShownWithBuyerAndReference(t *testing.T) {
	h := open(t)
	h.publish()
	id := h.order("eu-42", 1)[0]
	order := h.list("").Orders[0]
	for _, name := range []string{"id", "sale", "buyer", "sku", "quantity", "status", "amount", "currency", "created_at", "pay_by", "as_of", "reference"} {
		if _, ok := order[name]; !ok {
			t.Errorf("no %s in %v", name, order)
		}
	}
	if order["id"] != id || order["status"] != "awaiting_payment" || order["amount"] != 12900. || order["buyer"] != "=buyer-1" || order["pay_by"] == nil {
		t.Errorf("got %v", order)
	}
}

// TestMoneyThatCameTwiceIsNeverLost: a merchant whose first answer got lost hears
// the same again, and finds the money with the order.
func TestMoneyThatCameTwiceIsNeverLost(t *testing.T) {
	h := open(t)
	h.publish()
	url := "/admin/api/v1/orders/" + h.order("eu-42", 1)[0]
	h.wants(h.ask("GET", url, ""), http.StatusOK, `"status":"awaiting_payment"`, `"charges":[]`)
	for range 2 {
		h.wants(h.ask("POST", url+"/paid", `{"reference":"first"}`), http.StatusOK, `"status":"paid"`)
		h.wants(h.ask("POST", url+"/paid", `{"reference":"second"}`), http.StatusConflict, `"code":"wrong_status"`, "due for refund")
	}
	h.wants(h.ask("GET", url, ""), http.StatusOK, `"reference":"first"`,
		`"charges":[{"reference":"first","amount":12900,"currency":"EUR","refund_due":false,`, `{"reference":"second","amount":12900,"currency":"EUR","refund_due":true,`)
	h.wants(h.ask("GET", "/admin/api/v1/orders/"+strings.Repeat("0", 32), ""), http.StatusNotFound)
	h.wants(h.ask("GET", "/admin/api/v1/orders/7", ""), http.StatusNotFound)
}

func TestOrdersAreListedByStatus(t *testing.T) {
	h := open(t)
	h.publish()
	h.order("eu-42", 2)
	h.order("sock", 1)
	for status, want := range map[string]int{"paid": 1, "awaiting_payment": 2, "expired": 0, "pending": 0} {
		if got := len(h.list("?status=" + status).Orders); got != want {
			t.Errorf("%s: %d orders, want %d", status, got, want)
		}
	}
}

func TestAWrongListIsRefused(t *testing.T) {
	h := open(t)
	h.publish()
	for _, query := range []string{
		"?limit=0", "?limit=1001", "?limit=x", "?limit=", "?status=Paid", "?status=", "?after=!", "?stauts=paid", "?limit=1&limit=2",
	} {
		h.wants(h.ask("GET", saleURL+"/orders"+query, ""), http.StatusBadRequest, `"code":"malformed"`)
	}
}

func TestACSVHoldsEveryOrderAndNoFormula(t *testing.T) {
	h := open(t)
	h.publish()
	const orders = 1203 // more than one page of the ledger
	h.order("sock", orders-1)
	id := h.order("eu-42", 1)[0]
	h.wants(h.ask("POST", "/admin/api/v1/orders/"+id+"/paid", `{"reference":"@SUM(1)"}`), http.StatusOK)
	got := h.wants(h.ask("GET", saleURL+"/orders", "", "Accept", "text/html;q=0.1, Text/CSV ; q=0.9"), http.StatusOK)
	if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/csv") {
		t.Errorf("Content-Type is %q", kind)
	}
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := "id,sale,buyer,sku,quantity,status,reason,amount,currency,created_at,pay_by,as_of,reference"; strings.Join(rows[0], ",") != want {
		t.Errorf("header is %v", rows[0])
	}
	last := rows[len(rows)-1]
	if len(rows) != orders+1 || last[0] != id || last[2] != "'=buyer-1203" || last[5] != "paid" || last[7] != "12900" || last[12] != "'@SUM(1)" {
		t.Errorf("%d rows, the last %q", len(rows), last)
	}
	paid := h.ask("GET", saleURL+"/orders?status=awaiting_payment", "", "Accept", "text/csv")
	if lines := strings.Count(paid.body, "\n"); lines != 1 {
		t.Errorf("%d lines of unpaid orders, want the header alone", lines)
	}
	h.wants(h.ask("GET", saleURL+"/orders", "", "Accept", "text/csv;q=0"), http.StatusOK, `{"orders":[`)
	h.wants(h.ask("GET", "/admin/api/v1/sales/none/orders", "", "Accept", "text/csv"), http.StatusNotFound)
}

// failing is a ledger whose second page cannot be read.
type failing struct{ ledger.Orders }

func (f failing) List(ctx context.Context, query ledger.Query) ([]shop.Order, string, error) {
	if query.After != "" {
		return nil, "", errors.New("disk I/O error")
	}
	query.Limit = 1
	return f.Orders.List(ctx, query)
}

func TestACSVThatFailsHalfWayBreaksOff(t *testing.T) {
	h := open(t)
	h.publish()
	h.order("sock", 2)
	h.door.Orders = failing{h.ledger}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+saleURL+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "text/csv")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return // broken off before the header went out
	}
	defer func() { _ = response.Body.Close() }()
	if text, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("half a list came as a whole one:\n%s", text)
	}
}

func TestTheMerchantsCashierReportsPayment(t *testing.T) {
	h := open(t)
	h.publish()
	id := h.order("eu-42", 1)[0]
	url := "/admin/api/v1/orders/" + id
	for range 2 {
		h.wants(h.ask("POST", url+"/paid", `{"reference":"till-7"}`), http.StatusOK, `"status":"paid"`, `"reference":"till-7"`, `"pay_by":null`)
	}
	h.wants(h.ask("POST", url+"/paid", `{"reference":"till-8"}`), http.StatusConflict, `"code":"wrong_status"`)
	h.wants(h.ask("POST", url+"/refunded", `{"reference":"back-1"}`), http.StatusConflict, `"code":"wrong_status"`)
	for range 2 {
		h.wants(h.ask("POST", url+"/cancel", `{"reason":"fell off the lorry","restock":true}`), http.StatusOK, `"status":"refund_due"`)
	}
	h.wants(h.ask("GET", saleURL, ""), http.StatusOK, `"sku":"eu-42","title":"EU 42","stock":500,"price":{"amount":12900,"currency":"EUR"},"total":500,"pool":101`)
	for range 2 {
		h.wants(h.ask("POST", url+"/refunded", `{"reference":"back-1"}`), http.StatusOK, `"status":"refunded"`)
	}
}

func TestAnUnpaidOrderIsCancelledWithoutABody(t *testing.T) {
	h := open(t)
	h.publish()
	id := h.order("eu-42", 1)[0]
	h.wants(h.ask("POST", "/admin/api/v1/orders/"+id+"/cancel", ""), http.StatusOK, `"status":"cancelled"`)
}

func TestAWrongReportIsRefused(t *testing.T) {
	h := open(t)
	h.publish()
	url := "/admin/api/v1/orders/" + h.order("eu-42", 1)[0]
	for _, body := range []string{
		"", "{}", `{"reference":""}`, `{"reference":"  "}`, `{"reference":null}`, `{"reference":7}`, `{"Reference":"a"}`, `{"reference":"a","reference":"b"}`,
		`{"reference":"a","amount":1}`, `{"reference":"a\nb"}`, `{"reference":"` + strings.Repeat("x", 201) + `"}`, `[]`, `{"reference":"a"} x`,
	} {
		h.wants(h.ask("POST", url+"/paid", body), http.StatusBadRequest, `"code":"malformed"`)
		h.wants(h.ask("POST", url+"/refunded", body), http.StatusBadRequest)
	}
	h.wants(h.ask("POST", url+"/cancel", `{"restock":"yes"}`), http.StatusBadRequest)
	h.wants(h.ask("POST", url+"/cancel", `{"reason":"`+strings.Repeat("x", 201)+`"}`), http.StatusBadRequest)
	h.wants(h.ask("POST", url+"/paid", `{"reference":"`+strings.Repeat("x", 5000)+`"}`), http.StatusRequestEntityTooLarge)
	h.wants(h.ask("POST", url+"/paid", `reference=a`, "Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType)
	for _, id := range []string{"x", strings.Repeat("0", 32), strings.ToUpper(url[len(url)-32:])} {
		if id == url[len(url)-32:] {
			continue
		}
		h.wants(h.ask("POST", "/admin/api/v1/orders/"+id+"/paid", `{"reference":"a"}`), http.StatusNotFound)
	}
	if got := h.list("").Orders[0]["status"]; got != "awaiting_payment" {
		t.Errorf("after all this the order is %v", got)
	}
}
