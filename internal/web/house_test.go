package web

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/cashier"
	"github.com/doorbuster/doorbuster/internal/checkout"
	"github.com/doorbuster/doorbuster/internal/fulfil"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/herald"
	"github.com/doorbuster/doorbuster/internal/ledger"
	"github.com/doorbuster/doorbuster/internal/memory"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/sqlite"
	"github.com/doorbuster/doorbuster/internal/supply"
)

// house is a whole node but for its operators: the real road behind a real
// listener on the loopback.
type house struct {
	t        testing.TB
	door     *Door
	ledger   *sqlite.Ledger
	supplier *supply.Supplier
	herald   *herald.Herald
	worker   *fulfil.Worker
	signer   *gate.Signer
	addr     string
	stop     context.CancelFunc // of the door
	stopped  chan error
	walking  bool          // the herald looks by itself
	working  chan struct{} // closed: the worker works
}

const testKey = "a buyer key that is for tests only"

// build makes a house whose door is not open yet.
func build(t testing.TB) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	books, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	must(t, err)
	t.Cleanup(func() { must(t, books.Close()) })
	hasher, err := shop.NewHasher([]byte(strings.Repeat("r", shop.RootKeyMin)))
	must(t, err)
	signer, err := gate.NewSigner(gate.NewSecret([]byte(testKey)))
	must(t, err)
	tokens, err := gate.NewVerifier(gate.NewSecret([]byte(testKey)), nil, 1<<10)
	must(t, err)
	pages, err := page.New()
	must(t, err)
	challenger, err := gate.NewAltcha(gate.NewSecret([]byte(strings.Repeat("r", shop.RootKeyMin))), rand.Reader)
	must(t, err)

	board := gate.NewBoard()
	tickets := memory.NewQueue(time.Minute, time.Now)
	stock := memory.NewStock(time.Now, tickets)
	h := &house{t: t, ledger: books, signer: signer, working: make(chan struct{})}
	h.supplier = &supply.Supplier{Ledger: books, Sales: books, Stock: stock, Log: log}
	h.herald = &herald.Herald{
		Sales: books, Supply: books, Stock: stock, Board: board, Clock: books.Clock(), Tend: h.supplier.Tend, Log: log,
	}
	till := &cashier.Cashier{
		Provider: counter{}, Orders: books, Claims: books, Board: board, Now: books.Clock().Now, Log: log,
		Moved: func(order shop.Order) { h.herald.Touch(order.Sale) }, Count: func(cashier.Outcome) {},
	}
	desk := &checkout.Desk{
		Hasher: hasher, Board: board, Known: &checkout.Known{}, Stock: stock, Claims: books,
		Decisions: checkout.NewDecisions(), Standings: checkout.NewStandings(books, time.Now),
		Nonce: mathrand.Uint64, Now: time.Now, GiveBack: till.Cancel,
		Want: func(bucket shop.Bucket, sku string, quantity int64) <-chan struct{} {
			h.supplier.Want(bucket, sku, quantity)
			return h.herald.Touch(bucket.Sale)
		},
	}
	h.worker = &fulfil.Worker{
		Queue: tickets, Ledger: books, Stock: stock, Board: board, Log: log,
		Decided: func(decisions []ledger.Decision) {
			for i := range decisions {
				desk.Known.Add(ledger.Print{Claim: decisions[i].Order.ID, KeyPrint: decisions[i].Ticket.KeyPrint})
				h.herald.Touch(decisions[i].Order.Sale)
			}
			desk.Decisions.Announce(decisions)
		},
	}
	h.door = &Door{
		Desk: desk, Board: board, Pages: pages, Guests: signer,
		Gate: &gate.Gate{
			Proxies: &gate.Proxies{}, Tokens: tokens, Challenger: challenger,
		},
		Pressure:     gate.NewPressure(gate.OrdersMax),
		StartPayment: till.Start,
		Ready:        func() bool { return true },
		Now:          books.Clock().Now, Wall: time.Now, NewName: rand.Text, Jitter: mathrand.Int64N, Log: log,
	}
	return h
}

// walk starts the walkers; the worker waits until work is called.
func (h *house) walk() *house {
	h.t.Helper()
	h.walking = true
	ctx, cancel := context.WithCancel(context.Background())
	var walkers sync.WaitGroup
	walkers.Go(func() { _ = h.herald.Run(ctx) })
	walkers.Go(func() {
		select {
		case <-h.working:
			_ = h.worker.Run(ctx)
		case <-ctx.Done():
		}
	})
	h.t.Cleanup(func() { cancel(); walkers.Wait() })
	return h
}

func (h *house) work() *house { close(h.working); return h }

// ready makes the door ready without opening it.
func (h *house) ready() *Door { h.door.prepare(); return h.door }

// open opens the door.
func (h *house) open() *house {
	h.t.Helper()
	listener, err := new(net.ListenConfig).Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	must(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	h.addr, h.stop, h.stopped = listener.Addr().String(), cancel, make(chan error, 1)
	go func() { h.stopped <- h.door.Serve(ctx, listener) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-h.stopped; err != nil {
			h.t.Errorf("the door ended with %v", err)
		}
		h.stopped <- nil
		if n := h.door.Counts.Panics.Load(); n > 0 {
			h.t.Errorf("%d requests panicked", n)
		}
	})
	return h
}

// openHouse is a house that sells.
func openHouse(t testing.TB, sales ...shop.Sale) *house {
	t.Helper()
	h := build(t).publish(sales...).walk().work()
	return h.open()
}

func (h *house) publish(sales ...shop.Sale) *house {
	h.t.Helper()
	for _, sale := range sales {
		_, err := h.supplier.Publish(h.t.Context(), sale)
		must(h.t, err)
		if h.walking {
			<-h.herald.Renew(sale.ID)
		}
	}
	if !h.walking {
		h.herald.Round(h.t.Context(), true)
	}
	return h
}

// move applies an operator's verb, and waits for the board to show it.
func (h *house) move(sale string, verb shop.Verb) {
	h.t.Helper()
	_, err := h.ledger.Move(h.t.Context(), sale, verb)
	must(h.t, err)
	<-h.herald.Renew(sale)
}

func (h *house) token(buyer string) string {
	h.t.Helper()
	token, err := h.signer.Sign(gate.Identity{Buyer: buyer}, time.Now(), time.Hour)
	must(h.t, err)
	return token
}

// sneakers is an open sale.
func sneakers() shop.Sale {
	return shop.Sale{
		ID: "retro-85", Title: "Retro High ’85", OpensAt: time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond),
		Hold: 10 * time.Minute, LimitPerBuyer: 2, Challenge: "never", Early: "normal",
		Items: []shop.Item{
			{SKU: "eu-42", Title: "EU 42", Stock: 5, Price: shop.Money{Amount: 12900, Currency: "EUR"}},
			{SKU: "eu-43", Title: "EU 43", Stock: 1, Price: shop.Money{Amount: 12900, Currency: "EUR"}},
			{SKU: "free", Title: "Sticker", Stock: 5, Price: shop.Money{Amount: 0, Currency: "EUR"}},
		},
	}
}

// call is one request.
type call struct {
	method, path, token, body string
	header                    http.Header
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
	closes bool // the connection ends with it
}

// do sends a request on a connection of its own.
func (h *house) do(c call) reply {
	h.t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.addr+c.path, strings.NewReader(c.body))
	must(h.t, err)
	request.Close = true
	request.Header.Set("Accept-Encoding", "identity") // else the client unzips by itself
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	must(h.t, err)
	return whole(h.t, response)
}

// whole reads a response to its end.
func whole(t testing.TB, response *http.Response) reply {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	must(t, errors.Join(err, response.Body.Close()))
	r := reply{status: response.StatusCode, header: response.Header, body: string(body), closes: response.Close}
	if strings.Contains(response.Header.Get("Content-Type"), "json") && len(body) > 0 {
		must(t, json.Unmarshal(body, &r.json))
	}
	return r
}

// buy posts an order for one unit.
func (h *house) buy(buyer, sku, key string) reply {
	h.t.Helper()
	return h.do(call{
		method: http.MethodPost, path: "/api/v1/sales/retro-85/orders", token: h.token(buyer),
		body: `{"sku":"` + sku + `","quantity":1}`, header: keyed(key),
	})
}

func keyed(key string) http.Header {
	if key == "" {
		return http.Header{}
	}
	return http.Header{"Idempotency-Key": {key}}
}

// dial connects to the door.
func (h *house) dial() net.Conn {
	h.t.Helper()
	c, err := new(net.Dialer).DialContext(h.t.Context(), "tcp", h.addr)
	must(h.t, err)
	h.t.Cleanup(func() { _ = c.Close() })
	must(h.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// raw sends bytes as they are, and returns what comes back until the server
// closes.
func (h *house) raw(text string) []reply {
	h.t.Helper()
	c := h.dial()
	_, err := io.WriteString(c, text)
	must(h.t, err)
	var all []reply
	for reader := bufio.NewReader(c); ; {
		if _, err := reader.Peek(1); err != nil {
			if err != io.EOF {
				h.t.Errorf("after %d answers to %q: %v; want the connection closed", len(all), text, err)
			}
			return all
		}
		all = append(all, read(h.t, reader))
	}
}

// read reads one answer.
func read(t testing.TB, from *bufio.Reader) reply {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	must(t, err)
	return whole(t, response)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pay records money for an order.
func (h *house) pay(id shop.ClaimID) {
	h.t.Helper()
	_, err := h.ledger.Pay(h.t.Context(), ledger.Payment{Order: id, Reference: id.String()})
	must(h.t, err)
}

// counter is a provider that only has an address.
type counter struct{ payments.Provider }

// Start implements payments.Provider.
func (counter) Start(_ context.Context, order shop.Order, _ string) (string, error) {
	return "https://pay.example/" + order.ID.String(), nil
}

// End implements payments.Provider.
func (counter) End(context.Context, shop.ClaimID) error { return nil }

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
