package sandbox

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/payments"
	"github.com/doorbuster/doorbuster/internal/payments/paymentstest"
)

// shopEnd is the shop's end of the wire: it keeps callbacks and answers them.
type shopEnd struct {
	mu     sync.Mutex
	calls  []paymentstest.Call
	hosts  []string
	status int
}

func (s *shopEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.calls = append(s.calls, paymentstest.Call{Header: r.Header.Clone(), Body: body})
	s.hosts = append(s.hosts, cmp.Or(r.Host, r.URL.Host))
	return &http.Response{StatusCode: s.status, Status: strconv.Itoa(s.status), Body: http.NoBody, Request: r}, nil
}

func (s *shopEnd) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// take returns the calls so far, once at least so many are there.
func (s *shopEnd) take(t *testing.T, atLeast int) []paymentstest.Call {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) < atLeast {
		t.Fatalf("%d callbacks, want %d", len(s.calls), atLeast)
	}
	calls := s.calls
	s.calls = nil
	return calls
}

func keyOf(letter string) gate.Secret { return gate.NewSecret([]byte(strings.Repeat(letter, 32))) }

// stage is a sandbox with its folder and its shop, in a bubble of synctest.
type stage struct {
	folder string
	shop   *shopEnd
	keys   []gate.Secret
	host   string
	pages  *page.Pages
	names  atomic.Int64
	name   string  // tells the references of two stages apart
	orders *orders // nil: the sandbox knows what it is told
	halt   func()

	*Provider
}

func newStage(t *testing.T) *stage { return stageOf(t, "", nil) }

// stageOf sets a stage for one of several sandboxes, by name, that share a shop's
// orders.
func stageOf(t *testing.T, name string, orders *orders) *stage {
	t.Helper()
	pages, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{
		folder: t.TempDir(), shop: &shopEnd{status: http.StatusNoContent},
		keys: []gate.Secret{keyOf("k")}, pages: pages, name: name, orders: orders, halt: func() {},
	}
	s.restart(t)
	return s
}

// restart opens the folder again, as after kill -9: nothing was closed, but the
// kernel gives the lock back.
func (s *stage) restart(t *testing.T) {
	t.Helper()
	s.halt()
	if s.Provider != nil {
		if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN); err != nil {
			t.Fatal(err)
		}
	}
	config := Config{
		Folder: s.folder, Keys: s.keys, Host: s.host, Callback: "http://shop.test/events",
		Client: &http.Client{Transport: s.shop}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Random: func() string { return "random" + s.name + strconv.FormatInt(s.names.Add(1), 10) },
		Names:  func(string, string) (string, string, bool) { return "Retro <85>", "EU 42", true },
		Render: s.pages.SandboxPage,
	}
	if s.orders != nil {
		config.Order = s.orders.order
	}
	p, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	s.halt = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		s.halt()
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	s.Provider = p
}

func (s *stage) ask(method, address string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	s.Handler().ServeHTTP(recorder, httptest.NewRequest(method, address, http.NoBody))
	return recorder
}

func (s *stage) press(t *testing.T, address string, button paymentstest.Button) string {
	t.Helper()
	response := s.ask(http.MethodPost, address+"/"+string(button))
	if response.Code != http.StatusSeeOther {
		t.Fatalf("%s at %s: %d %s", button, address, response.Code, response.Body)
	}
	return response.Header().Get("Location")
}

// show returns the text of a payment page.
func (s *stage) show(t *testing.T, address string) string {
	t.Helper()
	response := s.ask(http.MethodGet, address)
	if response.Code != http.StatusOK {
		t.Fatalf("page %s: %d %s", address, response.Code, response.Body)
	}
	return response.Body.String()
}

// in plays in a bubble.
func in(t *testing.T, play func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { play(t, newStage(t)) })
}

func TestSandbox(t *testing.T) {
	paymentstest.Run(t, func(t *testing.T, play func(*testing.T, paymentstest.Stage)) {
		in(t, func(t *testing.T, s *stage) {
			play(t, paymentstest.Stage{
				Provider: s.Provider, Press: s.press, Calls: s.shop.take, Answer: s.shop.answer, Now: time.Now,
				Pass:    func(d time.Duration) { time.Sleep(d); synctest.Wait() },
				Restart: func(t *testing.T) payments.Provider { s.restart(t); return s.Provider },
			})
		})
	})
}
