package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// pipes is a listener without a network, whose time is the test's.
type pipes struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.calls <- theirs
	return ours
}

// inItsOwnTime runs a test against a door in a bubble whose time jumps.
func inItsOwnTime(t *testing.T, test func(t *testing.T, p *pipes)) {
	t.Helper()
	h := build(t)                                     // outside: the ledger has threads of its own
	_ = (&fasthttp.ResponseHeader{}).AppendBytes(nil) // starts the server's clock for Date, which never ends
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{calls: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error)
		go func() { served <- h.door.Serve(ctx, p) }()
		test(t, p)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		time.Sleep(time.Minute) // the server's pool tidies up
	})
}

// rest reads until the server closes, and returns what came and after how long.
func rest(t *testing.T, c net.Conn) (string, time.Duration) {
	t.Helper()
	begin := time.Now()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	must(t, c.Close())
	return string(text), time.Since(begin).Round(time.Second)
}

func TestASlowRequestIsCutOff(t *testing.T) {
	for name, text := range map[string]string{
		"nothing at all":        "",
		"half a request line":   "GET /live",
		"half a header":         "GET /livez HTTP/1.1\r\nHost: x\r\n",
		"half a body":           "POST /api/v1/guests HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
		"a body on expectation": "POST /api/v1/guests HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inItsOwnTime(t, func(t *testing.T, p *pipes) {
				c := p.dial()
				_, err := io.WriteString(c, text)
				must(t, err)
				answer, after := rest(t, c)
				if after != 5*time.Second || !strings.Contains(answer, " 400 ") && text != "" {
					t.Errorf("after %s: %q; want 400 after 5 s", after, answer)
				}
			})
		})
	}
}

// Sending something every second does not help.
func TestADrippingRequestIsCutOff(t *testing.T) {
	inItsOwnTime(t, func(t *testing.T, p *pipes) {
		c := p.dial()
		go func() {
			for _, b := range []byte("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if answer, after := rest(t, c); after != 5*time.Second || !strings.Contains(answer, " 400 ") {
			t.Errorf("after %s: %q; want 400 after 5 s", after, answer)
		}
		time.Sleep(time.Minute) // the writer has ended
	})
}

func TestAnIdleConnectionIsClosedWithoutAWord(t *testing.T) {
	inItsOwnTime(t, func(t *testing.T, p *pipes) {
		c := p.dial()
		reader := bufio.NewReader(c)
		for range 3 {
			_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
			must(t, err)
			read(t, reader)
			time.Sleep(20 * time.Second)
		}
		begin := time.Now()
		left, err := io.ReadAll(reader)
		if after := time.Since(begin).Round(time.Second); err != nil || len(left) > 0 || after < 9*time.Second || after > 11*time.Second {
			t.Errorf("after %s: %q, %v; want nothing, 30 s after the last answer", after, left, err)
		}
		must(t, c.Close())
	})
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	inItsOwnTime(t, func(t *testing.T, p *pipes) {
		c := p.dial()
		_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
		time.Sleep(11 * time.Second)
		if answer, err := io.ReadAll(c); len(answer) > 0 || err != nil {
			t.Errorf("after 11 s: %q, %v; want a closed connection", answer, err)
		}
		must(t, c.Close())
	})
}

func TestOrdinaryTrafficArmsNoDeadlinePerRequest(t *testing.T) {
	armed := &arming{}
	at := time.Unix(1000, 0)
	c := &conn{Conn: armed, clock: func() time.Time { at = at.Add(time.Millisecond); return at }, hall: build(t).ready().hall(nil)}
	for range 900 {
		_, err := c.Read(make([]byte, 4096))
		must(t, err)
		_, err = c.Write([]byte("answer"))
		must(t, err)
	}
	if armed.times > 6 {
		t.Errorf("deadlines were armed %d times in two seconds, want a few", armed.times)
	}
}

// arming is a connection that brings one request per read.
type arming struct {
	net.Conn
	times int
}

func (a *arming) Read(p []byte) (int, error) {
	return copy(p, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), nil
}
func (a *arming) Write(p []byte) (int, error)      { return len(p), nil }
func (a *arming) SetReadDeadline(time.Time) error  { a.times++; return nil }
func (a *arming) SetWriteDeadline(time.Time) error { a.times++; return nil }

func TestTheHallHasSoManyPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		status  int
		code    shop.Code
	}{
		"in all":      {Options{ConnsMax: 2}, 503, shop.Overloaded},
		"per address": {Options{ConnsPerAddressMax: 2}, 429, shop.TooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			h.door.Options = c.options
			h.open()
			first, second := h.stay(), h.stay()
			check(t, read(t, bufio.NewReader(h.dial())), c.status, c.code) // unasked
			must(t, first.Close())
			for h.turnedAway() { // until the place is given back
				runtime.Gosched()
			}
			must(t, second.Close())
			counts := map[string]uint64{"in all": h.door.Counts.NoPlace.Load(), "per address": h.door.Counts.NoPlaceForAddress.Load()}
			if mine := counts[name]; mine == 0 || mine != counts["in all"]+counts["per address"] {
				t.Errorf("counted %v, want all of them %s", counts, name)
			}
		})
	}
}

// turnedAway reports whether there is no place now.
func (h *house) turnedAway() bool {
	c := h.dial()
	_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	text, errRead := io.ReadAll(c)
	return err != nil || errRead != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200 ")
}

// stay connects, and stays.
func (h *house) stay() net.Conn {
	h.t.Helper()
	c := h.dial()
	_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	must(h.t, err)
	if got := read(h.t, bufio.NewReader(c)); got.status != http.StatusOK {
		h.t.Fatalf("got %d, want a place", got.status)
	}
	return c
}

func TestTrustedProxiesTakeAnyNumberOfPlaces(t *testing.T) {
	proxy := netip.MustParseAddr("10.0.0.1")
	hall := &hall{max: 10, perAddress: 1, by: map[gate.AddressKey]int{}, spares: func(a netip.Addr) bool { return a == proxy }}
	for range 5 {
		if no := hall.enter(proxy, !hall.spares(proxy)); no != nil {
			t.Fatalf("got %s", no.answer)
		}
	}
}

// Browsers connect before they ask. A refusal sent into the silence would be
// read as the answer to whatever they ask next.
func TestWhoAsksNothingIsToldNothing(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { must(t, errors.Join(ours.Close(), theirs.Close())) }()
	c := &conn{Conn: ours, clock: func() time.Time { return time.Now().Add(-time.Hour) }} // every deadline is over
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d bytes, %v; want the end of the connection", n, err)
	}
}

// Those who send slowly take places, but nobody's turn.
func TestSlowConnectionsDoNotKeepOthersWaiting(t *testing.T) {
	h := openHouse(t, sneakers())
	for range 300 {
		_, err := io.WriteString(h.dial(), "POST "+toRetro+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		must(t, err)
	}
	for range 5 {
		if got := h.do(call{path: "/s/retro-85/state.json"}); got.status != 200 {
			t.Errorf("got %d, want 200", got.status)
		}
	}
	if got := h.buy("ann", "eu-42", "k"); got.status != 201 {
		t.Errorf("got %d %s, want 201", got.status, got.body)
	}
}

func TestADrainFinishesWhatIsInFlight(t *testing.T) {
	h := build(t).publish(sneakers()).walk().open()
	idle := h.stay()
	waiting := make(chan reply, 1)
	go func() { waiting <- h.buy("ann", "eu-42", "k") }()
	for h.door.Pressure.Inside() == 0 {
		<-h.herald.Touch("retro-85") // time passes
	}
	h.stop()
	if left, err := io.ReadAll(idle); err != nil || len(left) > 0 {
		t.Errorf("the idle connection: %q, %v; want it closed", left, err)
	}
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.addr); err == nil {
		t.Error("somebody came in after the end")
		_ = c.Close()
	}
	h.work()
	if got := <-waiting; got.status != 201 {
		t.Errorf("in flight: %d %s, want 201", got.status, got.body)
	}
}

// Who still waits when the time to drain ends hears that nothing is decided.
func TestADrainEndsWithinItsBound(t *testing.T) {
	h := build(t).publish(sneakers()).walk()
	h.door.Options.DrainMax = 2 * time.Second
	h.open()
	waiting := make(chan reply, 1)
	go func() {
		waiting <- h.do(call{
			method: "POST", path: toRetro, token: h.token("ann"), body: `{"sku":"eu-42","quantity":1}`,
			header: http.Header{"Prefer": {"wait=30"}},
		})
	}()
	for h.door.Pressure.Inside() == 0 {
		<-h.herald.Touch("retro-85")
	}
	h.stop()
	if got := <-waiting; got.status != 202 {
		t.Errorf("in flight: %d %s, want 202", got.status, got.body)
	}
}

func TestAPanicIsOneBuyersTrouble(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.StartPayment = func(context.Context, gate.Identity, shop.ClaimID) (string, error) { panic("a bug") }
	h.door.Mounts = map[string]http.Handler{"/m": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("another")) })}
	h.open()
	at := h.buy("ann", "eu-42", "k").header.Get("Location")
	check(t, h.do(call{method: "POST", path: at + "/payment", token: h.token("ann")}), 503, shop.Unavailable)
	check(t, h.do(call{path: "/m"}), 503, shop.Unavailable)
	if got := h.buy("bob", "eu-42", "k"); got.status != 201 {
		t.Errorf("got %d %s, want 201", got.status, got.body)
	}
	if n := h.door.Counts.Panics.Swap(0); n != 2 {
		t.Errorf("%d panics counted, want 2", n)
	}
}

func TestAFaultIsHiddenAndLoggedOnceAMinuteForEachRoute(t *testing.T) {
	h := build(t).publish(sneakers())
	var log strings.Builder
	h.door.Log = newLog(&log)
	at := time.Unix(1000, 0)
	h.door.prepare()
	h.door.Wall = func() time.Time { return at }
	rc := &fasthttp.RequestCtx{}
	rc.Request.SetRequestURI("/api/v1/orders/secret-of-a-buyer")
	for range 10 {
		h.door.refuse(rc, errors.New("disk on fire\nforged=line"))
	}
	if body := string(rc.Response.Body()); rc.Response.StatusCode() != 503 || strings.Contains(body, "disk") {
		t.Errorf("got %d %s, want 503 and nothing of the fault", rc.Response.StatusCode(), body)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("logged %d lines, want 1 without the path:\n%s", lines, log.String())
	}
	if !strings.Contains(log.String(), `"route":"/api/v1/orders/{id}"`) {
		t.Errorf("got %s, want the route's pattern", log.String())
	}
	for range 61 {
		at = at.Add(time.Second)
		h.door.refuse(rc, errors.New("still on fire"))
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("logged %d lines a minute later, want 2", lines)
	}
	rc.Request.SetRequestURI("/api/v1/guests")
	h.door.refuse(rc, errors.New("on fire as well"))
	if !strings.Contains(log.String(), `"route":"/api/v1/guests"`) {
		t.Errorf("got %s, want the fault of another route at once", log.String())
	}
}
