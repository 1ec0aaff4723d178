package web

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// spoken sends requests one by one on one connection, and returns the bytes of
// each answer but the first's: that one introduces the connection.
func (h *house) spoken(requests ...string) []string {
	h.t.Helper()
	c := h.dial()
	reader := bufio.NewReader(c)
	var all []string
	for _, request := range append([]string{"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"}, requests...) {
		_, err := io.WriteString(c, request)
		must(h.t, err)
		var text strings.Builder
		length := 0
		for line := ""; line != "\r\n"; {
			line, err = reader.ReadString('\n')
			must(h.t, err)
			text.WriteString(line)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		}
		body := make([]byte, length)
		_, err = io.ReadFull(reader, body)
		must(h.t, err)
		all = append(all, text.String()+string(body))
	}
	return all[1:]
}

// A script says to the byte what the handlers say. "Connection: TE" means
// nothing here, but makes a request one for the server.
func TestAQuickAnswerIsTheSameAsAnyOther(t *testing.T) {
	for name, origins := range map[string][]string{"our own pages": nil, "any page": {"*"}, "one page": {"https://shop.example"}} {
		t.Run(name, func(t *testing.T) {
			h := build(t).publish(variety()...).walk()
			h.door.Options.PageOrigins, h.door.Options.CacheTagField = origins, "Surrogate-Key"
			h.open()
			h.move("paused", shop.VerbPause)
			pass := h.pass("strict")
			times := regexp.MustCompile(`Date: [^\r]*|"server_time":"[^"]*"`)
			for _, begin := range []string{
				"POST /api/v1/sales/gone/orders", "POST /api/v1/sales/later/orders", "POST /api/v1/sales/over/orders", "POST /api/v1/sales/paused/orders",
				"POST /api/v1/sales/none/orders", "POST /api/v1/sales/guests/orders", "POST /api/v1/sales/retro-85/orders", "GET /s/retro-85/state.json", "GET /s/gone/state.json", "GET /s/none/state.json",
				"POST /api/v1/sales/strict/orders", "POST /api/v1/sales/strict/orders?opening=x", "POST /api/v1/sales/strict/orders?" + strings.Repeat("x", 100), "GET /s/strict/state.json",
				"POST /api/v1/sales/strict/orders?opening=" + pass, "POST /api/v1/sales/strict/orders?a=b&opening=" + pass, "POST /api/v1/sales/gone/orders?opening=" + pass,
			} {
				request := begin + " HTTP/1.1\r\nHost: x\r\nIdempotency-Key: new\r\nOrigin: https://shop.example\r\n%sContent-Length: 2\r\n\r\n{}"
				got := h.spoken(fmt.Sprintf(request, ""), fmt.Sprintf(request, "Connection: keep-alive\r\n"), fmt.Sprintf(request, "Connection: TE\r\n"))
				for i := range got {
					got[i] = times.ReplaceAllString(got[i], "TIME")
				}
				if got[0] != got[2] || got[1] != got[2] {
					t.Errorf("%s: quick\n%s\nand\n%s\nslow\n%s", begin, got[0], got[1], got[2])
				}
			}
		})
	}
}

// A limit is asked once for each request, on whichever way it is answered.
func TestAQuickRefusalSpendsNoMoreThanAnyOther(t *testing.T) {
	for name, field := range map[string]string{"quick": "", "slow": "Connection: TE\r\n"} {
		h := build(t).publish(sneakers()).walk().work()
		h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 4}, 0, 64)
		h.open()
		body := `{"sku":"eu-42","quantity":1}`
		request := func(token string) string {
			return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				toRetro, field, token, len(body), body)
		}
		var got []string
		for _, answer := range h.spoken(request("bad"), request(h.token("ann")), request(h.token("ann")), request("bad"), request("bad"), request(h.token("ann"))) {
			got = append(got, answer[len("HTTP/1.1 "):][:3])
		}
		if want := []string{"401", "201", "201", "401", "429", "429"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		for reason, count := range h.door.Gate.Counts.All() {
			if reason == gate.BadToken && count != 2 || reason == gate.AddressLimit && count != 2 {
				t.Errorf("%s: %s was counted %d times, want 2", name, reason, count)
			}
		}
	}
}

// Behind a trusted proxy the client is whom it names.
// Over one connection a proxy sends the requests of many buyers: what the quick
// way has found out of one is never taken for the next.
func TestNobodyIsTakenForWhoCameBeforeOnTheConnection(t *testing.T) {
	sale := sneakers()
	sale.Items[0].Stock = 50
	h := openHouse(t, sale)
	order := func(buyer, more, body string) string {
		return fmt.Sprintf("POST /api/v1/sales/retro-85/orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k-%s\r\nContent-Type: application/json\r\n"+
			"Authorization: Bearer %s\r\n%sContent-Length: %d\r\n\r\n%s", buyer, h.token(buyer), more, len(body), body)
	}
	wish := `{"sku":"eu-42","quantity":1}`
	var requests []string
	for n := range 12 {
		buyer := fmt.Sprint("buyer-", n)
		requests = append(requests, []string{
			order(buyer, "", wish),                    // by the quick way, then the server
			order(buyer, "Connection: TE\r\n", wish),  // by the server alone
			order(buyer, "", `{"sku":"none"}`),        // refused after the quick way has let it in
			order(buyer, "Expect: nothing\r\n", wish), // unusual
		}[n%4])
		requests = append(requests, fmt.Sprintf("GET /api/v1/orders?sale=retro-85 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", h.token(buyer)))
	}
	got := h.spoken(requests...)
	for n := range 12 {
		made, own := got[2*n], got[2*n+1]
		won := strings.HasPrefix(made, "HTTP/1.1 201 ")
		if want := n%4 != 2; won != want || strings.Count(own, `"sku"`) != map[bool]int{true: 1, false: 0}[want] {
			t.Errorf("buyer %d: won %v, want %v\n%s\n%s", n, won, want, made, own)
		}
	}
}

func TestAQuickRefusalKnowsProxies(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Gate.Proxies = gate.NewProxies(prefixes(t, "127.0.0.0/8"))
	h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.01, Burst: 1}, 0, 64)
	h.open()
	request := "POST " + toRetro + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n"
	for i, answer := range h.spoken(fmt.Sprintf(request, 1), fmt.Sprintf(request, 2), fmt.Sprintf(request, 1)) {
		if want := []string{"401", "401", "429"}[i]; !strings.HasPrefix(answer, "HTTP/1.1 "+want) {
			t.Errorf("request %d: got %s, want %s", i, answer, want)
		}
	}
}

// The times in a quick answer are those of the moment.
func TestAQuickAnswerTellsTheTime(t *testing.T) {
	h := openHouse(t, sneakers())
	ask := "GET /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\n\r\n"
	answer := h.spoken(ask)[0]
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	date := regexp.MustCompile(`Date: (.*) GMT`).FindStringSubmatch(head)
	stamp := regexp.MustCompile(`"server_time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"`).FindStringSubmatch(body)
	if date == nil || stamp == nil || strings.Contains(date[1], "02 Jan 2006") || strings.HasPrefix(stamp[1], "2006") {
		t.Errorf("got %s", answer)
	}
}

func TestWhatIsUnusualGoesToTheServer(t *testing.T) {
	h := build(t).publish(variety()...).walk().work()
	h.door.Options.Hosts = []string{"x"}
	h.open()
	won := h.do(call{
		method: "POST", path: "/api/v1/sales/retro-85/orders", token: h.token("ann"), body: `{"sku":"free","quantity":1}`,
		header: map[string][]string{"Idempotency-Key": {"mine"}, "Host": {"x"}},
	})
	if won.status != 201 {
		t.Fatalf("got %d %s, want 201", won.status, won.body)
	}
	h.move("retro-85", shop.VerbClose)
	const post = "POST /api/v1/sales/retro-85/orders HTTP/1.1\r\nHost: x\r\n"
	for request, want := range map[string]string{
		post + "\r\n": "409", post + "Idempotency-Key: new\r\n\r\n": "409", post + "Idempotency-Key: mine\r\n\r\n": "401", post + "Idempotency-Key: a b\r\n\r\n": "400",
		"POST /api/v1/sales/retro-85/orders HTTP/1.1\r\nHost: y\r\n\r\n": "400", "HEAD /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\nX: Content-Length: 0\r\n\r\n": "200",
		"GET /s/retro-85/state.json?x HTTP/1.1\r\nHost: x\r\n\r\n": "200", "GET /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": "200",
		"POST /api/v1/sales/retro-85/orders HTTP/1.0\r\nHost: x\r\n\r\n": "409", post + "Content-Length: 5000\r\n\r\n": "413", post + "X : y\r\n\r\n": "400",
		"PUT /s/retro-85/state.json HTTP/1.1\r\nHost: x\r\n\r\n": "405",
	} {
		if strings.HasPrefix(request, "HEAD") {
			continue // an answer without its body; TestHEADWorksWhereverGETDoes has it
		}
		if got := h.spoken(request)[0]; !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%q: got %s, want %s", request, got, want)
		}
	}
}

// Quick and other answers come in the order of their requests.
func TestPipelinedAnswersComeInOrder(t *testing.T) {
	h := openHouse(t, variety()...)
	quick := "GET /s/%s/state.json HTTP/1.1\r\nHost: x\r\n\r\n"
	var request strings.Builder
	var want []int
	for i := range 300 {
		switch i % 3 {
		case 0:
			request.WriteString(strings.Replace(quick, "%s", "gone", 1))
			want = append(want, 200)
		case 1:
			request.WriteString("POST /api/v1/sales/gone/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
			want = append(want, 409)
		case 2:
			request.WriteString(strings.Replace(quick, "%s", "none", 1))
			want = append(want, 404)
		}
	}
	request.WriteString("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	c := h.dial()
	_, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, err)
	reader := bufio.NewReader(c)
	read(t, reader)
	go func() { _, _ = io.WriteString(c, request.String()) }()
	for i := range want {
		if got := read(t, reader); got.status != want[i] {
			t.Fatalf("answer %d is %d %s, want %d", i, got.status, got.body, want[i])
		}
	}
}

func TestAQuickAnswerCostsNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, s := range hot(t) {
		if name != "sold out" && name != "item sold out" && name != "state" && name != "bad token" && name != "address limit" {
			continue
		}
		s.read(t) // spends the limit, opens the windows
		room := make([]byte, 0, 4096)
		c := &conn{peer: netip.MustParseAddr("192.0.2.1")}
		n := testing.AllocsPerRun(1000, func() {
			if took, _ := s.door.quick(c, []byte(s.request)[:len(s.request):len(s.request)], room); took != len(s.request) {
				t.Fatalf("%s: %d of %d bytes were answered", name, took, len(s.request))
			}
		})
		if n > 1 { // the request's own bytes
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
