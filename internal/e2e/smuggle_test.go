package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/web/webtest"
)

// tap stands between a proxy and a node and keeps what passes, by connection.
type tap struct {
	address string
	mu      sync.Mutex
	links   []*tapped
}

type tapped struct {
	asked, answered bytes.Buffer
	health          bool // a check of the proxy's own
}

// startTap listens until the test is over.
func startTap(t *testing.T, node string) *tap {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{address: listener.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	var links sync.WaitGroup
	links.Go(func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			links.Go(func() { p.pass(ctx, front, node) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		stop()
		links.Wait()
	})
	return p
}

func (p *tap) pass(ctx context.Context, front net.Conn, node string) {
	back, err := new(net.Dialer).DialContext(ctx, "tcp", node)
	if err != nil {
		_ = front.Close()
		return
	}
	end := func() { _, _ = front.Close(), back.Close() }
	defer context.AfterFunc(ctx, end)()
	link := &tapped{}
	p.mu.Lock()
	p.links = append(p.links, link)
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range []struct {
		to, from net.Conn
		kept     *bytes.Buffer
	}{{back, front, &link.asked}, {front, back, &link.answered}} {
		both.Go(func() {
			defer end()
			_, _ = io.Copy(io.MultiWriter(locked{&p.mu, way.kept}, way.to), way.from)
		})
	}
	both.Wait()
}

// locked writes under a lock.
type locked struct {
	mu *sync.Mutex
	to io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(b)
}

// take returns what the node was asked since the last call, and how many
// answers it gave; health checks are left out.
func (p *tap) take() (asked string, answers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, link := range p.links {
		link.health = link.health || bytes.HasPrefix(link.asked.Bytes(), []byte("GET /readyz "))
		if !link.health {
			asked += link.asked.String()
			answers += strings.Count(link.answered.String(), "HTTP/1.1 ") // no body has it
		}
		link.asked.Reset()
		link.answered.Reset()
	}
	return asked, answers
}

const (
	afterwards = "/behind-the-first"
	quietMax   = 2 * time.Second // a proxy that says nothing so long waits for more
)

// say sends bytes as they are, and another request behind them; it returns the
// statuses of all answers, and whether the connection was closed.
func say(t *testing.T, address, text string) (statuses []int, closed bool) {
	t.Helper()
	c := connect(t, address)
	_, _ = io.WriteString(c, text+"GET "+afterwards+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(quietMax))
	all, err := io.ReadAll(c)
	for part := range bytes.SplitSeq(all, []byte("HTTP/1.")) {
		if len(part) >= 5 && (part[0] == '0' || part[0] == '1') {
			if status, err := strconv.Atoi(string(part[2:5])); err == nil {
				statuses = append(statuses, status)
			}
		}
	}
	return statuses, err == nil
}

// straightened are those of which a proxy makes one sound request; all others
// are refused, by the proxy or by the node.
func straightened(kind edge.Kind) []string {
	both := []string{
		"HTTP/1.2", "a bare LF as the last line", "a bare LF behind a field", "a bare LF behind the request", "a bare LF first",
		"an empty line first", "bare LFs everywhere", "two spaces",
	}
	if kind == edge.Nginx {
		return append(both, "HTTP/1.10", "a field without a colon", "an absolute target", "an absolute target elsewhere",
			"chunks alone", "chunks with bare LF", "letters beyond ASCII in a name")
	}
	return append(both, "HTTP/2.0", "HTTP/9.9", "a NUL in a list of proxies", "a list of lengths", "a tab for a space",
		"an obsolete fold", "an obsolete fold with a tab", "two lengths")
}

// TestNothingIsSmuggledPastAProxy sends to each proxy what the node itself
// refuses: proxy and node agree on how many requests that is, and nobody gets
// another one's answer. Security line 7.
func TestNothingIsSmuggledPastAProxy(t *testing.T) {
	n := serve(t, setup{args: []string{"--limit-address", "0"}})
	n.operator().publish(t, newSale("retro-85", 1, map[string]int64{"eu-42": 100}))
	for _, kind := range proxies() {
		p := startTap(t, strings.TrimPrefix(n.buyers, "http://"))
		site := servers.Site(p.address)
		site.LimitAddress = gate.Rate{}
		front := startFront(t, kind, site)
		p.take()
		corpus, fates := webtest.Smuggled(), map[string]int{}
		for _, name := range sorted(corpus) {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				statuses, closed := say(t, strings.TrimPrefix(front.URL(), "http://"), corpus[name])
				asked, answers := p.take()
				fate := one(t, statuses, asked, answers)
				fates[fate]++
				if !closed {
					t.Error("the connection goes on")
				}
				if fate == sounded && !slices.Contains(straightened(kind), name) {
					t.Errorf("of this the proxy makes a request that the node takes: %v to %q", statuses, asked)
				}
				if status, body := fetch(t.Context(), front.URL()+"/api/v1/sales"); status != http.StatusOK || !strings.Contains(body, `"retro-85"`) {
					t.Errorf("somebody else hears %d %s", status, body)
				}
				p.take()
			})
		}
		t.Logf("%s, of %d: %v", kind, len(corpus), fates)
	}
}

const (
	byProxy = "refused by the proxy"
	byNode  = "refused by the node"
	sounded = "made sound by the proxy"
)

// one wants what was sent to be one request, and another behind it, for proxy
// and node alike, or none.
func one(t *testing.T, statuses []int, asked string, answers int) (fate string) {
	t.Helper()
	whole := strings.ReplaceAll(asked, "\r\n", "")
	heads := strings.Count(asked, " HTTP/1.1\r\n")
	lower := strings.ToLower(asked)
	switch {
	case strings.ContainsAny(whole, "\r\n"), heads != answers, strings.Contains(lower, "content-length") && strings.Contains(lower, "transfer-encoding"):
		t.Errorf("the node is asked %q, and answers %d times", asked, answers)
	case heads == 0:
		refusals := []int{http.StatusBadRequest, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}
		if len(statuses) > 1 || len(statuses) == 1 && !slices.Contains(refusals, statuses[0]) {
			t.Errorf("the proxy answers %v, want one refusal", statuses)
		}
		return byProxy
	case len(statuses) == 0 && heads == 1: // HTTP/0.9 has no status, and nothing behind it
		return byNode
	case len(statuses) != 2 || heads != 2 || statuses[1] != http.StatusNotFound || !strings.Contains(asked, "GET "+afterwards+" "):
		t.Errorf("answers %v to %q, want one to each of two", statuses, asked)
	case statuses[0] == http.StatusBadRequest:
		return byNode
	}
	return sounded
}
