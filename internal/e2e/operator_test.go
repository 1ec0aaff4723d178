package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// operator speaks to a node's operators' API.
type operator struct {
	base, token string
	pick        func() string // the base of this moment, where any of several nodes will do
	client      *http.Client
}

func (n *node) operator() *operator {
	return &operator{base: n.operators + "/admin/api/v1", token: adminToken, client: &http.Client{Timeout: 30 * time.Second}}
}

// item is one item of a sale, with its accounts where the node tells them.
type item struct {
	SKU   string `json:"sku"`
	Title string `json:"title"`
	Stock int64  `json:"stock"`
	Price price  `json:"price"`

	accounts
}

type accounts struct {
	Total     int64 `json:"total"`
	Pool      int64 `json:"pool"`
	Granted   int64 `json:"granted"`
	Held      int64 `json:"held"`
	Sold      int64 `json:"sold"`
	Withdrawn int64 `json:"withdrawn"`
}

func (a *accounts) add(b accounts) {
	a.Total += b.Total
	a.Pool += b.Pool
	a.Granted += b.Granted
	a.Held += b.Held
	a.Sold += b.Sold
	a.Withdrawn += b.Withdrawn
}

// free is what can still be bought.
func (a accounts) free() int64 { return a.Pool + a.Granted }

// leak is how many units are missing.
func (a accounts) leak() int64 {
	return a.Total - a.Pool - a.Granted - a.Held - a.Sold - a.Withdrawn
}

type price struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// sale is a sale document, and what operators see of one.
type sale struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	OpensAt  time.Time `json:"opens_at"`
	ClosesAt string    `json:"closes_at,omitempty"`
	Hold     string    `json:"hold"`
	Limit    int64     `json:"limit_per_buyer"`
	Items    []item    `json:"items"`
	Phase    string    `json:"phase,omitempty"`
}

// newSale is a sale that is open, with so many units of each SKU.
func newSale(id string, limit int64, stock map[string]int64) *sale {
	s := &sale{ID: id, Title: "Sale " + id, OpensAt: time.Now().Add(-time.Second).Truncate(time.Millisecond), Hold: "30s", Limit: limit}
	for _, sku := range sorted(stock) {
		s.Items = append(s.Items, item{SKU: sku, Title: "Size " + sku, Stock: stock[sku], Price: price{1234, "EUR"}})
	}
	return s
}

// document is the sale as it is published: without accounts and phase.
func (s *sale) document() map[string]any {
	items := make([]map[string]any, 0, len(s.Items))
	for _, i := range s.Items {
		items = append(items, map[string]any{"sku": i.SKU, "title": i.Title, "stock": i.Stock, "price": i.Price})
	}
	document := map[string]any{
		"id": s.ID, "title": s.Title, "opens_at": s.OpensAt.Format(time.RFC3339Nano),
		"hold": s.Hold, "limit_per_buyer": s.Limit, "items": items,
	}
	if s.ClosesAt != "" {
		document["closes_at"] = s.ClosesAt
	}
	return document
}

func (s *sale) item(sku string) *item {
	for i := range s.Items {
		if s.Items[i].SKU == sku {
			return &s.Items[i]
		}
	}
	return nil
}

// sum adds up the accounts of all items.
func (s *sale) sum() accounts {
	var all accounts
	for _, i := range s.Items {
		all.add(i.accounts)
	}
	return all
}

// as asks with another token than the right one.
func (o *operator) as(token, method, path string) (int, []byte, error) {
	other := *o
	other.token = token
	return other.do(method, path, nil)
}

// do sends one request; an error means that there was no answer.
func (o *operator) do(method, path string, body any) (int, []byte, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(data)
	}
	base := o.base
	if o.pick != nil {
		base = o.pick()
	}
	request, err := http.NewRequest(method, base+path, reader)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+o.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	got, err := do(o.client, request)
	return got.status, got.body, err
}

// must sends one request that has to be answered with one of the statuses,
// and decodes the answer into target unless that is nil.
func (o *operator) must(t *testing.T, method, path string, body, target any, statuses ...int) {
	t.Helper()
	status, answer, err := o.do(method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range statuses {
		if status != want {
			continue
		}
		if target != nil {
			if err := json.Unmarshal(answer, target); err != nil {
				t.Fatalf("%s %s: %v in %s", method, path, err, answer)
			}
		}
		return
	}
	t.Fatalf("%s %s: got %d %s, want %v", method, path, status, answer, statuses)
}

// publish puts the sale, new or changed.
func (o *operator) publish(t *testing.T, s *sale) {
	t.Helper()
	o.must(t, http.MethodPut, "/sales/"+s.ID, s.document(), nil, http.StatusCreated, http.StatusOK)
}

// sale reads how a sale stands.
func (o *operator) sale(t *testing.T, id string) *sale {
	t.Helper()
	s := &sale{}
	o.must(t, http.MethodGet, "/sales/"+id, nil, s, http.StatusOK)
	return s
}

// move asks for a phase: open, pause, resume or close.
func (o *operator) move(t *testing.T, id, verb string) {
	t.Helper()
	o.must(t, http.MethodPost, "/sales/"+id+"/"+verb, nil, nil, http.StatusOK)
}

// orders reads every order of a sale, by its id.
func (o *operator) orders(t *testing.T, id string) map[string]*order {
	t.Helper()
	all := map[string]*order{}
	for after := ""; ; {
		var page struct {
			Orders []*order `json:"orders"`
			Next   *string  `json:"next"`
		}
		o.must(t, http.MethodGet, "/sales/"+id+"/orders?limit=1000&after="+url.QueryEscape(after), nil, &page, http.StatusOK)
		for _, each := range page.Orders {
			if all[each.ID] != nil {
				t.Fatalf("order %s is listed twice", each.ID)
			}
			all[each.ID] = each
		}
		if page.Next == nil {
			return all
		}
		after = *page.Next
	}
}

// paid reports the merchant's own payment.
func (o *operator) paid(id, reference string) error {
	status, answer, err := o.do(http.MethodPost, "/orders/"+id+"/paid", map[string]string{"reference": reference})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("paid: %d %s", status, answer)
	}
	return err
}

// audit wants every invariant of the sale to hold as the node sees it.
func (o *operator) audit(t *testing.T, id string) {
	t.Helper()
	within(t, readyMax, func() error { // a grant may be on its way
		var report struct {
			OK         bool `json:"ok"`
			Invariants []struct {
				ID     string `json:"id"`
				Holds  bool   `json:"holds"`
				Detail string `json:"detail"`
			} `json:"invariants"`
		}
		o.must(t, http.MethodGet, "/sales/"+id+"/audit", nil, &report, http.StatusOK)
		if !report.OK || len(report.Invariants) < 9 {
			return fmt.Errorf("audit of %s: %+v", id, report)
		}
		return nil
	})
}

// reply is an answer that has come in whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; an error means that no whole answer came.
func do(client *http.Client, request *http.Request) (reply, error) {
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body) // to its end: the connection is used again
	if err != nil {
		return reply{}, err
	}
	return reply{response.StatusCode, response.Header, body}, nil
}
