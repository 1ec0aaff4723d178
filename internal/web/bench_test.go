package web

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// scene is one request in front of the door's handler, without a network.
type scene struct {
	door    *Door
	rc      *fasthttp.RequestCtx
	request string
	status  int
}

// hot are the answers that most of a crowd gets, behind a proxy. None may cost
// memory.
func hot(t testing.TB) map[string]*scene {
	soldOut := sneakers()
	soldOut.ID, soldOut.Items = "sold-out", soldOut.Items[1:2]
	soldOut.Items[0].Stock = 0
	h := build(t).publish(sneakers(), soldOut)
	h.door.Gate.Proxies = gate.NewProxies(prefixes(t, "192.0.2.0/24"))
	h.door.prepare()
	strict := build(t).publish(sneakers())
	strict.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 1}, 0, 64)
	strict.door.Gate.Proxies = h.door.Gate.Proxies
	strict.door.prepare()
	ask := func(sale, token string) string {
		body := `{"sku":"eu-43","quantity":1}`
		return fmt.Sprintf("POST /api/v1/sales/%s/orders HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"+
			"Accept: */*\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nIdempotency-Key: 7f9c2ba4-e88f-4f3c-9c53-0a1b2c3d4e5f\r\n"+
			"X-Forwarded-For: 198.51.100.7\r\nContent-Length: %d\r\n\r\n%s", sale, token, len(body), body)
	}
	token := h.token("ann")
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: shop.example\r\n\r\n" }
	gone := build(t).publish(func() shop.Sale { s := sneakers(); s.Items[1].Stock = 0; return s }())
	gone.door.prepare()
	keyed := build(t).publish(func() shop.Sale { s := sneakers(); s.Early = shop.EarlyStrict; return s }())
	keyed.door.prepare()
	full := build(t).publish(sneakers())
	full.door.Pressure = gate.NewPressure(0)
	full.door.prepare()
	guarded := build(t).publish(guarded())
	guarded.door.prepare()
	suspicious := func() *house {
		h := build(t).publish(func() shop.Sale { s := sneakers(); s.Challenge = shop.ChallengeSuspicious; return s }())
		h.door.Gate.Suspicion = gate.NewSuspicion(true, 1)
		h.door.Gate.Suspicion.Automated("ann", h.door.Now().UnixNano())
		h.door.prepare()
		return h
	}
	wary, watched := suspicious(), suspicious() // at the first one nobody looks at a page
	return map[string]*scene{
		"no challenge solved":    {door: guarded.door, request: ask("retro-85", token), status: 403},
		"suspected":              {door: wary.door, request: ask("retro-85", token), status: 403},
		"state, by a wary door":  {door: watched.door, request: get("/s/retro-85/state.json"), status: 200},
		"challenge badly solved": {door: guarded.door, request: strings.Replace(ask("retro-85", token), "Host:", proofField+": "+strings.Repeat("A", 800)+"\r\nHost:", 1), status: 403},
		"sold out":               {door: h.door, request: ask("sold-out", token), status: 409},
		"item sold out":          {door: gone.door, request: ask("retro-85", token), status: 409},
		"bad token":              {door: h.door, request: ask("retro-85", token[:len(token)-4]+"AAAA"), status: 401},
		"no token":               {door: h.door, request: get("/api/v1/orders?sale=retro-85"), status: 401},
		"address limit":          {door: strict.door, request: ask("retro-85", token), status: 429},
		"state":                  {door: h.door, request: get("/s/retro-85/state.json"), status: 200},
		"sale":                   {door: h.door, request: get("/api/v1/sales/retro-85"), status: 200},
		"page":                   {door: h.door, request: get("/s/retro-85"), status: 200},
		"nowhere":                {door: h.door, request: get("/wp-login.php"), status: 404},
		"unknown sale":           {door: h.door, request: ask("none", token), status: 404},
		"no opening key":         {door: keyed.door, request: ask("retro-85", token), status: 403},
		"a wrong one":            {door: keyed.door, request: strings.Replace(ask("retro-85", token), "/orders", "/orders?opening="+strings.Repeat("0", 32), 1), status: 403},
		"shed":                   {door: full.door, request: ask("retro-85", token), status: 503},
		"malformed key":          {door: h.door, request: strings.Replace(ask("retro-85", token), "7f9c2ba4", "a b", 1), status: 400},
		"the wrong method":       {door: h.door, request: "PUT" + get("/s/retro-85")[3:], status: 405},
	}
}

func (s *scene) read(t testing.TB) {
	t.Helper()
	s.rc = &fasthttp.RequestCtx{}
	s.rc.Init2(&conn{Conn: &net.TCPConn{}, peer: netip.MustParseAddr("192.0.2.1")}, silence{}, false)
	must(t, s.rc.Request.Read(bufio.NewReaderSize(strings.NewReader(s.request), headMax)))
	s.play(t)
	s.play(t)
	if s.rc.Response.StatusCode() != s.status {
		t.Fatalf("got %d %s, want %d", s.rc.Response.StatusCode(), s.rc.Response.Body(), s.status)
	}
}

func (s *scene) play(t testing.TB) {
	s.rc.Response.Reset()
	s.door.handle(t.Context(), s.rc)
}

func TestWhatMostOfTheCrowdHearsCostsNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, s := range hot(t) {
		s.read(t)
		if n := testing.AllocsPerRun(1000, func() { s.play(t) }); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	for name, s := range hot(b) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			s.read(b)
			b.ReportAllocs()
			for b.Loop() {
				s.play(b)
			}
		})
	}
}

func BenchmarkQuick(b *testing.B) {
	for name, s := range hot(b) {
		c, room := &conn{peer: netip.MustParseAddr("192.0.2.1")}, make([]byte, 0, 4096)
		request := []byte(s.request)
		s.door.quick(c, request, room) // spends the limit
		if took, _ := s.door.quick(c, request, room); took == 0 {
			continue
		}
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.door.quick(c, request, room)
			}
		})
	}
}

func BenchmarkFramer(b *testing.B) {
	request := []byte(hot(b)["sold out"].request)
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	var f framer
	for b.Loop() {
		if _, no := f.follow(request); no != sound {
			b.Fatal(no)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	body := []byte(`{"sku":"eu-42","quantity":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readWanted(body); err != nil {
			b.Fatal(err)
		}
	}
}

// One connection, one request after the other: what the whole door adds to a
// system call.
func BenchmarkSoldOutOverTheLoopback(b *testing.B) {
	soldOut := sneakers()
	soldOut.ID, soldOut.Items = "sold-out", soldOut.Items[1:2]
	soldOut.Items[0].Stock = 0
	h := openHouse(b, soldOut)
	c := h.dial()
	must(b, c.SetDeadline(time.Time{}))
	request := []byte(hot(b)["sold out"].request)
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
	if !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", http.StatusConflict)) {
		b.Fatalf("got %s", answer)
	}
}
