package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/edge"
	"github.com/doorbuster/doorbuster/internal/servers"
)

const (
	watchers    = 10_000          // pages, each with a connection of its own
	watchFor    = 5 * time.Second // from the moment at which all have the page
	watchEvery  = time.Second     // as pages do shortly before the opening
	enterAtOnce = 64
	// originMax is how many questions a second may reach the origin.
	originMax = 2
)

// TestCDN puts what doorbuster deploy nginx writes between 10,000 pages and one
// node, as a CDN that keeps to the node's Cache-Control.
func TestCDN(t *testing.T) {
	n := serve(t, setup{})
	drop := newSale("drop", 1, map[string]int64{"a": 10})
	n.operator().publish(t, drop)
	at := startFront(t, edge.Nginx, servers.Site(strings.TrimPrefix(n.buyers, "http://")))
	crowd := make([]*watcher, watchers)
	var entering sync.WaitGroup
	began, before := time.Now(), n.answered(t)
	for first := range enterAtOnce {
		entering.Go(func() {
			for i := first; i < watchers; i += enterAtOnce {
				crowd[i] = watch(t, strings.TrimPrefix(at.URL(), "http://"), i)
				if err := crowd[i].get("/s/drop"); err != nil {
					t.Errorf("page %d: %v", i, err)
				}
			}
		})
	}
	entering.Wait()
	if t.Failed() {
		return
	}
	pages := n.answered(t)["page"] - before["page"]
	t.Logf("%d pages in %s: the origin drew %.0f", watchers, time.Since(began).Round(time.Millisecond), pages)
	if pages < 1 || pages > 2*2 { // two forms, and a minute may have ended
		t.Errorf("%.0f pages reached the origin", pages)
	}

	began, before = time.Now(), n.answered(t)
	ctx, cancel := context.WithTimeout(t.Context(), watchFor)
	defer cancel()
	var polls atomic.Int64
	var watching sync.WaitGroup
	for i, w := range crowd {
		watching.Go(func() {
			for rest(ctx, time.Duration(i)*watchEvery/watchers); ctx.Err() == nil; rest(ctx, watchEvery) {
				if err := w.get("/s/drop/state.json"); err != nil {
					t.Errorf("watcher %d: %v", i, err)
					return
				}
				polls.Add(1)
			}
		})
	}
	watching.Wait()
	took := time.Since(began)
	reached := n.answered(t)["state"] - before["state"]
	t.Logf("%d polls of %d pages in %s, %.0f a second: %.0f reached the origin, %.2f a second",
		polls.Load(), watchers, took.Round(time.Millisecond), float64(polls.Load())/took.Seconds(), reached, reached/took.Seconds())
	if polls.Load() < watchers {
		t.Errorf("only %d polls: nothing was tested", polls.Load())
	}
	if reached < 1 || reached > originMax*took.Seconds() {
		t.Errorf("%.0f polls in %s reached the origin, want %d a second or fewer", reached, took, originMax)
	}
}

// watcher is an open page.
type watcher struct {
	conn    net.Conn
	from    *bufio.Reader
	address string
}

func watch(t *testing.T, at string, i int) *watcher {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Error(err)
		return &watcher{}
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &watcher{conn: conn, from: bufio.NewReaderSize(conn, 1<<10), address: fmt.Sprintf("10.7.%d.%d", i>>8, i&255)}
}

// get wants 200 and a whole body.
func (w *watcher) get(path string) error {
	if w.conn == nil {
		return net.ErrClosed
	}
	if err := w.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w.conn, "GET %s HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: %s\r\nAccept-Encoding: gzip, br\r\n\r\n", path, w.address); err != nil {
		return err
	}
	response, err := http.ReadResponse(w.from, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || len(body) == 0 {
		return fmt.Errorf("%s %s", response.Status, body)
	}
	return response.Body.Close()
}

// answered reads how many buyers' requests the node has answered, by what they
// got.
func (n *node) answered(t *testing.T) map[string]float64 {
	t.Helper()
	status, body := n.health("/metrics")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d %s", status, body)
	}
	counts := map[string]float64{}
	for line := range strings.Lines(body) {
		var count float64
		rest, ok := strings.CutPrefix(line, `doorbuster_answers_total{answer="`)
		name, value, _ := strings.Cut(rest, `"} `)
		if _, err := fmt.Sscan(value, &count); ok && err == nil {
			counts[name] = count
		}
	}
	return counts
}
