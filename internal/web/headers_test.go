package web

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/page"
	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestPagesOfOtherOriginsMayReadWhatIsConfigured(t *testing.T) {
	for _, c := range []struct {
		configured     []string
		origin, allows string
		varies         bool
	}{
		{nil, "https://shop.example", "", false},
		{[]string{"*"}, "https://shop.example", "*", false},
		{[]string{"https://a.example", "*"}, "https://shop.example", "*", false},
		{[]string{"https://shop.example", "https://b.example"}, "https://shop.example", "https://shop.example", true},
		{[]string{"https://shop.example"}, "https://evil.example", "", true},
		{[]string{"https://shop.example"}, "https://shop.example.evil.example", "", true},
		{[]string{"https://shop.example"}, "null", "", true},
		{[]string{"https://shop.example"}, "", "", true},
	} {
		t.Run(fmt.Sprint(c.configured, c.origin), func(t *testing.T) {
			h := build(t).publish(sneakers()).walk().work()
			h.door.Options.PageOrigins = c.configured
			h.open()
			header := http.Header{"Origin": {c.origin}, "Access-Control-Request-Method": {"POST"}}
			answers := map[string]reply{
				"nowhere":   h.do(call{path: "/api/v1/nowhere", header: header}),
				"too large": h.do(call{method: "POST", path: toRetro, header: header, body: strings.Repeat(" ", 5000)}),
				"state":     h.do(call{path: "/s/retro-85/state.json", header: header}),
				"a refusal": h.do(call{method: "POST", path: toRetro, header: header}),
				"preflight": h.do(call{method: "OPTIONS", path: toRetro, header: header}),
			}
			for name, got := range answers {
				if got.header.Get("Access-Control-Allow-Origin") != c.allows || (got.header.Get("Vary") == "Origin") != c.varies {
					t.Errorf("%s: header %v", name, got.header)
				}
				if got.header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s allows credentials", name)
				}
				exposed := got.header.Get("Access-Control-Expose-Headers")
				if (exposed == "Location, Retry-After, Date, Age") != (c.allows != "") {
					t.Errorf("%s exposes %q", name, exposed)
				}
			}
			checkPreflight(t, answers["preflight"], c.allows != "")
			if page := h.do(call{path: "/s/retro-85", header: header}); page.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("the page itself may be read by other origins")
			}
		})
	}
}

func checkPreflight(t *testing.T, got reply, allowed bool) {
	t.Helper()
	if got.status != 204 || got.body != "" || got.header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("preflight: %d %s", got.status, got.body)
	}
	want := map[string]string{"Access-Control-Allow-Methods": "", "Access-Control-Allow-Headers": "", "Access-Control-Max-Age": ""}
	if allowed {
		want = map[string]string{
			"Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Prefer",
		}
	}
	for name, value := range want {
		if got.header.Get(name) != value {
			t.Errorf("preflight has %s %q, want %q", name, got.header.Get(name), value)
		}
	}
}

func TestOnlyKnownHostsAreServed(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Options.Hosts = []string{"shop.example", "[::1]"}
	h.open()
	for host, want := range map[string]int{
		"shop.example": 200, "SHOP.example:8080": 200, "[::1]": 200, "[::1]:80": 200,
		"evil.example": 400, "shop.example.evil.example": 400, "xshop.example": 400, "127.0.0.1": 400, "shop.example:80:80": 400,
	} {
		for _, path := range []string{"/s/retro-85", "/api/v1/sales", "/livez", "/nothing"} {
			got := h.do(call{path: path, header: http.Header{"Host": {host}}})
			if want == 400 {
				check(t, got, 400, shop.Malformed)
			} else if got.status != 200 && path != "/nothing" {
				t.Errorf("%s at %s: %d, want 200", path, host, got.status)
			}
		}
	}
}

// mark stands in what an answer must not repeat.
const mark = "reflected-mark"

// poison are header fields that some server or cache somewhere obeys.
func poison() map[string]string {
	return map[string]string{
		"Cache-Control": "max-age=600", "Pragma": "cache", "If-None-Match": "*", "If-Modified-Since": "Mon, 02 Jan 2006 15:04:05 GMT",
		"Accept": "text/html", "Accept-Encoding": "gzip", "X-Forwarded-Host": mark, "X-Forwarded-Proto": mark, "X-Original-URL": "/assets/" + mark,
		"X-Rewrite-URL": "/livez", "X-HTTP-Method-Override": "DELETE", "Range": "bytes=0-1", "Origin": "https://" + mark, "Cookie": "a=" + mark, "Forwarded": "host=" + mark,
	}
}

// Security line 37. No permutation of request headers makes a cache keep what is somebody's, nor
// comes back in the answer.
func TestPersonalAnswersAreNeverCached(t *testing.T) {
	h := openHouse(t, sneakers())
	won := h.buy("ann", "eu-42", "k")
	path, ann := won.header.Get("Location"), h.token("ann")
	extra := poison()
	names := slices.Sorted(maps.Keys(extra))
	for first := range names {
		header := http.Header{"Idempotency-Key": {"k"}}
		for i := range names { // every neighbourhood of headers, and all of them
			if i >= first {
				header[names[i]] = []string{extra[names[i]]}
			}
		}
		for _, c := range []call{
			{path: path, token: ann, header: header},
			{path: "/api/v1/orders?sale=retro-85", token: ann, header: header},
			{method: "POST", path: toRetro, token: ann, body: `{"sku":"eu-42","quantity":1}`, header: header},
			{method: "POST", path: path + "/payment", token: ann, header: header},
			{path: path + "?x=.css", token: ann, header: header},
			{path: path, header: header},
			{path: path + "/x.css", token: ann, header: header},
		} {
			got := h.do(c)
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("CDN-Cache-Control") != "" || got.header.Get("ETag") != "" {
				t.Errorf("%s with %v: %d, header %v; want no-store", c.path, header, got.status, got.header)
			}
			if strings.Contains(got.body, mark) || strings.Contains(fmt.Sprint(got.header), mark) {
				t.Errorf("%s with %v repeats what it was sent: %s", c.path, header, got.body)
			}
		}
	}
}

// Security line 37: what a cache keeps for all is the same whoever asked, but
// for the two headers that it is told of.
func TestNoHeaderChangesWhatIsKeptForAll(t *testing.T) {
	h := openHouse(t, sneakers())
	extra := poison()
	delete(extra, "Accept-Encoding") // Vary names it
	delete(extra, "If-None-Match")   // a question of its own: 304
	serverTime := regexp.MustCompile(`"server_time":"[^"]*"`)
	told := func(got reply) string {
		kept := got.header.Clone()
		kept.Del("Date") // and nothing else
		return fmt.Sprint(got.status, kept, serverTime.ReplaceAllString(got.body, ""))
	}
	names := slices.Sorted(maps.Keys(extra))
	asset := "/assets/" + h.door.Pages.AssetNames()[0]
	for _, path := range []string{"/s/retro-85", "/s/retro-85/state.json", "/api/v1/sales", "/api/v1/sales/retro-85", "/api/openapi.json", asset} {
		plain := told(h.do(call{path: path}))
		for first := range names {
			for _, chosen := range [][]string{names[first:], names[first : first+1]} {
				header := http.Header{}
				for _, name := range chosen {
					header.Set(name, extra[name])
				}
				if got := told(h.do(call{path: path, header: header})); got != plain {
					t.Errorf("%s with %v:\n%s\nwithout:\n%s", path, header, got, plain)
				}
			}
		}
	}
}

func TestSharedAnswersAreCachedForASecond(t *testing.T) {
	h := openHouse(t, sneakers())
	for _, path := range []string{"/api/v1/sales", "/api/v1/sales/retro-85", "/s/retro-85/state.json"} {
		got := h.do(call{path: path, token: h.token("ann")})
		if got.header.Get("Cache-Control") != "public, max-age=1" || !strings.Contains(got.header.Get("CDN-Cache-Control"), "stale-while-revalidate") {
			t.Errorf("%s: header %v", path, got.header)
		}
	}
}

func TestOnlyATrustedProxyTellsTheClientsAddress(t *testing.T) {
	for trusted, want := range map[string]int{"": 429, "127.0.0.0/8": 200} {
		h := build(t).publish(sneakers()).walk().work()
		prefixes, err := gate.ParsePrefixes(trusted)
		must(t, err)
		h.door.Gate.Proxies = gate.NewProxies(prefixes)
		h.door.Gate.Addresses = gate.NewLadder(gate.Rate{PerSecond: 0.1, Burst: 1}, 0, 1<<10)
		h.open()
		for i := range 5 {
			client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String()
			got := h.do(call{path: "/api/v1/sales", header: http.Header{"X-Forwarded-For": {"203.0.113.9, " + client}}})
			if i > 0 && got.status != want {
				t.Errorf("trusted %q: client %d got %d, want %d", trusted, i, got.status, want)
			}
		}
		spoofed := h.do(call{path: "/api/v1/sales", header: http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.1"}}})
		check(t, spoofed, 429, shop.TooManyRequests) // what stands left of the client is not read
	}
}

func TestWhatIsMountedIsServedAndNotCached(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("X-Signature"), body)
	})
	h.door.Mounts = map[string]http.Handler{"/sandbox/": echo, "/payments/sandbox": echo}
	h.open()
	got := h.do(call{method: "POST", path: "/payments/sandbox?a=b", body: "{}", header: http.Header{"X-Signature": {"s"}}})
	if got.status != 200 || got.body != "POST /payments/sandbox s {}" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %q %v", got.status, got.body, got.header)
	}
	if got := h.do(call{path: "/sandbox/abc/pay"}); got.body != "GET /sandbox/abc/pay  " {
		t.Errorf("got %d %q", got.status, got.body)
	}
	for _, path := range []string{"/sandbox", "/payments/sandboxes", "/payments/sandbox/", "/sandbox/../s/retro-85", "/sandbox/%2e%2e/x", "/sandbox//x", "/payments"} {
		check(t, h.do(call{path: path}), 404, shop.NotFound)
	}
}

// TestAPersonWhoIsLostReadsAPage: browsers ask for text/html where somebody
// opens an address; programs do not, and the API is theirs.
func TestAPersonWhoIsLostReadsAPage(t *testing.T) {
	h := openHouse(t, sneakers())
	accept := func(language string) http.Header {
		return http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}, "Accept-Language": {language}}
	}
	for language, want := range map[string]string{"de, en;q=0.5": "There is no sale here", "zh-CN": "这里没有抢购活动"} {
		for _, path := range []string{"/", "/s/none", "/s/retro-85/", "/shop"} {
			got := h.do(call{path: path, header: accept(language)})
			if got.status != 404 || got.header.Get("Content-Type") != page.ContentType || !strings.Contains(got.body, want) ||
				got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%s in %s: %d %v\n%s", path, language, got.status, got.header, got.body)
			}
		}
	}
	for name, c := range map[string]call{
		"a program":              {path: "/s/none"},
		"the API":                {path: "/api/v1/none", header: accept("en")},
		"a form that goes wrong": {method: "POST", path: "/none", header: accept("en")},
	} {
		t.Run(name, func(t *testing.T) { check(t, h.do(c), 404, shop.NotFound) })
	}
}

func TestANodeThatIsNotReadySaysSoAndNoMore(t *testing.T) {
	h := build(t).publish(sneakers()).walk().work()
	h.door.Ready = func() bool { return false }
	h.open()
	for path, want := range map[string]string{"/readyz": "503 not ready\n", "/healthz": "503 not ready\n", "/livez": "200 ok\n"} {
		if got := h.do(call{path: path}); fmt.Sprintf("%d %s", got.status, got.body) != want || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %s", path, got.status, got.body, want)
		}
	}
}

// What is the same for everybody can be forgotten by its sale's name; what is
// not has none, and neither has anything where nobody asked for names.
func TestASaleIsNamedToCDNs(t *testing.T) {
	shared := []string{"/s/retro-85", "/s/retro-85/state.json", "/api/v1/sales/retro-85"}
	for _, field := range []string{"Surrogate-Key", "Cache-Tag"} {
		h := build(t).publish(sneakers()).walk()
		h.door.Options.CacheTagField = field
		h.open()
		h.move("retro-85", shop.VerbPause) // another display of the same sale
		for _, path := range shared {
			if got := h.do(call{path: path}).header.Get(field); got != "doorbuster-sale-retro-85" {
				t.Errorf("%s: %s %q", path, field, got)
			}
		}
		for _, path := range []string{"/s/none", "/api/v1/sales", "/api/v1/orders?sale=retro-85", "/livez"} {
			if got := h.do(call{path: path, token: h.token("ann")}).header.Get(field); got != "" {
				t.Errorf("%s: %s %q", path, field, got)
			}
		}
	}
	h := openHouse(t, sneakers())
	for _, path := range shared {
		if got := h.do(call{path: path}).header; got.Get("Surrogate-Key") != "" || got.Get("Cache-Tag") != "" {
			t.Errorf("%s: %v", path, got)
		}
	}
}
