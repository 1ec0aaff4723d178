package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/audit"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
)

const token = "operators-token-for-tests"

const sneakers = `{"id":"retro-85","title":"Retro","opens_at":"2036-12-01T10:00:00+08:00",
	"items":[{"sku":"eu-42","title":"EU 42","stock":500,"price":{"amount":12900,"currency":"EUR"}},
	{"sku":"sock","title":"Sock","stock":2000,"price":{"amount":0,"currency":"EUR"}}]}`

// house is a door over a real ledger in a folder of the test's.
type house struct {
	*testing.T
	url     string
	door    *admin.Door
	ledger  *sqlite.Ledger
	changed []string
	filed   []shop.Entry
	seen    []gate.Suspect // in retro-85
	listed  int
	seq     int64
}

func open(t *testing.T) *house {
	t.Helper()
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := books.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{T: t, ledger: books}
	h.door = &admin.Door{
		Token: gate.NewSecret([]byte(token)), Publisher: books.Publish, Sales: books, Orders: books, Supply: books,
		Order: books.Order, Pay: books.Pay, Cancel: books.Cancel, Changed: func(sale string) { h.changed = append(h.changed, sale) },
		Audit:  func(ctx context.Context, _ string) ([]audit.Result, error) { return audit.Offline(ctx, books) },
		Health: func() admin.Health { return admin.Health{Ready: true} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "doorbuster_ready 1\n")
		}),
		Log: slog.New(slog.DiscardHandler), Lists: books, Now: time.Now,
		Filed: func() []shop.Entry { return h.filed }, Listed: func() { h.listed++ },
		Suspects: func(sale string) []gate.Suspect {
			if sale == "" || sale == "retro-85" {
				return h.seen
			}
			return nil
		},
	}
	server := httptest.NewServer(h.door.Handler())
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// said is what the door answered.
type said struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with the token and what the pairs set in the header.
func (h *house) ask(method, path, body string, pairs ...string) said {
	h.Helper()
	request, err := http.NewRequestWithContext(h.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		request.Header.Del(pairs[i])
		if pairs[i+1] != "" {
			request.Header.Set(pairs[i], pairs[i+1])
		}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.Fatal(err)
	}
	return said{response.StatusCode, response.Header, string(text)}
}

func (h *house) wants(got said, status int, contains ...string) said {
	h.Helper()
	if got.status != status {
		h.Fatalf("status %d, want %d: %s", got.status, status, got.body)
	}
	for _, part := range contains {
		if !strings.Contains(got.body, part) {
			h.Errorf("no %s in %s", part, got.body)
		}
	}
	if status >= 400 {
		h.isProblem(got)
	}
	return got
}

// isProblem checks the form that every no has.
func (h *house) isProblem(got said) {
	h.Helper()
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		h.Errorf("%v: %s", err, got.body)
	}
	if got.header.Get("Content-Type") != "application/problem+json" || p.Status != got.status ||
		p.Type == "" || p.Title == "" || p.Detail == "" || p.Code == "" {
		h.Errorf("not a problem: %d %s %s", got.status, got.header.Get("Content-Type"), got.body)
	}
}

func (h *house) publish() {
	h.Helper()
	h.wants(h.ask("PUT", "/admin/api/v1/sales/retro-85", sneakers), http.StatusCreated)
	bucket := shop.Bucket{Sale: "retro-85"}
	if _, err := h.ledger.Bump(h.Context(), bucket, 0); err != nil {
		h.Fatal(err)
	}
	for _, grant := range []ledger.Grant{{SKU: "eu-42", Quantity: 400}, {SKU: "sock", Quantity: 2000}} {
		if _, err := h.ledger.Grant(h.Context(), bucket, 1, grant); err != nil {
			h.Fatal(err)
		}
	}
}

// order brings tickets of new buyers through the ledger and returns the ids.
func (h *house) order(sku string, count int) []string {
	h.Helper()
	tickets := make([]shop.Ticket, count)
	for i := range tickets {
		h.seq++
		tickets[i] = shop.Ticket{
			Claim: shop.ClaimID{byte(h.seq >> 8), byte(h.seq), 15: 7}, Bucket: shop.Bucket{Sale: "retro-85"}, Epoch: 1, Seq: h.seq,
			Nonce: uint64(h.seq), Buyer: fmt.Sprintf("=buyer-%d", h.seq), SKU: sku, Quantity: 1, At: time.Now(),
		}
	}
	decisions, err := h.ledger.Decide(h.Context(), tickets)
	if err != nil {
		h.Fatal(err)
	}
	ids := make([]string, count)
	for i, decision := range decisions {
		ids[i] = decision.Order.ID.String()
	}
	return ids
}

func TestWithoutTheTokenThereIsOneAnswer(t *testing.T) {
	h := open(t)
	h.publish()
	var first said
	for i, wrong := range []string{
		"", "Bearer", "Bearer ", "Bearer x", "Basic " + token, token, "Bearer " + token + "x", "Bearer " + token[1:], "Bearer  " + token,
	} {
		for _, path := range []string{"/sales", "/sales/retro-85", "/sales/none", "/nothing", "/orders/x/paid"} {
			got := h.ask("GET", "/admin/api/v1"+path, "", "Authorization", wrong)
			h.wants(got, http.StatusUnauthorized, `"code":"unauthorized"`)
			got.header.Del("Date")
			if i == 0 && path == "/sales" {
				first = got
			}
			if got.body != first.body || fmt.Sprint(got.header) != fmt.Sprint(first.header) {
				t.Errorf("%q at %s: another answer: %v", wrong, path, got)
			}
		}
	}
	h.wants(h.ask("GET", "/admin/api/v1/sales", "", "Authorization", "bearer "+token), http.StatusOK)
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	h := open(t)
	h.publish()
	for _, path := range []string{
		"/", "/admin", "/admin/", "/admin/api/v1", "/admin/api/v1/", "/admin/api/v1/sales/", "/admin/api/v2/sales", "/livez/", "/admin/api/v1/../v1/sales",
		"/admin//api/v1/sales", "/admin/api/v1/sales/%2e%2e", "/admin/api/v1/sales/a%2fb", "/admin/api/v1/sales/none", "/admin/api/v1/sales/%00",
		"/admin/api/v1/sales/none/orders", "/favicon.ico",
	} {
		h.wants(h.ask("GET", path, ""), http.StatusNotFound, `"code":"not_found"`)
	}
	h.wants(h.ask("POST", "/admin/api/v1/sales/retro-85/delete", ""), http.StatusNotFound)
	h.wants(h.ask("POST", "/admin/api/v1/sales/none/open", ""), http.StatusNotFound)
}

func TestAnotherMethodIsToldWhichThereAre(t *testing.T) {
	h := open(t)
	for path, allow := range map[string]string{
		"/admin/api/v1/sales": "GET, HEAD", "/admin/api/v1/sales/x": "GET, PUT, HEAD", "/admin/api/v1/sales/x/open": "POST",
		"/admin/api/v1/orders/x/paid": "POST", "/livez": "GET, HEAD", "/metrics": "GET, HEAD",
	} {
		got := h.wants(h.ask("DELETE", path, ""), http.StatusMethodNotAllowed, `"code":"method_not_allowed"`)
		if got.header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q, want %q", path, got.header.Get("Allow"), allow)
		}
	}
	if got := h.ask("HEAD", "/admin/api/v1/sales", ""); got.status != http.StatusOK || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

func TestHealthIsForEverybodyWhoReachesTheDoor(t *testing.T) {
	h := open(t)
	h.wants(h.ask("GET", "/livez", "", "Authorization", ""), http.StatusOK, "ok")
	h.wants(h.ask("GET", "/readyz", "", "Authorization", ""), http.StatusOK, `{"ready":true,"reasons":[]}`)
	h.door.Health = func() admin.Health { return admin.Health{Reasons: []string{"stopping"}} }
	for _, path := range []string{"/readyz", "/healthz"} {
		if got := h.ask("GET", path, "", "Authorization", ""); got.status != http.StatusServiceUnavailable || got.body != `{"ready":false,"reasons":["stopping"]}` {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	h.wants(h.ask("GET", "/livez", ""), http.StatusOK)
	h.wants(h.ask("GET", "/metrics", "", "Authorization", ""), http.StatusOK, "doorbuster_ready 1")
}

func TestProfilesAreForWhoIsNearOrBearsTheToken(t *testing.T) {
	handler := open(t).door.Handler()
	for _, c := range []struct {
		name, peer, host string
		header           []string
		status           int
	}{
		{"this machine", "127.0.0.1:5000", "127.0.0.1:8081", nil, http.StatusOK},
		{"this machine by name", "[::1]:5000", "localhost:8081", nil, http.StatusOK},
		{"a proxy on this machine", "127.0.0.1:5000", "127.0.0.1:8081", []string{"X-Forwarded-For", "203.0.113.9"}, http.StatusUnauthorized},
		{"one that says little", "127.0.0.1:5000", "127.0.0.1:8081", []string{"X-Forwarded-Proto", "https"}, http.StatusUnauthorized},
		{"one that names itself", "127.0.0.1:5000", "127.0.0.1:8081", []string{"Via", "1.1 edge"}, http.StatusUnauthorized},
		{"a page in a browser on this machine", "127.0.0.1:5000", "127.0.0.1:8081", []string{"Origin", "https://evil.example"}, http.StatusUnauthorized},
		{"a name bent to this machine", "127.0.0.1:5000", "evil.example:8081", nil, http.StatusUnauthorized},
		{"another machine", "203.0.113.9:5000", "127.0.0.1:8081", nil, http.StatusUnauthorized},
		{"another machine with the token", "203.0.113.9:5000", "db.example", []string{"Authorization", "Bearer " + token}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine"} {
				request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				request.RemoteAddr, request.Host = c.peer, c.host
				if c.header != nil {
					request.Header.Set(c.header[0], c.header[1])
				}
				recorder := httptest.NewRecorder()
				handler.ServeHTTP(recorder, request)
				if recorder.Code != c.status {
					t.Errorf("%s: %d, want %d", path, recorder.Code, c.status)
				}
			}
		})
	}
}
