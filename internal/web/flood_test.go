package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/web/webtest"
)

// forge makes requests. Most are framed as they should be, whatever they ask
// for: a connection ends at the first that is not.
type forge struct {
	random *rand.Rand
	tokens []string
	assets []string
}

func (f *forge) pick(of ...string) string { return of[f.random.IntN(len(of))] }

// request returns the bytes of one request. What happened to it may be
// anything.
func (f *forge) request() []byte {
	request := f.plain()
	for f.random.IntN(30) == 0 {
		request = f.damage(request)
	}
	return request
}

// seldom returns odd once in a while.
func (f *forge) seldom(usual, odd string) string {
	if f.random.IntN(60) == 0 {
		return odd
	}
	return usual
}

func (f *forge) plain() []byte {
	sale := f.pick("retro-85", "retro-85", "retro-85", "guests", "later", "over", "paused", "gone", "none", strings.Repeat("x", f.random.IntN(100)))
	id := f.pick(strings.Repeat("0", 32), fmt.Sprintf("%016x%016x", f.random.Uint64(), f.random.Uint64()), "x")
	post := []string{
		"/api/v1/sales/" + sale + "/orders", "/api/v1/sales/" + sale + "/orders", "/api/v1/sales/" + sale + "/orders",
		"/api/v1/orders/" + id + "/cancel", "/api/v1/orders/" + id + "/payment", "/api/v1/guests",
	}
	get := []string{
		"/api/v1/sales/" + sale, "/api/v1/sales", "/api/v1/orders?sale=" + sale, "/api/v1/orders/" + id, "/api/openapi.json",
		"/s/" + sale, "/s/" + sale + "/state.json", "/assets/" + f.pick(f.assets...), "/livez", "/readyz", "/healthz",
		"/", "/metrics", "/../" + sale, "/%2e%2e/" + sale, "/s//" + sale, "/s/" + sale + "/", "/sandbox/x",
	}
	method, path := f.pick("GET", "GET", "HEAD", "OPTIONS"), f.pick(get...)
	if f.random.IntN(2) == 0 {
		method, path = "POST", f.pick(post...)
	}
	if f.random.IntN(10) == 0 {
		method = f.pick("PUT", "DELETE", "BREW", "get", "POST", "GET")
	}
	body := f.body()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", method, f.seldom(path, f.pick("http://x/livez", "*", "")),
		f.seldom("HTTP/1.1", f.pick("HTTP/1.0", "HTTP/2.0")), f.seldom("x", f.pick("shop.example:80", "")))
	fields := f.random.Perm(8)
	for i := range f.random.IntN(8) {
		b.WriteString(f.field(fields[i]))
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", f.pick("application/json", "application/json", "application/json", "text/plain"), len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// field returns one of eight kinds of header fields.
func (f *forge) field(kind int) string {
	switch kind {
	case 0, 1:
		if kind == 1 {
			return f.seldom("", "Transfer-Encoding: chunked\r\n")
		}
		return "Authorization: Bearer " + f.pick(f.pick(f.tokens...), f.pick(f.tokens...), f.pick(f.tokens...), "x.y.z") + "\r\n"
	case 2:
		return "Idempotency-Key: " + f.pick("k"+strconv.Itoa(f.random.IntN(3)), "k", "a b", strings.Repeat("k", 65)) + "\r\n"
	case 3:
		return "Prefer: " + f.pick("respond-async", "wait="+f.pick("0", "1", "-1", "x", "99999999999999999999"), ",;=") + "\r\n"
	case 4:
		return "Accept-Encoding: " + f.pick("gzip", "gzip;q=0", "*", ",,;q=,") + "\r\nIf-None-Match: " + f.pick("*", `"x"`, "W/") + "\r\n"
	case 5:
		return "X-Forwarded-For: 1.2.3.4, ::1, x\r\nOrigin: https://shop.example\r\nCookie: a=b; c\r\nRange: bytes=0-5\r\n"
	case 6:
		return f.pick("Connection: keep-alive\r\n", "Trailer: X\r\n", "Upgrade: h2c\r\n", "Expect: 100-continue\r\n", "Content-Encoding: gzip\r\n")
	}
	return "X-" + strings.Repeat("y", f.random.IntN(50)) + ": " + strings.Repeat("z", f.random.IntN(500)) + "\r\n"
}

func (f *forge) body() string {
	sku := f.pick("eu-42", "eu-43", "free", "none", "", "\xff", strings.Repeat("s", 100))
	quantity := f.pick("1", "1", "1", "2", "0", "-1", "1.5", "1e3", `"1"`, "null", "9223372036854775807", "99999999999999999999", "[1]", "{}")
	return f.pick(
		`{"sku":"`+sku+`","quantity":`+quantity+`}`, `{"sku":"`+sku+`","quantity":`+quantity+`}`, ` { "quantity" : `+quantity+` , "sku" : "`+sku+`" } `,
		`{"sale":"`+f.pick("guests", "retro-85", "")+`"}`, "", "{}", "[", strings.Repeat("[", f.random.IntN(4096)), strings.Repeat(`{"a":`, 600), "\x00", "null",
		f.seldom("1", strings.Repeat("x", 5000)),
	)
}

// damage changes, drops, repeats or adds a few bytes.
func (f *forge) damage(request []byte) []byte {
	if len(request) == 0 {
		return request
	}
	at := f.random.IntN(len(request))
	to := min(len(request), at+1+f.random.IntN(16))
	switch f.random.IntN(5) {
	case 0:
		request[at] = byte(f.random.IntN(256))
	case 1:
		request = slices.Delete(request, at, to)
	case 2:
		request = slices.Insert(request, at, request[at:to:to]...)
	case 3:
		request = slices.Insert(request, at, []byte(f.pick("\r\n", "\n", "\r", "\x00", " ", ":", "%2f", "\r\n\r\n", "Content-Length: 5\r\n", ", ", "\"", "é"))...)
	case 4:
		request = request[:at]
	}
	return request
}

// answers reads every answer up to the end and returns their statuses. A
// client that asked the server to close, and sent more, may be reset. An
// answer to HEAD has no body, and what the server took for HEAD is anybody's
// guess: no body of ours begins like an answer.
func answers(r *bufio.Reader) ([]int, error) {
	var statuses []int
	for {
		line, err := r.ReadString('\n')
		if line == "" && err == io.EOF || reset(err, statuses) {
			return statuses, nil
		}
		var status, length int
		if n, _ := fmt.Sscanf(line, "HTTP/1.1 %d ", &status); n != 1 {
			return statuses, fmt.Errorf("%q where an answer should begin, after %v", line, statuses)
		}
		for {
			field, err := r.ReadString('\n')
			if reset(err, statuses) {
				return statuses, nil
			}
			if err != nil {
				return statuses, fmt.Errorf("an answer ends in its header: %w", err)
			}
			if field == "\r\n" {
				break
			}
			if value, ok := strings.CutPrefix(field, "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(value))
			}
		}
		if status != 100 {
			statuses = append(statuses, status)
		}
		if next, _ := r.Peek(9); string(next) == "HTTP/1.1 " || len(next) == 0 {
			continue
		}
		if _, err := r.Discard(length); err != nil && !reset(err, statuses) {
			return statuses, fmt.Errorf("an answer of %d has less than its %d bytes: %w", status, length, err)
		}
	}
}

func reset(err error, statuses []int) bool {
	return len(statuses) > 0 && errors.Is(err, syscall.ECONNRESET)
}

// fallen is a fault of ours among statuses.
func fallen(statuses []int) bool {
	return slices.ContainsFunc(statuses, func(status int) bool { return status >= 500 || status < 200 })
}

// floods is how many requests a flood has: few at every test, a million where
// DOORBUSTER_FUZZ_REQUESTS says so.
func floods(t *testing.T) (requests int, seed uint64) {
	t.Helper()
	requests, seed = 5_000, rand.Uint64()
	if text := os.Getenv("DOORBUSTER_FUZZ_REQUESTS"); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		requests = n
	}
	if text := os.Getenv("DOORBUSTER_FUZZ_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		seed = n
	}
	return requests, seed
}

func TestAFloodOfOddRequestsLeavesNoMark(t *testing.T) {
	requests, seed := floods(t)
	sales := variety()
	sales[0].Items[0].Stock = 1_000_000
	h := openHouse(t, sales...)
	h.move("paused", shop.VerbPause)
	f := forge{assets: h.door.Pages.AssetNames()}
	for i := range 100 {
		f.tokens = append(f.tokens, h.token("buyer-"+strconv.Itoa(i)))
	}
	h.flood(f, 1000, seed) // pools and pages fill up once
	goroutines, heap := levels()

	begin := time.Now()
	statuses := h.flood(f, requests, seed)
	t.Logf("seed %d: %d requests in %s, answers by status %v", seed, requests, time.Since(begin).Round(time.Millisecond), statuses)
	if h.door.Counts.Panics.Load() > 0 || h.door.Counts.Faults.Load() > 0 {
		t.Errorf("seed %d: %d panics, %d faults", seed, h.door.Counts.Panics.Load(), h.door.Counts.Faults.Load())
	}
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		g, now := levels()
		if g <= goroutines+5 && now <= heap+16<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("seed %d: %d goroutines and %d MB remain; %d and %d MB before", seed, g, now>>20, goroutines, heap>>20)
		}
	}
	if got := h.buy("ann", "eu-42", "k"); got.status != 201 {
		t.Errorf("seed %d: after it, %d %s; want 201", seed, got.status, got.body)
	}
}

// flood sends requests over many connections, several on each, and counts the
// answers by status.
func (h *house) flood(f forge, requests int, seed uint64) map[int]int {
	h.t.Helper()
	const together = 4
	var senders sync.WaitGroup
	var mu sync.Mutex
	total := map[int]int{}
	for sender := range uint64(together) {
		senders.Go(func() {
			mine := forge{random: rand.New(rand.NewPCG(seed, sender)), tokens: f.tokens, assets: f.assets}
			for sent := 0; sent < requests/together && !h.t.Failed(); {
				n := 1 + mine.random.IntN(40)
				statuses, sentNow, err := h.salvo(&mine, n)
				sent += len(statuses) // what stands behind a broken request is not looked at
				if err != nil || fallen(statuses) {
					h.t.Errorf("seed %d, sender %d: %v, %v; sent:\n%q", seed, sender, statuses, err, sentNow)
				}
				mu.Lock()
				for _, status := range statuses {
					total[status]++
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	return total
}

// salvo sends n requests at once on one connection, and reads what comes back.
func (h *house) salvo(f *forge, n int) (statuses []int, sent []byte, err error) {
	for range n {
		sent = append(sent, f.request()...)
	}
	c, err := new(net.Dialer).Dial("tcp", h.addr)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, nil, err
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = c.Write(sent) // the server may close in the middle of it
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	statuses, err = answers(bufio.NewReader(c))
	<-wrote
	return statuses, sent, err
}

func levels() (goroutines int, heap uint64) {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return runtime.NumGoroutine(), memory.HeapAlloc
}

// tape is a connection that plays bytes and records the answers.
type tape struct {
	net.Conn
	play   *bytes.Reader
	record bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error)       { return t.play.Read(p) }
func (t *tape) Write(p []byte) (int, error)      { return t.record.Write(p) }
func (t *tape) Close() error                     { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }

func FuzzRequest(f *testing.F) {
	h := build(f).publish(variety()...).walk().work()
	server := h.ready().server(context.Background())
	hall := h.door.hall(nil)
	random := forge{random: rand.New(rand.NewPCG(1, 2)), tokens: []string{h.token("ann")}, assets: h.door.Pages.AssetNames()}
	for range 200 {
		f.Add(append(random.plain(), random.plain()...))
	}
	for _, text := range webtest.Smuggled() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		played := &tape{play: bytes.NewReader(data)}
		_ = server.ServeConn(&conn{Conn: played, peer: netip.MustParseAddr("192.0.2.1"), clock: time.Now, hall: hall, leave: func() {}, known: true})
		statuses, err := answers(bufio.NewReader(&played.record))
		if err != nil || fallen(statuses) {
			t.Fatalf("%v, %v", statuses, err)
		}
		if h.door.Counts.Panics.Load() > 0 {
			t.Fatal("it panicked")
		}
		var frames framer
		broken := func(status int) bool { return status == 400 || status == 413 }
		if sane, no := frames.follow(data); sane == 0 && no != sound && (len(statuses) != 1 || !broken(statuses[0])) {
			t.Fatalf("a broken first request was answered with %v", statuses)
		}
	})
}
