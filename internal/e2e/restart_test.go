package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDrain: SIGTERM finishes what is in flight.
func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run("requests in flight are answered", func(t *testing.T) {
		n, c := opened(t, setup{})
		var asking sync.WaitGroup
		late := begin(t, n, c, "half-sent")
		answers := make([]*answer, 200)
		for i := range answers {
			who := c.shopper(t, fmt.Sprintf("in-flight-%d", i))
			asking.Go(func() { answers[i] = who.buy(t.Context(), wish{c.sale.ID, "one", "one", 1}) })
		}
		within(t, readyMax, func() error { // the crowd is in the midst
			if n.operator().sale(t, c.sale.ID).sum().Held == 0 {
				return fmt.Errorf("nobody has bought yet")
			}
			return nil
		})
		n.terminate(t)
		n.says(t, "stopping")
		if status := late.finish(t); status != http.StatusCreated {
			t.Errorf("a request that was half sent at SIGTERM: %d, want 201", status)
		}
		asking.Wait()
		if code := n.wait(t, drainMax); code != 0 {
			t.Errorf("exit %d, want 0", code)
		}
		n.start(t)
		n.ready(t)
		c.kept(t, n)
	})
	t.Run("a second signal ends at once", func(t *testing.T) {
		n, c := opened(t, setup{})
		hanging := begin(t, n, c, "hanging")
		defer hanging.close()
		n.terminate(t)
		n.says(t, "stopping")
		began := time.Now()
		n.terminate(t)
		n.wait(t, readyMax)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("ended %s after the second signal, want at once", took)
		}
		n.start(t)
		n.ready(t)
		c.kept(t, n)
	})
}

// half is a request of which only the first part was sent.
type half struct {
	conn net.Conn
	rest string
}

// begin sends the first part of an order.
func begin(t *testing.T, n *node, c *counter, name string) half {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.buyers, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"sku":"one","quantity":1}`
	head := fmt.Sprintf("POST /api/v1/sales/%s/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		c.sale.ID, c.shopper(t, name).bearer, len(body))
	if _, err := conn.Write([]byte(head + body[:10])); err != nil {
		t.Fatal(err)
	}
	c.history.note(name, &answer{wish: wish{c.sale.ID, "", "one", 1}, sent: c.history.tick()})
	return half{conn, body[10:]}
}

// finish sends what is left and returns the answer's status.
func (h half) finish(t *testing.T) int {
	t.Helper()
	defer h.close()
	if _, err := h.conn.Write([]byte(h.rest)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(h.conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

func (h half) close() { _ = h.conn.Close() }

// TestRestart: a node goes on where it was, however it ended.
func TestRestart(t *testing.T) {
	t.Parallel()
	n := serve(t, setup{})
	op, s := n.operator(), newStreet(t, n, 8)
	stock := map[string]int64{"one": 3}
	for _, id := range []string{"scheduled", "open", "paused", "closed"} {
		each := newSale(id, 3, stock)
		if id == "scheduled" {
			each.OpensAt = each.OpensAt.Add(time.Hour)
		}
		op.publish(t, each)
	}
	who := s.shopper(t, "buyer")
	held := map[string]*order{}
	for _, id := range []string{"open", "paused", "closed"} {
		a := who.buy(t.Context(), wish{id, "first", "one", 1})
		if a.kind() != decided {
			t.Fatalf("buy in %s: %s", id, a)
		}
		held[id] = a.order
	}
	op.move(t, "paused", "pause")
	op.move(t, "closed", "close")
	for _, end := range []func(){func() { n.stop(t) }, n.kill} {
		end()
		n.start(t)
		n.ready(t)
		for _, id := range []string{"scheduled", "open", "paused", "closed"} {
			if phase := op.sale(t, id).Phase; phase != id {
				t.Errorf("phase of %s after the restart: %s", id, phase)
			}
		}
		for id, want := range held {
			now, status := who.order(t.Context(), want.ID)
			if now == nil || now.Status != "awaiting_payment" || now.PayBy == nil || *now.PayBy != *want.PayBy || now.Amount != want.Amount {
				t.Errorf("order in %s after the restart: %d %+v, want %+v", id, status, now, want)
			}
			again := who.buy(t.Context(), wish{id, "first", "one", 1})
			if again.status != http.StatusOK || again.order.ID != want.ID {
				t.Errorf("the same key in %s after the restart: %s, want 200 and the same order", id, again)
			}
		}
		for id, code := range map[string]string{"scheduled": "not_open", "paused": "paused", "closed": "closed"} {
			if a := who.buy(t.Context(), wish{id, "second", "one", 1}); a.code != code {
				t.Errorf("a new key in %s after the restart: %s, want %s", id, a, code)
			}
		}
	}
	for id, each := range held { // holds can be paid in any phase
		if err := op.paid(each.ID, "till"); err != nil {
			t.Errorf("pay in %s: %v", id, err)
		}
	}
	n.audited(t)
}

// TestPublishAgain: --sale is safe at every restart.
func TestPublishAgain(t *testing.T) {
	t.Parallel()
	document := newSale("again", 1, map[string]int64{"one": 10})
	file := write(t, "again.json", document.document())
	n := serve(t, setup{args: []string{"--sale", file}})
	op := n.operator()
	if all := op.sale(t, "again").sum(); all.Total != 10 {
		t.Fatalf("published by --sale: %+v", all)
	}
	more := *document
	more.Items = []item{document.Items[0]}
	more.Items[0].Stock = 15
	op.publish(t, &more)
	op.move(t, "again", "pause")
	n.stop(t)
	n.start(t)
	n.ready(t)
	if now := op.sale(t, "again"); now.sum().Total != 15 || now.Phase != "paused" {
		t.Errorf("after a restart with the first document: %+v %s, want 15 units, paused", now.sum(), now.Phase)
	}
	n.stop(t)

	dearer := *document
	dearer.Items = []item{document.Items[0]}
	dearer.Items[0].Price.Amount++
	n.args = []string{"--sale", write(t, "dearer.json", dearer.document())}
	n.start(t)
	if code := n.wait(t, readyMax); code != 2 {
		t.Errorf("a document that breaks a promise: exit %d, want 2", code)
	}
	if log := n.read(); !strings.Contains(log, "price of one") {
		t.Errorf("the log does not say why:\n%s", tail(log, 1000))
	}
	n.args = nil
	n.start(t)
	n.ready(t)
	if price := op.sale(t, "again").item("one").Price; price != document.Items[0].Price {
		t.Errorf("price after the refused change: %+v", price)
	}
}

// write puts a document into a file of its own.
func write(t *testing.T, name string, document any) string {
	t.Helper()
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUnpaidUnitsReturn: at the deadline a unit goes to whoever asks next.
func TestUnpaidUnitsReturn(t *testing.T) {
	t.Parallel()
	n := serve(t, setup{})
	op, s := n.operator(), newStreet(t, n, 8)
	only := newSale("only", 1, map[string]int64{"one": 1, "spare": 2})
	op.publish(t, only)
	first, next, slow := s.shopper(t, "first"), s.shopper(t, "next"), s.shopper(t, "slow")
	won := first.buy(t.Context(), wish{"only", "k", "one", 1})
	if won.kind() != decided || won.order.PayBy == nil {
		t.Fatalf("the first buyer: %s", won)
	}
	payBy, err := time.Parse(time.RFC3339, *won.order.PayBy)
	if err != nil {
		t.Fatal(err)
	}
	lost := next.buy(t.Context(), wish{"only", "k", "one", 1})
	if lost.code != "sold_out" || lost.mayReturn == nil || !*lost.mayReturn {
		t.Errorf("while the unit is held: %s, want sold_out that may return", lost)
	}
	dozed := slow.buy(t.Context(), wish{"only", "k", "spare", 1})
	if dozed.kind() != decided {
		t.Fatalf("the slow buyer: %s", dozed)
	}
	n.kill() // a deadline passes over restarts
	n.start(t)
	n.ready(t)
	within(t, time.Until(payBy)+10*time.Second, func() error {
		a := next.buy(t.Context(), wish{"only", "k", "one", 1})
		if a.kind() != decided {
			time.Sleep(300 * time.Millisecond) // a buyer may ask five times a second
			return fmt.Errorf("the next buyer: %s", a)
		}
		return nil
	})
	if early := time.Until(payBy); early > 0 {
		t.Errorf("the unit was sold again %s before the deadline", early)
	}
	if now, _ := first.order(t.Context(), won.order.ID); now == nil || now.Status != "expired" {
		t.Errorf("the first buyer's order: %+v, want expired", now)
	}
	late := &order{}
	op.must(t, http.MethodPost, "/orders/"+won.order.ID+"/paid", map[string]string{"reference": "late"}, late, http.StatusOK)
	if late.Status != "refund_due" {
		t.Errorf("paid after the end, with no unit left: %s, want refund_due", late.Status)
	}
	within(t, 10*time.Second, func() error {
		if now, _ := slow.order(t.Context(), dozed.order.ID); now == nil || now.Status != "expired" {
			return fmt.Errorf("the slow buyer's order: %+v, want expired", now)
		}
		return nil
	})
	op.must(t, http.MethodPost, "/orders/"+dozed.order.ID+"/paid", map[string]string{"reference": "later"}, late, http.StatusOK)
	if late.Status != "paid" {
		t.Errorf("paid after the end, with units left: %s, want paid", late.Status)
	}
	for _, fault := range s.history.faults(only, op.orders(t, "only")) {
		t.Error(fault)
	}
	n.audited(t)
}
