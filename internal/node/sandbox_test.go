package node

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/doorbuster/doorbuster/internal/config"
)

// openTill opens a quarter whose nodes have a sandbox cashier.
func openTill(t *testing.T) *quarter {
	t.Helper()
	q := openQuarter(t)
	q.env["DOORBUSTER_PAYMENTS"], q.env["DOORBUSTER_PAYMENTS_KEY"] = string(config.Sandbox), strings.Repeat("p", 32)
	return q
}

func TestAPageOfOneNodeIsPaidAtAnother(t *testing.T) {
	q := openTill(t)
	doc := sale(1, 100)
	a, b := q.node(nil, doc).ready(), q.node(nil, doc).ready()
	_, order := a.order("ann", "k")
	id, _ := order["id"].(string)
	_, payment := a.call("POST", a.buyers("/api/v1/orders/"+id+"/payment"), a.token("ann"), "")
	address, _ := payment["url"].(string)
	path, ok := strings.CutPrefix(address, a.buyers(""))
	if !ok {
		t.Fatalf("the page is at %q, want it where the buyer came in, %s", address, a.buyers(""))
	}
	if status, _ := b.call("GET", b.buyers(path), "", ""); status != http.StatusOK {
		t.Errorf("the page at the other node: %d, want 200", status)
	}
	if status, _ := b.call("POST", b.buyers(path+"/pay"), "", ""); status != http.StatusOK {
		t.Errorf("pay: %d, want 200 after the way back", status)
	}
	for _, at := range []*house{a, b} {
		at.until("it is paid", func() bool {
			_, order := at.call("GET", at.buyers("/api/v1/orders/"+id), at.token("ann"), "")
			return order["status"] == "paid"
		})
	}
}

func TestTwoNodesDoNotKeepTheirMoneyInOneFolder(t *testing.T) {
	q := openTill(t)
	c := q.settings()
	first, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	run(t, first)
	second, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err == nil {
		t.Fatal("two nodes share a folder", second.Close())
	}
	if !strings.Contains(err.Error(), c.Data) {
		t.Errorf("got %q, which does not name the folder", err)
	}
}
