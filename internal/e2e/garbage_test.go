package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// canary stands in whatever a stranger may write, so that a log that repeats
// it is found out.
const canary = "canary-of-a-stranger"

// generator makes requests that are wrong in no place, in some, or in all: who
// is wrong everywhere is turned away at the door and never seen further in.
type generator struct {
	rng    *rand.Rand
	tokens []string
	faults int // that the request under way may still have
	out    []byte
}

// any returns one of the choices.
func (g *generator) any(of ...string) string { return of[g.rng.IntN(len(of))] }

// pick returns the first choice, or a fault.
func (g *generator) pick(right string, wrong ...string) string {
	if g.one(6) {
		return g.any(wrong...)
	}
	return right
}

// one reports once in n times that a fault is due.
func (g *generator) one(n int) bool {
	if g.faults <= 0 || g.rng.IntN(n) != 0 {
		return false
	}
	g.faults--
	return true
}

// noise is random bytes, printable or not.
func (g *generator) noise(most int) string {
	data := make([]byte, g.rng.IntN(most+1))
	printable := g.rng.IntN(2) == 0
	for i := range data {
		data[i] = byte(g.rng.Uint32())
		if printable {
			data[i] = ' ' + data[i]%95
		}
	}
	return string(data)
}

// request returns the bytes of one request; partial: nothing more comes, and
// its end may be missing. It is good until the next call.
func (g *generator) request() (raw []byte, partial bool) {
	g.faults = []int{0, 1, 2, 1000}[g.rng.IntN(4)]
	if g.one(100) {
		return []byte(g.noise(3000) + "\r\n\r\n"), true
	}
	method, target := g.target()
	body := ""
	if method == "POST" && strings.HasSuffix(target, "/orders") || g.one(10) {
		body = g.body()
	}
	end := "\r\n"
	if g.one(300) {
		end = g.any("\n", "\r", "\r\n ", "\n\t")
	}
	line := func(format string, args ...any) { g.out = append(fmt.Appendf(g.out, format, args...), end...) }
	g.out = g.out[:0]
	line("%s %s %s", method, target, g.version())
	g.headers(line)
	g.framing(line, &body)
	g.out = append(append(g.out, end...), body...)
	if g.one(200) {
		return g.out[:g.rng.IntN(len(g.out)+1)], true
	}
	return g.out, end != "\r\n"
}

func (g *generator) version() string {
	if g.one(300) {
		return g.any("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.", "http/1.1", "HTTP/1.1 ", "", g.noise(8))
	}
	return "HTTP/1.1"
}

func (g *generator) target() (method, target string) {
	sale := g.pick("open", "closed", "none", "OPEN", "-", "%6fpen", strings.Repeat("a", 64), "..", g.path(20))
	order := g.pick(fmt.Sprintf("%016x%016x", g.rng.Uint64(), g.rng.Uint64()), "1", strings.Repeat("F", 32), "x"+g.path(30))
	orders := "/api/v1/sales/" + sale + "/orders"
	method = "GET"
	if g.rng.IntN(2) == 0 {
		method = "POST"
		target = g.any(orders, orders, orders, orders, "/api/v1/orders/"+order+"/cancel", "/api/v1/orders/"+order+"/payment", "/api/v1/guests", "/sandbox/"+g.path(20)+"/pay")
	} else {
		target = g.any("/api/v1/sales/"+sale, "/api/v1/sales", "/api/v1/orders/"+order, "/api/v1/orders?sale="+sale, "/api/openapi.json",
			"/s/"+sale, "/s/"+sale+"/state.json", "/assets/"+g.path(20), "/sandbox/"+g.path(60), "/livez", "/readyz")
	}
	if g.one(20) {
		method = g.any("GET", "POST", "HEAD", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "post", "PRI", "GÉT", g.noise(12))
	}
	switch {
	case g.one(60):
		target += "?" + g.path(200)
	case g.one(60):
		target = g.any("*", "http://shop"+target, "//"+target, target+"/", target+"#x", target+"%00", target+"/../..", strings.Repeat("/a", 3000), "\\"+target, "")
	case g.one(60):
		target = g.any("/"+g.path(300), "/metrics", "/debug/pprof/", "/admin/api/v1/sales", "/problems/sold_out")
	}
	return method, target
}

// path is noise that mostly may stand in a path.
func (g *generator) path(most int) string {
	if g.one(10) {
		return g.noise(most)
	}
	const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.~%/=&;"
	data := make([]byte, g.rng.IntN(most+1))
	for i := range data {
		data[i] = plainBytes[g.rng.IntN(len(plainBytes))]
	}
	return string(data)
}

func (g *generator) headers(line func(string, ...any)) {
	if !g.one(100) {
		line("Host: %s", g.pick("shop", "a b", "", "shop:99999", strings.Repeat("h", 300)))
	}
	if !g.one(50) {
		line("X-Forwarded-For: %s", g.forwarded())
	}
	switch {
	case g.one(12):
	case g.one(12):
		line("Authorization: %s", g.spoiled())
	default:
		line("Authorization: %s", g.tokens[g.rng.IntN(len(g.tokens))])
	}
	if g.rng.IntN(4) != 0 {
		line("Idempotency-Key: %s", g.pick(fmt.Sprint(canary, g.rng.IntN(3)), "", strings.Repeat("k", 65), "a b", "ключ", g.noise(80)))
	}
	if !g.one(20) {
		line("Content-Type: %s", g.pick("application/json", "application/json; charset=utf-8", "text/plain", "application/json;;;", "", g.noise(40)))
	}
	if g.one(4) {
		line("Prefer: %s", g.any("respond-async", "wait=0", "wait=1", "wait=-1", "wait=9999999999999999999", "wait=x, wait=1", ",,,", g.noise(40)))
	}
	if g.one(8) {
		line("%s: %s", g.any("Origin", "Accept", "Accept-Encoding", "If-None-Match", "Range", "Cookie", "Expect", "Upgrade", "Traceparent", "Access-Control-Request-Method"),
			g.any("*", "gzip", "gzip;q=0, *", "https://shop.example", "null", "bytes=0-1", "100-continue", "h2c", canary, g.noise(100)))
	}
	if g.one(200) {
		line("%s: %s", g.any("X-Long", "Cookie"), strings.Repeat("long ", 100+g.rng.IntN(2000)))
	}
}

func (g *generator) forwarded() string {
	client := fmt.Sprintf("2001:db8:%x:%x::7", g.rng.IntN(1<<16), g.rng.IntN(1<<16))
	if !g.one(20) {
		return client
	}
	switch g.rng.IntN(4) {
	case 0:
		return g.noise(100)
	case 1:
		return strings.Repeat(client+", ", 40) + "127.0.0.1"
	case 2:
		return "[" + client + "]:443, 127.0.0.1"
	default:
		return client + "," + client + ",,"
	}
}

// spoiled is a token that must not count.
func (g *generator) spoiled() string {
	token := []byte(g.tokens[g.rng.IntN(len(g.tokens))])
	switch g.rng.IntN(5) {
	case 0:
		token[len("Bearer ")+g.rng.IntN(len(token)-len("Bearer "))] ^= 1 << g.rng.IntN(7)
		return string(token)
	case 1:
		return string(token[:g.rng.IntN(len(token))])
	case 2: // {"alg":"none"}
		return "Bearer eyJhbGciOiJub25lIn0." + strings.Split(string(token), ".")[1] + "."
	case 3:
		return "Bearer " + strings.Repeat("e.", g.rng.IntN(3000))
	}
	return g.any("Bearer", "Basic Og==", "bearer  ", "Bearer ..", g.noise(200))
}

func (g *generator) body() string {
	sku := "two" // sold out from the first: most orders cost no commit
	if g.rng.IntN(20) == 0 {
		sku = "one"
	}
	sku = g.pick(sku, "none", "", "-", strings.Repeat("s", 64), "<script>", "one\u0000")
	quantity := g.pick(g.any("1", "1", "2", "3"), "1001", "0", "-1", "1.0", "1e0", "1.5", "9223372036854775808", "1e999", `"1"`, "null", "true", "01", "[1]", "{}")
	body := fmt.Sprintf(`{"sku":%q,"quantity":%s}`, sku, quantity)
	if !g.one(4) {
		return body
	}
	switch g.rng.IntN(6) {
	case 0:
		return body[:g.rng.IntN(len(body))]
	case 1:
		return body + g.any(body, " ", "x", "\x00", "]")
	case 2:
		return g.noise(300)
	case 3:
		return g.any(`{}`, `[]`, `null`, `""`, `1`, ``, `{"sku":"one"}`, `{"quantity":1}`, `{"sku":"one","sku":"two","quantity":1}`,
			`{"SKU":"one","quantity":1}`, `{"sku":"one","quantity":1,"price":0}`, `{"sku":"\ud800","quantity":1}`, "\xef\xbb\xbf"+body, `{"sale":"open"}`)
	case 4:
		return strings.Repeat(g.any("[", `{"a":`, " ", "9"), g.rng.IntN(6000))
	default:
		spoilt := []byte(body)
		spoilt[g.rng.IntN(len(spoilt))] = byte(g.rng.Uint32())
		return string(spoilt)
	}
}

// framing says how long the body is, now and then in a way that two servers
// read as two.
func (g *generator) framing(line func(string, ...any), body *string) {
	length := len(*body)
	if g.one(50) {
		switch g.rng.IntN(8) {
		case 0:
			line("Transfer-Encoding: %s", g.any("chunked", "identity", "chunked, chunked", "gzip"))
		case 1:
			line("Content-Length: %d", length)
			line("Content-Length: %d", length+1)
			return
		case 2:
			line("Content-Length: %s", g.any("-1", "+1", "0x1", "1_0", "99999999999999999999", "", "1, 1"))
			return
		case 3:
			line("Content-Length : %d", length)
			return
		case 4:
			line(" folded: line")
		case 5:
			line("no colon")
		case 6:
			line("Bad\x00Name: x")
		case 7:
			line("Host: other")
		}
	}
	if length > 0 || g.one(2) {
		line("Content-Length: %d", length)
	}
}
