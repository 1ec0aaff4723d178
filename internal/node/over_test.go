package node

import (
	"net/http"
	"strings"
	"testing"
)

// buyersInRedis counts the keys that say what buyers hold.
func (q *quarter) buyersInRedis() int {
	q.t.Helper()
	out, err := q.redis.Do(q.t.Context(), "--raw", "KEYS", "doorbuster:*:u")
	if err != nil {
		q.t.Fatal(err)
	}
	return len(strings.Fields(out))
}

func TestASaleThatIsOverLeavesNoBuyersInRedisAndNobodyWhoReadsItsStream(t *testing.T) {
	q := openQuarter(t)
	before := q.buyersInRedis()
	doc := sale(5, 100)
	a, b := q.node(nil, doc).ready(), q.node(nil, doc).ready()
	status, order := a.order("ann", "k")
	if status != http.StatusCreated {
		t.Fatalf("got %d %v", status, order)
	}
	if got := q.buyersInRedis(); got != before+1 {
		t.Fatalf("%d buckets have buyers, want %d", got, before+1)
	}
	b.move("close")
	for _, at := range []*house{a, b} {
		at.until("the sale is over", func() bool { return len(at.node.buckets()) == 0 && len(at.node.pastBuckets()) == 1 })
	}
	if got := q.buyersInRedis(); got != before {
		t.Errorf("%d buckets have buyers, want %d", got, before)
	}
	if status, no := b.order("bob", "k"); status != http.StatusConflict || no["code"] != "closed" {
		t.Errorf("got %d %v, want closed", status, no)
	}
	if status, again := b.order("ann", "k"); status != http.StatusOK || again["id"] != order["id"] {
		t.Errorf("got %d %v, want the order", status, again)
	}
	id := order["id"].(string)
	if status, paid := b.call("POST", b.operators("/admin/api/v1/orders/"+id+"/paid"), b.adminToken(), `{"reference":"r"}`); status != http.StatusOK || paid["status"] != "paid" {
		t.Errorf("got %d %v, want it paid", status, paid)
	}
	for _, at := range []*house{a, b} {
		if status, report := at.call("GET", at.operators("/admin/api/v1/sales/retro/audit"), at.adminToken(), ""); status != 200 || report["ok"] != true {
			t.Errorf("audit: %d %v", status, report)
		}
	}
}
