package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/servers"
)

// proxies are those that deploy writes.
func proxies() []edge.Kind { return []edge.Kind{edge.Nginx, edge.HAProxy} }

// startFront starts a proxy until the test is over.
func startFront(t *testing.T, kind edge.Kind, site edge.Site) servers.Front {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "front")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := servers.StartFront(t.Context(), kind, dir, site)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestEdge hurts nodes behind each proxy: who looks or orders under a key does
// not notice.
func TestEdge(t *testing.T) {
	f := startFleet(t, servers.FleetOptions{Nodes: 3, Args: []string{"--limit-address", "0", "--limit-buyer", "0"}})
	op := f.operator()
	for _, kind := range proxies() {
		t.Run(string(kind), func(t *testing.T) {
			var nodes []string
			for _, n := range f.Nodes {
				nodes = append(nodes, n.Buyers)
			}
			site := servers.Site(nodes...)
			site.LimitAddress, site.LimitBuyer = gate.Rate{}, gate.Rate{}
			e := &errands{
				t: t, street: newStreetAt(t, startFront(t, kind, site).URL(), errandRunners),
				sale: newSale("errands-"+string(kind), 1000, map[string]int64{"a": 1_000_000}),
			}
			op.publish(t, e.sale)
			within(t, readyMax, func() error { return f.shows(t.Context(), e.sale.ID) })
			e.during(func() { f.dies(t) })
			e.during(func() { f.rolls(t) })
			e.tell()
			f.returns(t, e.street)
		})
	}
}

// shows wants every node to be ready, and to have heard of a sale.
func (f *fleet) shows(ctx context.Context, sale string) error {
	for i, n := range f.Nodes {
		if status, body := fetch(ctx, "http://"+n.Buyers+"/s/"+sale+"/state.json"); status != http.StatusOK {
			return fmt.Errorf("node %d: %d %s", i+1, status, body)
		}
	}
	return f.healthy(ctx)
}

// dies kills a node as a power cut would, and leaves it dead for a while.
func (f *fleet) dies(t *testing.T) {
	if err := f.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	rest(t.Context(), 3*time.Second)
	if err := f.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
}

// rolls restarts one node after the other, as an upgrade does.
func (f *fleet) rolls(t *testing.T) {
	for i, n := range f.Nodes {
		rest(t.Context(), balancerMax)
		if err := n.Stop(); err != nil {
			t.Errorf("node %d: %v", i+1, err)
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		within(t, readyMax, func() error { return f.healthy(t.Context()) })
	}
}

const (
	errandRunners = 24
	darkAsks      = 40 // enough for a proxy to hold every node for gone
)

// returns takes all nodes away until the proxy has given up each, and wants the
// first that is back to be found at once.
func (f *fleet) returns(t *testing.T, s *street) {
	for _, n := range f.Nodes {
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	ask := func() reply {
		asked++
		got, err := s.shopper(t, fmt.Sprintf("late-%d", asked)).send(context.WithoutCancel(t.Context()), http.MethodGet, "/api/v1/orders?sale=none", nil, "")
		if err != nil {
			t.Errorf("the proxy does not answer: %v", err)
		}
		return got
	}
	for range darkAsks {
		got := ask()
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(string(got.body), `"code":"unavailable"`) {
			t.Errorf("without a node the proxy says %d %v %s", got.status, got.header, got.body)
		}
	}
	if err := f.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan error, 1)
	go func() { ready <- f.Nodes[0].Ready(t.Context()) }()
	for waiting := true; waiting; {
		select {
		case err := <-ready:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		default:
			ask()
		}
	}
	for range darkAsks {
		if got := ask(); got.header.Get("Proxy-Status") != "" {
			t.Errorf("a node is back, and the proxy says %d %s", got.status, got.header.Get("Proxy-Status"))
		}
	}
	for _, n := range f.Nodes[1:] {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	within(t, readyMax, func() error { return f.healthy(t.Context()) })
}

// errands are what people do all the time: look at the page, at their orders,
// and order under a key.
type errands struct {
	*street
	t    *testing.T
	sale *sale

	asked, again atomic.Int64 // again: a node said "ask again", with a time
	runs         atomic.Int64
	mu           sync.Mutex
	lost         map[string]int
}

// during runs errands while do runs.
func (e *errands) during(do func()) {
	ctx, stop := context.WithCancel(e.t.Context())
	var runners sync.WaitGroup
	for range errandRunners {
		who := e.shopper(e.t, fmt.Sprintf("runner-%d", e.runs.Add(1)))
		runners.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				e.run(context.WithoutCancel(ctx), who, i)
			}
		})
	}
	do()
	stop()
	runners.Wait()
}

// run asks one thing. It is asked to the end, also where the others stop.
func (e *errands) run(ctx context.Context, who *shopper, turn int) {
	method, path, key, want := http.MethodGet, "/s/"+e.sale.ID+"/state.json", "", http.StatusOK
	var body []byte
	switch turn % 4 {
	case 1:
		path = "/s/" + e.sale.ID
	case 2:
		path = "/api/v1/orders?sale=" + e.sale.ID
	case 3:
		method, path, key, want = http.MethodPost, "/api/v1/sales/"+e.sale.ID+"/orders", fmt.Sprintf("key-%d", turn), http.StatusCreated
		body = []byte(`{"sku":"a","quantity":1}`)
	}
	got, err := who.send(ctx, method, path, body, key)
	e.asked.Add(1)
	switch {
	case err != nil:
		e.lose(method + ": " + errors.Unwrap(err).Error())
	case strings.Contains(got.header.Get("Proxy-Status"), "destination_unavailable"):
		e.lose(method + ": " + got.header.Get("Proxy-Status"))
	case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "",
		got.status == http.StatusConflict && strings.Contains(string(got.body), `"may_return":true`): // whoever supplies the stock was killed
		e.again.Add(1)
		rest(ctx, 20*time.Millisecond)
	case got.status == http.StatusAccepted && key != "", got.status == http.StatusOK && key != "": // pending; decided at another node
	case got.status != want:
		e.lose(fmt.Sprintf("%s %s: %d %s", method, path, got.status, got.body))
	}
}

func (e *errands) lose(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost == nil {
		e.lost = map[string]int{}
	}
	e.lost[what]++
}

// tell wants nothing to be lost.
func (e *errands) tell() {
	e.t.Logf("%d errands, %d were told by a node to ask again", e.asked.Load(), e.again.Load())
	for _, what := range sorted(e.lost) {
		e.t.Errorf("lost %d times: %s", e.lost[what], what)
	}
	if e.asked.Load() == 0 || e.again.Load() > e.asked.Load()/10 {
		e.t.Errorf("of %d errands %d found a node that could not answer", e.asked.Load(), e.again.Load())
	}
}

// TestEdgeLimits floods a node through a proxy: buyers come to it directly, or
// through another one, which writes their address behind what they say.
func TestEdgeLimits(t *testing.T) {
	for _, kind := range proxies() {
		n := serve(t, setup{})
		site := servers.Site(strings.TrimPrefix(n.buyers, "http://"))
		t.Run(string(kind)+" behind another", func(t *testing.T) {
			loud := flooder{from(t, "127.0.0.1"), func(i int) string { return fmt.Sprintf("198.51.%d.%d, 203.0.113.1", i>>8, i&255) }}
			quiet := flooder{from(t, "127.0.0.1"), func(int) string { return "203.0.113.1, 203.0.113.2" }}
			floods(t, startFront(t, kind, site), loud, quiet)
		})
		t.Run(string(kind)+" from one line of IPv6", func(t *testing.T) {
			loud := flooder{from(t, "127.0.0.1"), func(i int) string { return fmt.Sprintf("2001:db8:5:6:%x::%x", i+1, i) }}
			quiet := flooder{from(t, "127.0.0.1"), func(i int) string { return fmt.Sprintf("2001:db8:5:7::%x", i) }}
			floods(t, startFront(t, kind, site), loud, quiet)
		})
		site.Proxy.Behind = nil
		t.Run(string(kind)+" in front", func(t *testing.T) {
			loud := flooder{from(t, "127.0.0.1"), func(i int) string { return fmt.Sprintf("198.51.%d.%d", i>>8, i&255) }}
			quiet := flooder{from(t, "127.0.0.2"), func(int) string { return "127.0.0.1" }}
			floods(t, startFront(t, kind, site), loud, quiet)
		})
	}
}

// flooder is a client, and whom it says it is.
type flooder struct {
	client *http.Client
	forged func(call int) string
}

const (
	floodCalls   = 4000
	floodRunners = 32
)

// floods wants a flood from one address to be held, whoever it says to be: by
// the proxy what is far above the limit, by the node the rest; and somebody else to
// be served.
func floods(t *testing.T, at servers.Front, loud, quiet flooder) {
	var passed, byNode, byProxy atomic.Int64
	began := time.Now()
	var runners sync.WaitGroup
	for r := range floodRunners {
		runners.Go(func() {
			for i := range floodCalls / floodRunners {
				got := loud.call(t, at, r*floodCalls/floodRunners+i)
				switch {
				case got.status == http.StatusOK:
					passed.Add(1)
				case got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" ||
					got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(got.body), `"code":"too_many_requests"`):
					t.Errorf("the flood hears %d %v %s", got.status, got.header, got.body)
				case got.header.Get("Proxy-Status") != "":
					byProxy.Add(1)
				default:
					byNode.Add(1)
				}
			}
		})
	}
	for i := range 20 {
		if got := quiet.call(t, at, i); got.status != http.StatusOK {
			t.Errorf("somebody else hears %d %s", got.status, got.body)
		}
	}
	runners.Wait()
	took := time.Since(began)
	t.Logf("%d calls in %s: %d passed, %d turned away by the node, %d by the proxy", floodCalls, took.Round(time.Millisecond), passed.Load(), byNode.Load(), byProxy.Load())
	site := servers.Site("")
	if most := site.LimitAddress.PerSecond*(took.Seconds()+1) + float64(site.LimitAddress.Burst); float64(passed.Load()) > most {
		t.Errorf("%d calls of one address passed, at most %.0f may", passed.Load(), most)
	}
	if reached := passed.Load() + byNode.Load(); byProxy.Load() == 0 || reached > floodCalls/2 {
		t.Errorf("%d of %d calls reached the node, %d were shed before it", reached, floodCalls, byProxy.Load())
	}
}

// from is a client with an address of its own.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0))}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: floodRunners}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// call asks as somebody who pretends to be a proxy for another one.
func (f flooder) call(t *testing.T, at servers.Front, number int) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.URL()+"/api/v1/sales", nil)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	request.Header.Set("X-Forwarded-For", f.forged(number))
	got, err := do(f.client, request)
	if err != nil {
		t.Error(err)
	}
	return got
}
