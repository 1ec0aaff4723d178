package node

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorbuster/doorbuster/internal/shop"
)

// suspect returns the row of the only suspect that the node's operators see.
func (h *house) suspect() map[string]any {
	h.t.Helper()
	status, answer := h.call("GET", h.operators("/admin/api/v1/suspects?sale=retro"), h.adminToken(), "")
	if status != http.StatusOK {
		h.t.Fatalf("suspects: %d %v", status, answer)
	}
	switch rows := answer["suspects"].([]any); len(rows) {
	case 0:
		return nil
	case 1:
		return rows[0].(map[string]any)
	default:
		h.t.Fatalf("%d rows, want one of a buyer: %v", len(rows), rows)
		return nil
	}
}

// press orders as fast as it goes until a challenge is asked for.
func (h *house) press(buyer string) {
	h.t.Helper()
	orders := 0
	h.until("a script is suspected", func() bool {
		orders++
		status, no := h.order(buyer, "k"+strconv.Itoa(orders))
		return status == http.StatusForbidden && no["code"] == "challenge_required"
	})
}

// TestEachNodeKnowsTheSuspectsOfAll: an operator sees at any node whom any of
// them suspects and why, also after the one that decided has ended, and undoes it
// for all.
func TestEachNodeKnowsTheSuspectsOfAll(t *testing.T) {
	q := openQuarter(t)
	doc := sale(5, 100)
	doc.Challenge = shop.ChallengeSuspicious
	a, b := q.node(nil, doc).ready(), q.node(nil, doc).ready()
	a.press("bot")
	row := a.suspect()
	if reasons, ok := row["reasons"].([]any); !ok || len(reasons) == 0 || row["times"] != 1.0 || row["undo"] != "buyer:bot" {
		t.Fatalf("where it was decided: %v", row)
	}
	told := func(h *house) func() bool { return func() bool { return cmp.Equal(row, h.suspect()) } }
	t.Logf("told after %s", b.until("the other node knows it, with its reasons", told(b)))

	b.press("bot") // a suspect there too: still one row
	row = b.suspect()
	if row["times"] != 2.0 {
		t.Errorf("after a decision at each: %v", row)
	}
	a.until("both have both decisions", told(a))

	if status, answer := b.call("PUT", b.operators("/admin/api/v1/lists/allow?entry=buyer:bot"), b.adminToken(), ""); status != http.StatusCreated {
		t.Fatalf("allow: %d %v", status, answer)
	}
	row["allowed"] = true
	for _, h := range []*house{a, b} {
		h.until("it is undone", told(h))
		if status, no := h.order("bot", "k-allowed"); status == http.StatusForbidden {
			t.Errorf("an allowed buyer hears %d %v", status, no)
		}
	}

	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	again := q.node(nil).ready()
	t.Logf("told again after %s", again.until("a node that started later knows it", told(again)))
}
