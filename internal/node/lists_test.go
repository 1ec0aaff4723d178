package node

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
)

// A node that stands alone follows its list file, and knows after a restart what
// an operator wrote.
func TestListsOfANodeAloneAreLiveAndLast(t *testing.T) {
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "block.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# nobody yet\n")
	doc := sale(5, 100)
	begin := func() *house {
		listen := "127.0.0.1:0"
		c, err := config.Read(config.Flags{Data: &folder, Listen: &listen, AdminListen: &listen, BlockList: &file}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		return startWith(t, c, doc).ready()
	}
	h := begin()
	answers := func(want int) func() bool {
		return func() bool {
			status, _ := h.call("GET", h.buyers("/api/v1/sales"), "", "")
			return status == want
		}
	}
	write("127.0.0.0/8 # us\n")
	h.until("the file's block", answers(http.StatusForbidden))
	write("127.0.0.0/8 # us\nnonsense\n")
	if status, answer := h.call("PUT", h.operators("/admin/api/v1/lists/allow?entry=127.0.0.1"), h.adminToken(), ""); status != http.StatusCreated {
		t.Fatalf("allow: %d %v", status, answer)
	}
	if !answers(http.StatusOK)() {
		t.Error("an allowed address in a blocked network is turned away")
	}
	write("127.0.0.0/8\n")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = begin()
	if !answers(http.StatusOK)() {
		t.Error("the allowed address is turned away after a restart")
	}
}

// TestAListGetsAround: whom an operator blocks at one node is turned away at the
// other within a second, also when every message is lost; the rest of the bound
// is for a slow machine.
func TestAListGetsAround(t *testing.T) {
	for name, change := range map[string]func(*Node){"as it is": nil, "every message lost": cut} {
		t.Run(name, func(t *testing.T) {
			q := openQuarter(t)
			doc := sale(5, 100)
			a, b := q.node(change, doc).ready(), q.node(change, doc).ready()
			lists := a.operators("/admin/api/v1/lists/block?entry=")
			hears := func(what string, want int) {
				t.Helper()
				took := b.until(what, func() bool {
					status, _ := b.call("GET", b.buyers("/api/v1/sales"), "", "")
					return status == want
				})
				if took > 4*time.Second {
					t.Errorf("%s took %s", what, took)
				}
				t.Logf("%s: %s", what, took.Round(time.Millisecond))
			}
			if status, answer := a.call("PUT", lists+"127.0.0.1", a.adminToken(), `{"reason":"test"}`); status != http.StatusCreated {
				t.Fatalf("block: %d %v", status, answer)
			}
			if status, _ := a.call("GET", a.buyers("/api/v1/sales"), "", ""); status != http.StatusForbidden {
				t.Errorf("the node that was told answers %d, want 403 at once", status)
			}
			hears("a block", http.StatusForbidden)
			if status, answer := a.call("DELETE", lists+"127.0.0.1", a.adminToken(), ""); status != http.StatusOK {
				t.Fatalf("unblock: %d %v", status, answer)
			}
			hears("its end", http.StatusOK)
			if status, answer := b.call("PUT", b.operators("/admin/api/v1/lists/block?entry=buyer:bot"), b.adminToken(), ""); status != http.StatusCreated {
				t.Fatalf("block: %d %v", status, answer)
			}
			a.until("a blocked buyer", func() bool {
				status, no := a.order("bot", "k"+rand.Text())
				return status == http.StatusForbidden && no["code"] == "forbidden"
			})
			c := q.node(change).ready() // a node that starts later, or again
			if status, no := c.order("bot", "k-later"); status != http.StatusForbidden {
				t.Errorf("a new node says %d %v, want 403", status, no)
			}
		})
	}
}

// A buyer who goes from node to node has one limit, where they count together.
func TestABuyersLimitHoldsAtAllNodes(t *testing.T) {
	// With a machine that is overrun a call may take too long, and not count.
	for shared, want := range map[string][2]int{"": {6, 6}, "true": {3, 5}} {
		q := openQuarter(t)
		q.env["DOORBUSTER_LIMIT_BUYER_SHARED"] = shared
		doc := sale(50, 0)
		doc.LimitPerBuyer = 50
		q.limitBuyer = "0.01:3"
		nodes := []*house{q.node(nil, doc).ready(), q.node(nil, doc).ready()}
		won := 0
		for i := range 10 {
			status, answer := nodes[i%2].order("ann", "k"+strconv.Itoa(i))
			switch {
			case status < 300:
				won++
			case status != http.StatusTooManyRequests || answer["code"] != "too_many_requests":
				t.Errorf("order %d: %d %v, want 429", i, status, answer)
			}
		}
		if won < want[0] || won > want[1] {
			t.Errorf("shared %q: %d orders at two nodes, want %d to %d", shared, won, want[0], want[1])
		}
	}
}
