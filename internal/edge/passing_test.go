package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// listener is a node that tells what it hears of a request.
type listener struct {
	*httptest.Server
	pageAge int          // seconds that a page may be kept
	shown   atomic.Int64 // how often page or state were drawn
	drawing sync.Mutex   // held: the state is being drawn
	gone    atomic.Bool
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{pageAge: 60}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case l.gone.Load() && !strings.HasPrefix(r.URL.Path, "/livez"):
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/s/"):
			l.shown.Add(1)
			w.Header().Set("Cache-Control", "public, max-age=1")
			if !strings.HasSuffix(r.URL.Path, "state.json") {
				w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", l.pageAge))
			}
			w.Header().Set("Vary", "Accept-Encoding")
			l.drawing.Lock()
			defer l.drawing.Unlock()
			_, _ = io.WriteString(w, r.RequestURI+" "+r.Header.Get("Accept-Encoding"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Authorization", "Idempotency-Key"} {
			_, _ = io.WriteString(w, name+"="+strings.Join(r.Header[name], "|")+"\n")
		}
		_, _ = io.WriteString(w, "Host="+r.Host+"\nBody="+string(bytes.Repeat([]byte{'.'}, len(body)))+"\n")
	}))
	t.Cleanup(l.Close)
	return l
}

// client speaks to a proxy as a buyer does.
type client struct {
	t    *testing.T
	url  string
	http *http.Client
}

// eachFront runs a test with a proxy of either kind in front of a site.
func eachFront(t *testing.T, site edge.Site, test func(t *testing.T, c client)) {
	t.Helper()
	for _, kind := range []edge.Kind{edge.Nginx, edge.HAProxy} {
		t.Run(string(kind), func(t *testing.T) { test(t, startFront(t, kind, site)) })
	}
}

// startFront starts a proxy until the test is over.
func startFront(t *testing.T, kind edge.Kind, site edge.Site) client {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "front")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := servers.StartFront(t.Context(), kind, dir, site)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := at.Stop(); err != nil {
			t.Error(err)
		}
	})
	return client{t, at.URL(), &http.Client{Transport: transport}}
}

// ask returns status, header and body of an answer; fields are name, value,
// name, value.
func (c client) ask(method, path, body string, fields ...string) (int, http.Header, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := c.http.Do(request)
	if err != nil {
		c.t.Error(err)
		return 0, nil, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Error(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func nodeSite(l *listener) edge.Site {
	return edge.Site{Nodes: []string{l.Listener.Addr().String()}}
}

// What a buyer says of proxies does not count; what a proxy in front says of
// the buyer does, and that one address is all that nodes hear.
func TestNodesHearWhoAsksFromTheirProxyAlone(t *testing.T) {
	l := listen(t)
	forged := []string{"X-Forwarded-For", "198.51.100.1", "X-Forwarded-For", "198.51.100.2, 203.0.113.7", "X-Forwarded-Proto", "https", "Host", "shop.example:8443"}
	want := func(c client, lines ...string) {
		t.Helper()
		_, _, body := c.ask(http.MethodGet, "/api/v1/sales", "", forged...)
		for _, line := range append(lines, "Host=shop.example:8443\n") {
			if !strings.Contains(body, line) {
				c.t.Errorf("no %q in what the node hears:\n%s", line, body)
			}
		}
	}
	t.Run("in front", func(t *testing.T) {
		eachFront(t, nodeSite(l), func(t *testing.T, c client) {
			want(c, "X-Forwarded-For=127.0.0.1\n", "X-Forwarded-Proto=http\n")
		})
	})
	t.Run("behind another", func(t *testing.T) {
		site := nodeSite(l)
		site.Proxy.Behind = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		eachFront(t, site, func(t *testing.T, c client) {
			want(c, "X-Forwarded-For=203.0.113.7\n", "X-Forwarded-Proto=https\n")
		})
	})
	t.Run("behind two", func(t *testing.T) {
		site := nodeSite(l)
		site.Proxy.Behind = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("203.0.113.0/24")}
		eachFront(t, site, func(t *testing.T, c client) {
			want(c, "X-Forwarded-For=198.51.100.2\n", "X-Forwarded-Proto=https\n")
		})
	})
}

func TestABodyIsPassedOnOrRefusedInTheNodesWords(t *testing.T) {
	l := listen(t)
	site := nodeSite(l)
	site.PageOrigins = []string{"https://shop.example"}
	eachFront(t, site, func(t *testing.T, c client) {
		for _, key := range []string{"", "k"} {
			fields := []string{"Idempotency-Key", key, "Origin", "https://shop.example"}
			status, _, body := c.ask(http.MethodPost, "/api/v1/sales/drop/orders", strings.Repeat("x", 5000), fields...)
			if status != http.StatusOK || !strings.Contains(body, "Body="+strings.Repeat(".", 5000)+"\n") || !strings.Contains(body, "Idempotency-Key="+key+"\n") {
				t.Errorf("5000 bytes: %d %.200s", status, body)
			}
			status, header, body := c.ask(http.MethodPost, "/api/v1/sales/drop/orders", strings.Repeat("x", 9000), fields...)
			if status != http.StatusRequestEntityTooLarge || header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(body, `"code":"too_large"`) || header.Get("Cache-Control") != "no-store" {
				t.Errorf("9000 bytes: %d %v %s", status, header, body)
			}
			if got := header.Get("Access-Control-Allow-Origin"); got != "https://shop.example" {
				t.Errorf("the shop's page may not read the refusal: %q", got)
			}
		}
		if _, header, _ := c.ask(http.MethodPost, "/api/v1/sales/drop/orders", strings.Repeat("x", 9000), "Origin", "https://evil.example"); header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("anybody's page may read the refusal")
		}
	})
}

// One copy for all, whatever parameters and encodings they think of.
func TestWhatIsTheSameForAllIsAskedOnce(t *testing.T) {
	l := listen(t)
	eachFront(t, nodeSite(l), func(t *testing.T, c client) {
		before := l.shown.Load()
		for _, path := range []string{"/s/drop", "/s/drop?x=1", "/s/drop?y"} {
			for _, encoding := range []string{"gzip", "br, gzip;q=0.5", "deflate, gzip, zstd"} {
				status, _, body := c.ask(http.MethodGet, path, "", "Accept-Encoding", encoding)
				if status != http.StatusOK || body != "/s/drop gzip" {
					t.Errorf("%s, %s: %d %q", path, encoding, status, body)
				}
			}
		}
		if drawn := l.shown.Load() - before; drawn != 1 {
			t.Errorf("the page was drawn %d times, want once", drawn)
		}
		for _, token := range []string{"Bearer ann", "Bearer bob"} {
			if status, _, body := c.ask(http.MethodGet, "/api/v1/orders", "", "Authorization", token); status != http.StatusOK || !strings.Contains(body, "Authorization="+token+"\n") {
				t.Errorf("the API: %d %s", status, body)
			}
		}
	})
}

// nginx lets one ask for all who come before there is an answer, and shows the
// page, but no old state, where no node answers.
func TestNginxAsksOnceForAllWhoWait(t *testing.T) {
	l := listen(t)
	l.pageAge = 1
	c := startFront(t, edge.Nginx, nodeSite(l))
	l.drawing.Lock()
	var waiting sync.WaitGroup
	for range 50 {
		waiting.Go(func() {
			if status, _, _ := c.ask(http.MethodGet, "/s/drop/state.json", ""); status != http.StatusOK {
				t.Errorf("the state: %d", status)
			}
		})
	}
	for l.shown.Load() == 0 {
		if t.Context().Err() != nil {
			t.Fatal("nobody asks")
		}
	}
	l.drawing.Unlock()
	waiting.Wait()
	if drawn := l.shown.Load(); drawn > 2 { // a second may have ended
		t.Errorf("the state was drawn %d times for 50 who came at once", drawn)
	}

	if _, _, body := c.ask(http.MethodGet, "/s/%64rop", ""); body != "/s/drop " {
		t.Errorf("another spelling of the page: %q", body)
	}
	l.gone.Store(true)
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, header, _ := c.ask(http.MethodGet, "/s/drop/state.json", "")
		if status == http.StatusServiceUnavailable && header.Get("Retry-After") != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("an old state is shown: %d", status)
		}
	}
	if status, _, body := c.ask(http.MethodGet, "/s/drop", ""); status != http.StatusOK || body != "/s/drop " {
		t.Errorf("the page is gone with the nodes: %d %s", status, body)
	}
}

func TestTLSEndsAtTheProxy(t *testing.T) {
	cert, key, both := certificate(t)
	l := listen(t)
	for kind, proxy := range map[edge.Kind]edge.Proxy{edge.Nginx: {Certificate: cert, CertificateKey: key}, edge.HAProxy: {Certificate: both}} {
		t.Run(string(kind), func(t *testing.T) {
			site := nodeSite(l)
			site.Proxy = proxy
			c := startFront(t, kind, site)
			if status, _, body := c.ask(http.MethodGet, "/api/v1/sales", ""); status != http.StatusOK || !strings.Contains(body, "X-Forwarded-Proto=https\n") {
				t.Errorf("%d %s", status, body)
			}
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}}
			if response, err := (&http.Client{Transport: transport}).Get(c.url + "/api/v1/sales"); err == nil {
				_ = response.Body.Close()
				t.Error("TLS 1.1 is spoken")
			}
		})
	}
}
