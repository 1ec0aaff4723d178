package browsertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// fake speaks the buyers' contract and nothing else: enough to bring the page
// into each of its states at will. The real node is walked elsewhere.
type fake struct {
	*httptest.Server
	sale  shop.Sale
	pages *page.Pages

	mu       sync.Mutex
	phase    string
	opensAt  time.Time
	closesAt time.Time
	states   map[string]string // sku → state; absent: available
	forGood  bool              // what is sold out stays so
	stale    time.Duration     // how old the state is that a cache hands out
	pass     string            // the opening key; empty: none is wanted
	copies   *copies           // what a cache before the state did; nil: there is none
	down     bool              // the state is not to be had
	orders   map[string]*order
	keys     map[string]string // buyer and key → order
	script   []reply           // what the next POSTs of orders meet first
	posts    []post
	inFlight int
	most     int // POSTs in flight at once, at most
	polls    int
	cors     string // the origin of pages that live elsewhere
	sandbox  page.SandboxState
	guests   int
	pose     http.HandlerFunc // answers who asks for a challenge
}

type order struct {
	ID        string  `json:"id"`
	Sale      string  `json:"sale"`
	SKU       string  `json:"sku"`
	Quantity  int64   `json:"quantity"`
	Status    string  `json:"status"`
	Reason    string  `json:"reason,omitempty"`
	Amount    int64   `json:"amount"`
	Currency  string  `json:"currency"`
	CreatedAt string  `json:"created_at"`
	PayBy     *string `json:"pay_by"`
	AsOf      int64   `json:"as_of"`
	buyer     string
}

// reply is what a POST meets instead of, or before, the ordinary answer.
type reply struct {
	status   int
	code     string
	after    string         // Retry-After
	more     map[string]any // further members of the problem
	lose     bool           // the order is made, the answer is cut
	refuse   bool           // the connection is cut before anything is done
	hold     chan struct{}  // the answer waits for it
	pending  bool           // 202; settle decides later
	decision string         // refused order of a 409
}

type post struct {
	key, token string
	body       string
	opening    string
	proof      string // of a challenge
}

func sneakers() shop.Sale {
	sale := shop.Sale{
		ID: "retro-85", Title: "Retro High ’85",
		Description:   "The 1985 original, rebuilt from the first last. Full-grain leather, waxed laces, one colourway, one morning.",
		LimitPerBuyer: 1, Hold: 10 * time.Minute, Guests: true,
	}
	for _, size := range []string{"40", "41", "42", "43", "44", "45"} {
		sale.Items = append(sale.Items, shop.Item{
			SKU: "eu-" + size, Title: "EU " + size, Stock: 500,
			Price: shop.Money{Amount: 12900, Currency: "EUR"},
		})
	}
	return sale
}

func newFake(t *testing.T, change func(*shop.Sale)) *fake {
	t.Helper()
	f := &fake{sale: sneakers(), phase: "open", states: map[string]string{}, orders: map[string]*order{}, keys: map[string]string{}}
	f.opensAt = time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	f.sale.OpensAt = f.opensAt.UTC()
	if change != nil {
		change(&f.sale)
	}
	var err error
	if f.pages, err = page.New(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /s/{sale}", f.servePage)
	mux.HandleFunc("GET /assets/{name}", f.serveAsset)
	mux.HandleFunc("GET /s/{sale}/state.json", f.serveState)
	mux.HandleFunc("POST /api/v1/guests", f.serveGuest)
	mux.HandleFunc("POST /api/v1/sales/{sale}/orders", f.servePost)
	mux.HandleFunc("GET /api/v1/sales/{sale}/challenge", f.servePose)
	mux.HandleFunc("GET /api/v1/orders/{id}", f.serveOrder)
	mux.HandleFunc("POST /api/v1/orders/{id}/{verb}", f.serveVerb)
	mux.HandleFunc("GET /pay", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<title>Cashier</title>")) })
	mux.HandleFunc("GET /sandbox", f.serveSandbox)
	f.Server = httptest.NewServer(f.allow(mux))
	t.Cleanup(f.CloseClientConnections)
	t.Cleanup(f.Close)
	return f
}

// allow answers pages of another origin as the contract says.
func (f *fake) allow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		origin := f.cors
		f.mu.Unlock()
		if origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Prefer, Doorbuster-Challenge")
			w.Header().Set("Access-Control-Expose-Headers", "Location, Retry-After, Date, Age")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *fake) page() string { return f.URL + "/s/" + f.sale.ID }

func (f *fake) servePage(w http.ResponseWriter, _ *http.Request) {
	document, err := f.pages.Render(f.sale)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", page.ContentType)
	w.Header().Set("Content-Security-Policy", document.Policy)
	_, _ = w.Write(document.Body)
}

func (f *fake) serveSandbox(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	document, err := f.pages.SandboxPage(page.Sandbox{
		State: f.sandbox, Title: f.sale.Title, Item: "EU 42", Quantity: 1, Amount: 12900, Currency: "EUR",
		PayBy: time.Now().Add(f.sale.Hold), PayURL: "/sandbox/pay", DeclineURL: "/sandbox/decline",
		LeaveURL: "/sandbox/leave", ReturnURL: f.page(),
	}, r.Header.Get("Accept-Language"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", page.ContentType)
	w.Header().Set("Content-Security-Policy", document.Policy)
	_, _ = w.Write(document.Body)
}

func (f *fake) serveAsset(w http.ResponseWriter, r *http.Request) {
	asset, ok := f.pages.Asset(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", asset.ContentType)
	_, _ = w.Write(asset.Body)
}

func (f *fake) serveState(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	if f.down {
		drop(w)
		return
	}
	now := time.Now().Add(-f.stale)
	if f.phase == "scheduled" && !now.Before(f.opensAt) {
		f.phase = "open"
	}
	items := []map[string]any{}
	for _, item := range f.sale.Items {
		state := f.states[item.SKU]
		if state == "" {
			state = "available"
		}
		said := map[string]any{"sku": item.SKU, "state": state}
		if f.forGood && state == "sold_out" {
			said["final"] = true
		}
		items = append(items, said)
	}
	if f.copies != nil {
		now = f.copies.kept(now)
	}
	state := map[string]any{"server_time": stamp(now), "phase": f.phase, "opens_at": stamp(f.opensAt), "closes_at": nil, "items": items}
	if !f.closesAt.IsZero() {
		state["closes_at"] = stamp(f.closesAt)
	}
	if f.pass != "" && f.phase != "scheduled" {
		state["opening_key"] = f.pass
	}
	answer(w, http.StatusOK, state)
}

func (f *fake) serveGuest(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guests++
	answer(w, http.StatusCreated, map[string]string{"token": "guest-token-number-" + strconv.Itoa(f.guests)})
}

func (f *fake) servePose(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	pose := f.pose
	f.mu.Unlock()
	pose(w, r)
}

func (f *fake) servePost(w http.ResponseWriter, r *http.Request) {
	var body struct {
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		problem(w, 400, "malformed", nil)
		return
	}
	buyer, key := bearer(r), r.Header.Get("Idempotency-Key")
	next := f.enter(post{
		key: key, token: buyer, body: fmt.Sprintf("%d %s", body.Quantity, body.SKU),
		opening: r.URL.RawQuery, proof: r.Header.Get("Doorbuster-Challenge"),
	})
	defer f.set(func(f *fake) { f.inFlight-- })
	if next.hold != nil {
		select {
		case <-next.hold:
		case <-r.Context().Done():
		}
	}
	if next.refuse {
		drop(w)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if next.status != 0 {
		f.no(w, next)
		return
	}
	made, fresh := f.order(buyer, key, body.SKU, body.Quantity)
	switch {
	case next.lose:
		drop(w)
	case next.pending:
		made.Status, made.PayBy = "pending", nil
		w.Header().Set("Location", "/api/v1/orders/"+made.ID)
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusAccepted, made)
	case fresh:
		w.Header().Set("Location", "/api/v1/orders/"+made.ID)
		answer(w, http.StatusCreated, made)
	default:
		answer(w, http.StatusOK, made)
	}
}

func (f *fake) no(w http.ResponseWriter, next reply) {
	if next.after != "" {
		w.Header().Set("Retry-After", next.after)
	}
	if next.decision != "" {
		next.more = map[string]any{"order": map[string]string{"id": "0", "status": "refused", "reason": next.code}}
	}
	problem(w, next.status, next.code, next.more)
}

func (f *fake) enter(p post) reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posts = append(f.posts, p)
	f.inFlight++
	f.most = max(f.most, f.inFlight)
	if len(f.script) == 0 {
		return reply{}
	}
	next := f.script[0]
	f.script = f.script[1:]
	return next
}

// order finds or makes the order of a key.
func (f *fake) order(buyer, key, sku string, quantity int64) (*order, bool) {
	if id, ok := f.keys[buyer+" "+key]; ok {
		return f.orders[id], false
	}
	item, _ := f.sale.Item(sku)
	now := time.Now()
	made := &order{
		ID: fmt.Sprintf("%032x", 0x5ca1ab1e0ddba11+len(f.orders)), Sale: f.sale.ID, SKU: sku, Quantity: quantity,
		Status: "awaiting_payment", Amount: item.Price.Amount * quantity, Currency: item.Price.Currency,
		CreatedAt: stamp(now), buyer: buyer,
	}
	payBy := stamp(now.Add(f.sale.Hold))
	made.PayBy = &payBy
	if made.Amount == 0 {
		made.Status, made.PayBy = "paid", nil
	}
	f.orders[made.ID] = made
	f.keys[buyer+" "+key] = made.ID
	return made, true
}

func (f *fake) serveOrder(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.orders[r.PathValue("id")]
	if !ok || o.buyer != bearer(r) {
		problem(w, 404, "not_found", nil)
		return
	}
	answer(w, http.StatusOK, o)
}

func (f *fake) serveVerb(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.orders[r.PathValue("id")]
	switch {
	case !ok || o.buyer != bearer(r):
		problem(w, 404, "not_found", nil)
	case r.PathValue("verb") == "payment":
		answer(w, http.StatusOK, map[string]string{"url": "/pay?order=" + path.Base(o.ID)})
	default:
		o.Status, o.PayBy = "cancelled", nil
		answer(w, http.StatusOK, o)
	}
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, code string, more map[string]any) {
	body := map[string]any{"type": "about:blank", "title": code, "status": status, "code": code}
	for name, value := range more {
		body[name] = value
	}
	answer(w, status, body)
}

// drop cuts the connection without an answer.
func drop(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}
