package node

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNodesFindOutThatTheirSecretsDiffer: both say so to their operators.
func TestNodesFindOutThatTheirSecretsDiffer(t *testing.T) {
	q := openQuarter(t)
	a := q.node(nil, sale(5, 100)).ready()
	q.env["DOORBUSTER_BUYER_KEY"] = strings.Repeat("c", 32)
	b := q.node(nil).ready()
	warned := func(h *house) bool {
		_, health := h.call("GET", h.operators("/healthz"), "", "")
		warnings := fmt.Sprint(health["warnings"])
		if strings.Contains(warnings, "DOORBUSTER_ADMIN_TOKEN") {
			t.Fatalf("the admin tokens are the same, and it says %s", warnings)
		}
		return strings.Contains(warnings, "another node has another DOORBUSTER_BUYER_KEY")
	}
	a.until("the first node warns", func() bool { return warned(a) })
	b.until("the second node warns", func() bool { return warned(b) })
}

func TestAnotherNodesSecretIsForgottenWhenItIsNoMoreHeardOf(t *testing.T) {
	var s strange
	now := time.Now()
	if !s.hear("KEY", now) || s.hear("KEY", now.Add(5*time.Second)) {
		t.Error("the first word is news, the next is not")
	}
	if got := s.warnings(now.Add(20 * time.Second)); len(got) != 1 {
		t.Errorf("15 s after the last word it warns of %q", got)
	}
	if got := s.warnings(now.Add(21 * time.Second)); len(got) != 0 {
		t.Errorf("a second later it still warns of %q", got)
	}
	if !s.hear("KEY", now.Add(time.Minute)) {
		t.Error("coming back is no news")
	}
}
